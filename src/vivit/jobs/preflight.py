"""What is checked before Hydra makes a run folder or writes to it."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from vivit.indifferent import INDIFFERENT, is_about
from vivit.jobs.apart import quoted
from vivit.jobs.booleans import settle_booleans
from vivit.jobs.folders import forget_named, make_new, name_for_ranks, named_by_first, rank_group
from vivit.jobs.job import sweep_of
from vivit.jobs.naming import register_resolvers
from vivit.jobs.owner import OWNER, take
from vivit.jobs.resume import RECORD, check_resume
from vivit.runfolder import leads, read_status

DEFAULT_SCALE = "laptop"
NEW = "${now:"
"""What the name of a folder asks for that is to be a new one each time."""
KEPT = ("results.json", "predictions.json", "checkpoints/*.ckpt")
"""What a command leaves that its next run in the same folder would write over."""


class Preflight(Callback):
    """Checks what can be checked before anything is written, and finds a folder that nobody else works in.

    That a run folder can be made and written to, holds nothing that would be lost, and is this process's alone; that a
    run to go on with is one; a sweep's scale. A launcher that has jobs run elsewhere pickles it with all that Hydra
    knows; where it arrives, configurations are about to be read.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Find the folder of a single run."""
        if config.get("resume"):
            check_resume(Path(config.resume), list(config.hydra.overrides.task))
        check_scale(config)
        check_place(config)
        refused_in_words(lambda: settle_booleans(config))
        with open_dict(config), read_write(config):
            config.hydra.run.dir = str(agreed(config, "run", lambda: run_folder(config)))
            if not leads():
                config.hydra.output_subdir = None  # the first rank's record is that of the run

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Find the folder of a sweep."""
        if config.get("resume"):
            raise SystemExit("error: resume goes on with one run; to go on with a sweep, start it again as it was")
        if "TORCHELASTIC_RUN_ID" in os.environ:
            refuse("torchrun starts the ranks of one run, a sweep those of its jobs: leave torchrun out, or -m")
        check_scale(config)
        check_place(config)
        refused_in_words(lambda: settle_booleans(config))
        folder = agreed(config, "sweep", lambda: sweep_folder(config))
        with open_dict(config), read_write(config):
            config.hydra.sweep.dir = str(folder)
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(folder)}")  # its jobs are composed anew

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive, ()


def _arrive() -> Preflight:
    register_resolvers()
    return Preflight()


def refuse(said: str) -> None:
    """End the process with one line, which only the first of several ranks shows."""
    raise SystemExit(f"error: {said}" if leads() else 1)


def refused_in_words(check: Callable[[], Any]) -> Any:
    """Do something that raises ``ValueError`` for what a user can mend, and end the process with its one line."""
    try:
        return check()
    except ValueError as error:
        refuse(str(error))


def check_scale(config: DictConfig) -> None:
    """End the process with one line where a scale is asked for that nothing here has."""
    choices = config.hydra.runtime.choices
    sweep, scale = choices.get("sweep"), choices.get("scale")
    if scale in (None, DEFAULT_SCALE):
        return
    if sweep is None:
        raise SystemExit(f"error: scale={scale} is for sweeps; a single run as published is an experiment: experiment=")
    (configs,) = (Path(source.path) for source in config.hydra.runtime.config_sources if source.provider == "main")
    if not (configs / "sweep_scale" / f"{sweep}_{scale}.yaml").is_file():
        raise SystemExit(f"error: sweep={sweep} has no scale={scale}: it answers no table of the paper")


def check_place(config: DictConfig) -> None:
    """End the process with one line where jobs would run elsewhere than the paths of the configuration are meant."""
    if config.hydra.job.chdir:
        refuse(
            "hydra.job.chdir=true would have the configuration's paths looked for below the run folder, where they are "
            "not; leave it false, all that a run writes lies there anyway"
        )


def agreed(config: DictConfig, kind: str, find: Callable[[], Path]) -> Path:
    """Return the folder of a run or a sweep, the same on every rank: the first one finds it, the others are told.

    Ranks that this command starts itself have it on their command line.
    """
    asked, group = Path(config.hydra[kind].dir), rank_group()
    if leads():
        folder = None
        if group is not None:
            forget_named(asked.parent, group)
        try:
            folder = find()
            return folder
        finally:
            if group is not None and asked.parent.is_dir():
                name_for_ranks(asked.parent, group, folder)
    if group is not None:
        return named_by_first(asked.parent, group)
    if is_new(config, kind):
        raise SystemExit(
            f"error: the ranks of a run that are started by hand cannot know its folder; set hydra.{kind}.dir for all"
        )
    return asked


def is_new(config: DictConfig, kind: str) -> bool:
    """Whether the configuration asks for a new folder, named after the time, rather than for a certain one."""
    return not config.get("resume") and NEW in str(config.hydra[kind]._get_node("dir")._value())


def run_folder(config: DictConfig) -> Path:
    """Make or take the folder of a single run, this process's alone; end the process with one line where it cannot."""
    folder = Path(config.hydra.run.dir)
    if is_new(config, "run"):
        folder = _made(folder, lambda: make_new(folder))
    check_writable(folder)
    refused_in_words(lambda: take(folder))
    if not config.get("resume") and sweep_of(folder, config.hydra.mode, config.hydra.sweep.dir) is None:
        check_unused(folder, config)
    return folder


def sweep_folder(config: DictConfig) -> Path:
    """Make or take the folder of a sweep. Commands that differ may share one, for each of its jobs has one owner."""
    folder = Path(config.hydra.sweep.dir)
    if is_new(config, "sweep"):
        folder = _made(folder, lambda: make_new(folder))
    check_writable(folder)
    said = sorted(override for override in config.hydra.overrides.task if not is_about(override, INDIFFERENT))
    refused_in_words(lambda: take(folder, f"{OWNER}-{hashlib.sha256(repr(said).encode()).hexdigest()[:8]}"))
    return folder


def check_unused(folder: Path, config: DictConfig) -> None:
    """End the process with one line where a folder holds what an earlier command left and this one would write over."""
    if not any(next(folder.glob(name), None) for name in KEPT):
        return
    record = folder / RECORD / "config.yaml"
    trained = not record.is_file() or "resume" in OmegaConf.load(record)
    if trained and "resume" in config:
        if config.get("ckpt_path") == "auto":
            return
        state = "is done" if read_status(folder).get("status") == "done" else "did not end"
        refuse(
            f"{folder} holds a training run that {state}, and this one would write over it; go on with it by adding "
            f"ckpt_path=auto, or by resume={folder} alone, or set another hydra.run.dir"
        )
    what = "a training run" if trained else "an earlier command"
    refuse(f"{folder} holds what {what} left, and this command would write over it; set another hydra.run.dir")


def check_writable(folder: Path) -> None:
    """End the process with one line where a folder cannot be made or written to."""

    def tried() -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return folder

    _made(folder, tried)


def _made(folder: Path, make: Callable[[], Path]) -> Path:
    try:
        return make()
    except OSError as error:
        raise SystemExit(
            f"error: the run folder {folder} cannot be written ({error.strerror}); set paths.logs to a folder that can"
        ) from None
