"""Run folders: new ones that nobody shares, and the same one for every rank of a run."""

import atexit
import os
import socket
import time
from pathlib import Path

from vivit.io import atomic_write
from vivit.jobs.owner import started

PATIENCE = 180.0
"""Seconds that a rank waits for the first one to name the run folder."""
STALE = 30.0
"""Seconds after which a word that there is no folder is one of an earlier start; it stays when the first rank ends."""


def make_new(folder: Path) -> Path:
    """Make a folder that was not there before, and return it: with a suffix where that name is taken already."""
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
    """Name the group of processes that something else than this command has started for one run; None without one.

    Each of them would name a new folder after the moment at which it looked at the clock. The name is the same in all
    of them, and no other run's: torchrun's by the process that started them, or, where there are several machines, by
    what it calls the run; SLURM's by the step of its job.
    """
    said = os.environ.get
    if "TORCHELASTIC_RUN_ID" in os.environ:
        again = said("TORCHELASTIC_RESTART_COUNT", "0")
        if said("LOCAL_WORLD_SIZE") == said("WORLD_SIZE"):
            parent = os.getppid()
            return _plain(f"{socket.gethostname()}-{parent}-{started(parent)}-{again}")
        named = (said(key, "") for key in ("TORCHELASTIC_RUN_ID", "MASTER_ADDR", "MASTER_PORT"))
        return _plain("-".join([*named, again]))
    if int(said("SLURM_NTASKS", "1")) > 1 and "SLURM_PROCID" in os.environ:
        return _plain("-".join(said(f"SLURM_{key}", "0") for key in ("JOB_ID", "STEP_ID", "RESTART_COUNT")))
    return None


def name_for_ranks(beside: Path, group: str, folder: Path | None) -> None:
    """Let the other ranks of a run know its folder, or, with None, that there will be none."""
    file = _agreement(beside, group)
    with atomic_write(file) as partial:
        partial.write_text("" if folder is None else str(folder.absolute()), encoding="utf-8")
    if folder is not None:
        atexit.register(file.unlink, missing_ok=True)


def forget_named(beside: Path, group: str) -> None:
    """Take away what an earlier start of the same name has left, before the other ranks of this one read it."""
    _agreement(beside, group).unlink(missing_ok=True)


def named_by_first(beside: Path, group: str) -> Path:
    """Return the folder that the first rank has named, once it has. Raises SystemExit where there will be none."""
    file, end = _agreement(beside, group), time.monotonic() + PATIENCE
    begun = time.time()
    while not _is_of_this_start(file, begun):
        if time.monotonic() > end:
            raise SystemExit(f"error: the first rank has named no run folder in {beside} within {PATIENCE:.0f} s")
        time.sleep(0.05)
    said = file.read_text(encoding="utf-8")
    if not said:
        raise SystemExit(1)  # the first rank says why
    return Path(said)


def _is_of_this_start(file: Path, begun: float) -> bool:
    """Whether a file is no older than ranks of one run start apart; one without a folder is left where it is."""
    try:
        found = file.stat()
    except OSError:
        return False
    return found.st_mtime > begun - (PATIENCE if found.st_size else STALE)


def _agreement(beside: Path, group: str) -> Path:
    return beside / f".ranks-{group}"


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in name)
