"""Run folders: new ones that no other run shares, and the same one for every rank of a run."""

import atexit
import os
import socket
import time
from pathlib import Path

from vivit.io import atomic_write
from vivit.run_folder import start_of_process

PATIENCE = 180.0
"""Seconds that a rank waits for the first one to publish the run folder."""
STALE = 30.0
"""Seconds after which the message that there is no folder is one of an earlier start; it stays when rank 0 ends."""


def create_new(folder: Path) -> Path:
    """Make a folder that did not exist, and return it: with a suffix where that name is taken already."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    number, new = 1, folder
    while True:
        try:
            new.mkdir()
        except FileExistsError:
            number += 1
            new = folder.with_name(f"{folder.name}_{number}")
        else:
            return new


def rank_group() -> str | None:
    """Return a name for the processes that a launcher has started for one run; None without such a launcher.

    Each of them would name a new folder after its own clock. The name is the same in all of them, and no other run's:
    torchrun's by the process that started them or, on several machines, by its id of the run; SLURM's by the step of
    its job.
    """
    env = os.environ.get
    if "TORCHELASTIC_RUN_ID" in os.environ:
        restart = env("TORCHELASTIC_RESTART_COUNT", "0")
        if env("LOCAL_WORLD_SIZE") == env("WORLD_SIZE"):
            parent = os.getppid()
            return _file_name(f"{socket.gethostname()}-{parent}-{start_of_process(parent)}-{restart}")
        parts = (env(key, "") for key in ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT"))
        return _file_name("-".join([*parts, restart]))
    if int(env("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in os.environ:
        return _file_name("-".join(env(f"SLURM_{key}", "0") for key in ("JOB_ID", "STEP_ID", "RESTART_COUNT")))
    return None


def publish_folder(parent: Path, group: str, folder: Path | None) -> None:
    """Write the folder of a run for its other ranks to read; None: that there will be none."""
    file = _published(parent, group)
    with atomic_write(file) as partial:
        partial.write_text("" if folder is None else str(folder.absolute()), encoding="utf-8")
    if folder is not None:
        atexit.register(file.unlink, missing_ok=True)


def clear_published(parent: Path, group: str) -> None:
    """Delete what an earlier start of the same name published, before the other ranks of this one read it."""
    _published(parent, group).unlink(missing_ok=True)


def wait_for_folder(parent: Path, group: str) -> Path:
    """Return the folder that the first rank publishes, once it has. Raises SystemExit where there will be none."""
    file, end = _published(parent, group), time.monotonic() + PATIENCE
    begun = time.time()
    while not _is_of_this_start(file, begun):
        if time.monotonic() > end:
            raise SystemExit(f"error: the first rank has published no run folder in {parent} within {PATIENCE:.0f} s")
        time.sleep(0.05)
    folder = file.read_text(encoding="utf-8")
    if not folder:
        raise SystemExit(1)  # the first rank prints why
    return Path(folder)


def _is_of_this_start(file: Path, begun: float) -> bool:
    """Whether a file is no older than the time within which ranks of one run start."""
    try:
        stat = file.stat()
    except OSError:
        return False
    return stat.st_mtime > begun - (PATIENCE if stat.st_size else STALE)


def _published(parent: Path, group: str) -> Path:
    return parent / f".ranks-{group}"


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in name)
