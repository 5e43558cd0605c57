"""Checks before Hydra makes a run folder or writes to it."""

import hashlib
import logging
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from vivit.addresses import check_address
from vivit.errors import ConfigError, UserError
from vivit.launch.folder_lock import LOCK_FILE, lock_folder
from vivit.launch.folders import clear_published, create_new, publish_folder, rank_group, wait_for_folder
from vivit.launch.job import sweep_of
from vivit.launch.job_identity import configured_sweep, task_overrides
from vivit.launch.multirun_end import begin_job, begin_multirun
from vivit.launch.resolvers import register_resolvers
from vivit.launch.resume import HYDRA_FOLDER, check_resume
from vivit.launch.typed_rate import prefer_typed_rate
from vivit.launch.typed_values import parse_typed_values
from vivit.launch.user_errors import format_error, missing_value
from vivit.overrides import NEUTRAL_KEYS, matches_key, quote_value
from vivit.run_folder import is_rank_zero, read_status
from vivit.sweeps import SCALES

log = logging.getLogger(__name__)

SLOW_TO_START = ("train", "eval", "features")
"""Commands that load torch and Lightning."""
TIME_IN_NAME = "${now:"
"""In the name of a folder that is a new one each time."""
ROOTLESS = ("convert",)
"""Commands that take the settings of a data set without its videos."""
OUTPUTS = ("results.json", "predictions.json", "checkpoints/*.ckpt")
"""Files of a command that its next run in the same folder would overwrite."""


class Preflight(Callback):
    """Finds the run folder, and checks what can be checked before anything is written.

    That the folder can be made and written to, contains nothing that would be lost, and is this process's alone; that a
    run to resume is one; a sweep's scale. A launcher that has jobs run elsewhere pickles it with all that Hydra knows;
    where it arrives, configurations are about to be read.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Find the folder of a single run."""
        exit_on_user_error(lambda: check_run(config))
        with open_dict(config), read_write(config):
            config.hydra.run.dir = str(agreed(config, "run", lambda: run_folder(config)))
            if not is_rank_zero():
                config.hydra.output_subdir = None  # the first rank's is that of the run

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Find the folder of a sweep."""
        exit_on_user_error(lambda: check_sweep(config))
        folder = agreed(config, "sweep", lambda: sweep_folder(config))
        with open_dict(config), read_write(config):
            config.hydra.sweep.dir = str(folder)
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quote_value(str(folder))}")  # jobs are composed anew
        begin_multirun(config)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note a job of a sweep; log where it writes, before libraries are loaded that take seconds."""
        begin_job(config)
        if config.hydra.job.name in SLOW_TO_START and is_rank_zero():
            log.info("run folder: %s", config.hydra.runtime.output_dir)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, ()


def _unpickle() -> Preflight:
    register_resolvers()
    return Preflight()


def exit_on_user_error(check: Callable[[], Any]) -> Any:
    """Return the result of a check; end the process where it raises, with one line for what a user can mend."""
    try:
        return check()
    except (UserError, OmegaConfBaseException) as error:
        raise SystemExit(f"error: {format_error(error)}" if is_rank_zero() else 1) from None
    except Exception:  # Hydra would only warn of it, and run the task
        if is_rank_zero():
            traceback.print_exc()
        raise SystemExit(1) from None


def check_run(config: DictConfig) -> None:
    """Raise ConfigError for a single run that cannot be what its command asks for."""
    if config.get("resume"):
        check_resume(Path(config.resume), task_overrides(config.hydra))
    check_required(config)
    check_scale(config)
    if config.hydra.runtime.choices.get("sweep") and config.get("row") is None:
        sweep = config.hydra.runtime.choices.sweep
        raise ConfigError("sweep", sweep, "has jobs of several rows", "leave out hydra.mode=RUN, or set row=")
    check_working_folder(config)
    parse_typed_values(config)
    prefer_typed_rate(config, task_overrides(config.hydra))


def check_required(config: DictConfig) -> None:
    """Raise ConfigError for a key of the command that has no value and needs one, and for a data set without root."""
    for key in config:
        if OmegaConf.is_missing(config, key):
            raise missing_value(str(key))
        config.get(key)  # raises for a reference to nothing
    data = config.get("data")
    for key in ("data.root", "data.dataset.index_dir"):
        check_address(key, OmegaConf.select(config, key, throw_on_missing=False))
    if data and OmegaConf.is_missing(data, "root") and config.hydra.job.config_name not in ROOTLESS:
        raise missing_value("data.root")


def check_sweep(config: DictConfig) -> None:
    """Raise ConfigError for a sweep that cannot be what its command asks for."""
    if config.get("resume"):
        raise ConfigError("resume", config.resume, "is for one run", "to go on with a sweep, start it again as it was")
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise ConfigError(
            "-m",
            problem="torchrun starts ranks of one run, a sweep those of its jobs",
            remedy="leave one of them out",
        )
    check_scale(config)
    check_working_folder(config)
    parse_typed_values(config)


def check_scale(config: DictConfig) -> None:
    """Raise ConfigError for a scale that the sweep does not have, and for a row of no sweep."""
    choices = config.hydra.runtime.choices
    scale, sweep = choices.get("scale"), configured_sweep(config.hydra)
    if sweep is None:
        if config.get("row") is not None:
            raise ConfigError("row", config.row, "is for sweeps", "set sweep=, or leave it out")
        if scale not in (None, SCALES[0]):
            raise ConfigError(
                "scale", scale, "is for sweeps", "a single run as published is an experiment: experiment="
            )
    elif scale not in sweep.seeds:
        raise ConfigError(
            "scale", scale, f"sweep={sweep.name} does not have it", f"set one of {', '.join(sweep.seeds)}"
        )


def check_working_folder(config: DictConfig) -> None:
    """Raise ConfigError where jobs would run in another folder than the one that relative paths are meant from."""
    if config.hydra.job.chdir:
        raise ConfigError(
            "hydra.job.chdir",
            True,
            "the configuration's paths would be looked for below the run folder, where they are not",
            "leave it false; all that a run writes lies there anyway",
        )


def agreed(config: DictConfig, kind: str, find: Callable[[], Path]) -> Path:
    """Return the folder of a run or a sweep, the same on every rank: the first one finds it, the others wait for it.

    Ranks that this command starts itself have it on their command line.
    """
    configured, group = Path(config.hydra[kind].dir), rank_group()
    if is_rank_zero():
        folder = None
        if group is not None:
            clear_published(configured.parent, group)
        try:
            folder = exit_on_user_error(find)
            return folder
        finally:
            if group is not None and configured.parent.is_dir():
                publish_folder(configured.parent, group, folder)
    if group is not None:
        return wait_for_folder(configured.parent, group)
    if is_new(config, kind):
        raise SystemExit(
            f"error: hydra.{kind}.dir: ranks that are started by hand cannot know the run folder; set it for all"
        )
    return configured


def is_new(config: DictConfig, kind: str) -> bool:
    """Whether the configuration asks for a new folder, named after the time, rather than for a certain one."""
    return not config.get("resume") and TIME_IN_NAME in str(config.hydra[kind]._get_node("dir")._value())


def run_folder(config: DictConfig) -> Path:
    """Return the folder of a single run, made if it is new and locked. Raises UserError where it cannot be used."""
    folder = Path(config.hydra.run.dir)
    if is_new(config, "run"):
        folder = _written(folder, lambda: create_new(folder))
    check_writable(folder)
    lock_folder(folder)
    if not config.get("resume") and sweep_of(folder, config.hydra.mode, config.hydra.sweep.dir) is None:
        check_unused(folder, config)
    return folder


def sweep_folder(config: DictConfig) -> Path:
    """Return the folder of a sweep, made if it is new. Commands that differ may share one, each job has one owner."""
    folder = Path(config.hydra.sweep.dir)
    if is_new(config, "sweep"):
        folder = _written(folder, lambda: create_new(folder))
    check_writable(folder)
    overrides = sorted(text for text in task_overrides(config.hydra) if not matches_key(text, NEUTRAL_KEYS))
    lock_folder(folder, f"{LOCK_FILE}-{hashlib.sha256(repr(overrides).encode()).hexdigest()[:8]}")
    return folder


def check_unused(folder: Path, config: DictConfig) -> None:
    """Raise ConfigError where a folder contains outputs of an earlier command that this one would overwrite."""
    if not any(next(folder.glob(name), None) for name in OUTPUTS):
        return
    earlier = folder / HYDRA_FOLDER / "config.yaml"
    trained = not earlier.is_file() or "resume" in OmegaConf.load(earlier)
    if trained and "resume" in config:
        if config.get("ckpt_path") == "auto":
            return
        state = "is done" if read_status(folder).get("status") == "done" else "did not end"
        raise ConfigError(
            "hydra.run.dir",
            folder,
            f"contains a training run that {state}, and this one would overwrite it",
            f"go on with it by adding ckpt_path=auto, or by resume={folder} alone, or set another folder",
        )
    owner = "a training run" if trained else "an earlier command"
    problem = f"contains outputs of {owner}, and this command would overwrite them"
    raise ConfigError("hydra.run.dir", folder, problem, "set another")


def check_writable(folder: Path) -> None:
    """Raise ConfigError where a folder cannot be made or written to."""

    def write() -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return folder

    _written(folder, write)


def _written(folder: Path, write: Callable[[], Path]) -> Path:
    try:
        return write()
    except OSError as error:
        raise ConfigError(
            "hydra.run.dir",
            folder,
            f"cannot be written ({error.strerror})",
            "set a folder that can, or paths.logs (of report.py and dashboards.py: logs)",
        ) from None
