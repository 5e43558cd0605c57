"""What surrounds every task: its folder, its name in a sweep, its status, and errors that a user can mend."""

import hashlib
import json
import logging
import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vivit.runfolder import finished, write_status

log = logging.getLogger(__name__)

DECISIVE = ("model", "size", "tokeniser", "data", "augment", "views", "optim", "targets", "trainer", "seed", "test")
"""The keys that decide the result of a run; the others say where it lies and what is logged."""


@dataclass(frozen=True)
class Job:
    """What Hydra knows of a run beside its configuration."""

    folder: Path
    choices: Mapping[str, str]
    overrides: list[str]
    sweep: str | None

    @classmethod
    def current(cls) -> "Job":
        """Ask Hydra."""
        hydra = HydraConfig.get()
        return cls(
            folder=Path(hydra.runtime.output_dir),
            choices=dict(hydra.runtime.choices),
            overrides=list(hydra.overrides.task),
            sweep=Path(hydra.sweep.dir).name if hydra.mode == RunMode.MULTIRUN else None,
        )


def run(task: Callable[[DictConfig, Job], Mapping[str, float]], cfg: DictConfig) -> float | None:
    """Run a task in its folder, keep its status there, and say in one line what a user can mend.

    A single run that fails ends the process with exit code 1; a job of a sweep raises, and Hydra goes on with the
    next. A job that is done is skipped: its folder's name holds a hash of all that decides its result.
    """
    job = Job.current()
    if job.sweep is not None and (done := finished(job.folder)):
        log.info("%s is done, skipped; delete its folder to run it again", job.folder.name)
        return done["metrics"].get("test/acc_top1")
    write_status(job.folder, "running")
    try:
        metrics = task(cfg, job)
    except BaseException as error:
        _note(error, job.folder)
        if not _mendable(error):
            raise
        if job.sweep is not None:
            raise RuntimeError(explain(error)) from error
        raise SystemExit(f"error: {explain(error)}\n(the traceback is in {job.folder / 'error.txt'})") from None
    write_status(job.folder, "done")
    return metrics.get("test/acc_top1")


def _note(error: BaseException, folder: Path) -> None:
    """Leave the error in the run folder, if that is still there."""
    try:
        write_status(folder, "failed", explain(error))
        (folder / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
    except OSError as lost:
        log.warning("the run folder cannot be written any more: %s", lost)


def _mendable(error: BaseException) -> bool:
    """Whether an error is about what the user asked for, or about the machine, rather than about this code."""
    known = isinstance(error, ValueError | OSError | InstantiationException | OmegaConfBaseException)
    return known or _lost_worker(error)


def _lost_worker(error: BaseException) -> bool:
    """Whether a process that decodes died or hangs. torch says so from a signal handler, wherever this process was."""
    return isinstance(error, RuntimeError) and str(error).startswith(("DataLoader worker", "DataLoader timed out"))


def explain(error: BaseException) -> str:
    """Say an error in one line, without what Hydra wraps around it, and at which key it arose."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        key = str(error).rpartition("full_key: ")[2] if "full_key: " in str(error) else ""
        return explain(error.__cause__) + (f" (in {key.strip()})" if key else "")
    said = " ".join(str(error).split()) or type(error).__name__
    if _lost_worker(error):
        said += " (if memory ran out: lower data.workers, data.prefetch or data.batch_size)"
    return said


class Preflight(Callback):
    """Checks, before Hydra makes it, that the run folder can be made and written to."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the folder of a single run."""
        check_writable(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the folder of a sweep."""
        check_writable(Path(config.hydra.sweep.dir))


def check_writable(folder: Path) -> None:
    """End the process with one line where a folder cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SystemExit(
            f"error: the run folder {folder} cannot be written ({error.strerror}); set paths.logs to a folder that can"
        ) from None


def job_name(*, _root_: DictConfig) -> str:
    """Name the folder of a sweep's job: what varies, without '=', and a hash of all that decides its result."""
    varied = [override for override in _root_.hydra.overrides.task if not override.startswith("sweep=")]
    words = [re.sub(r"[^A-Za-z0-9_.-]+", "-", override.lstrip("+")) for override in varied]
    decisive = {key: _root_[key] for key in DECISIVE if key in _root_}
    plain = OmegaConf.to_container(OmegaConf.create(decisive, parent=_root_), resolve=True)
    return "_".join([*words, hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:8]])


def register_resolvers() -> None:
    """Teach configurations ``${job_name:}`` and ``${divide:a,b}``; scripts call it before Hydra reads any."""
    OmegaConf.register_new_resolver("job_name", job_name, replace=True)
    OmegaConf.register_new_resolver("divide", lambda a, b: a // b, replace=True)
