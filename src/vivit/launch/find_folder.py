"""Find the folder of a run or a sweep, the same on every rank, and check that nothing in it would be lost."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile

from omegaconf import DictConfig, OmegaConf

from vivit.errors import ConfigError
from vivit.launch.folder_lock import LOCK_FILE, lock_folder
from vivit.launch.folders import create_new, lock_named
from vivit.launch.job import sweep_of
from vivit.launch.job_identity import task_overrides
from vivit.launch.published import clear_published, publish, read_published, wait_for_published
from vivit.launch.resume import HYDRA_FOLDER
from vivit.launch.user_errors import exit_on_user_error
from vivit.overrides import NEUTRAL_KEYS, matches_key
from vivit.ranks import is_rank_zero, named_run, rank_group, restarts
from vivit.run_folder import read_status, read_stored_status

TIME_IN_NAME = "${now:"
"""In the name of a folder that is a new one each time."""
OUTPUTS = ("results.json", "predictions.json", "checkpoints/*.ckpt")
"""Files of a command that its next run in the same folder would overwrite."""


def agreed(config: DictConfig, kind: str, find: Callable[[Path | None], Path]) -> Path:
    """Return the folder of a run or a sweep, the same on every rank: the first one finds it, the others wait for it.

    ``find`` gets the folder that ranks had which torchrun starts again on this machine. Ranks that this command starts
    itself have the folder on their command line.
    """
    configured, group = Path(config.hydra[kind].dir), rank_group()
    if group is None:
        if is_rank_zero():
            return exit_on_user_error(lambda: find(None))
        if is_new(config, kind):
            raise SystemExit(
                f"error: hydra.{kind}.dir: ranks that are started by hand cannot know the run folder; set it for all"
            )
        return configured
    if group.rank != 0:
        content = wait_for_published(configured.parent, group.start, "run folder")
        if content["folder"] is None:
            raise SystemExit(content["code"])  # the first rank prints why
        return Path(content["folder"])
    earlier = read_published(configured.parent, group.start).get("folder") if restarts()[0] else None
    clear_published(configured.parent, group.start)
    content = {"folder": None, "code": 1}
    useful = None
    try:
        folder = exit_on_user_error(lambda: find(Path(earlier) if earlier else None))
        content, useful = {"folder": str(folder.absolute())}, partial(is_started_again, folder)
        return folder
    except SystemExit as end:
        content["code"] = end.code if isinstance(end.code, int) else 1
        raise
    finally:
        if configured.parent.is_dir():
            publish(configured.parent, group.start, content, while_useful=useful)


def is_started_again(folder: Path) -> bool:
    """Return whether torchrun may start the ranks of a run again, which then go on in its folder."""
    count, most = restarts()
    return count < most and read_stored_status(folder).get("status") != "done"


def is_new(config: DictConfig, kind: str) -> bool:
    """Whether the configuration asks for a new folder, named after the time, rather than for a certain one."""
    return not config.get("resume") and TIME_IN_NAME in str(config.hydra[kind]._get_node("dir")._value())


def run_folder(config: DictConfig, earlier: Path | None = None) -> Path:
    """Return the folder of a single run, made if it is new and locked. Raises UserError where it cannot be used.

    A training run of a job goes on in the folder of that name, and one that torchrun starts again in ``earlier``. Where
    that run is done, this process says so and ends with exit code 0.
    """
    folder, name = Path(config.hydra.run.dir), named_run()
    if earlier is not None:
        lock_folder(earlier)
        return unfinished(earlier)
    if is_new(config, "run"):
        if name is not None and "resume" in config:
            folder = folder.with_name(name)
            return unfinished(_written(folder, lambda: lock_named(folder, task_overrides(config.hydra))))
        folder = _written(folder, lambda: create_new(folder))
    check_writable(folder)
    lock_folder(folder)
    if not config.get("resume") and sweep_of(folder, config.hydra.mode, config.hydra.sweep.dir) is None:
        check_unused(folder, config)
    return folder


def unfinished(folder: Path) -> Path:
    """Return the folder of a run that goes on by itself; end this process where the run is done."""
    if read_stored_status(folder).get("status") == "done":
        print(
            f"{folder} is done, and nothing is left to train; delete it, or name another run, to start anew", flush=True
        )
        raise SystemExit(0)
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
    raise ConfigError(
        "hydra.run.dir", folder, f"contains outputs of {owner}, and this command would overwrite them", "set another"
    )


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
