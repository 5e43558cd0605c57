"""A second process that says how a run ended whose own process was killed before it could."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vivit.runfolder import read_status, write_status

PERIOD = 0.3
"""Seconds from one look to the next."""
KILLED = "a process of this run was killed, often because memory ran out; "
GO_ON = "the last checkpoint is good. Lower data.batch_size or data.workers, or go on as it was with resume={folder}"
START_AGAIN = "start it again, with a lower batch_size or fewer workers"
SAID = "error_of_another_rank.txt"
"""What a rank leaves that fails alone, for by then the first may be past saying it."""


def leave_word(folder: Path, error: str) -> None:
    """Say, in a rank that is not the first, why it ends; nothing where the folder is on another machine."""
    with suppress(OSError):
        (folder / SAID).write_text(error, encoding="utf-8")


@contextmanager
def guarded(folder: Path, *, goes_on: bool) -> Iterator[None]:
    """Have the end of this process noted in ``status.json`` where it comes without a word.

    Lightning kills the first rank, which keeps the status, within seconds of the death of another. ``goes_on`` says
    that what was killed can go on from a checkpoint.
    """
    (folder / SAID).unlink(missing_ok=True)  # of an earlier time
    said = KILLED + (GO_ON.format(folder=folder) if goes_on else START_AGAIN)
    code = f"from vivit.jobs.guard import watch; watch({str(folder)!r}, {os.getpid()}, {said!r})"
    guard = subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        guard.kill()
        guard.wait()


def watch(folder: str, pid: int, killed: str) -> None:
    """Wait until the process ``pid``, which started this one, is gone; where the run is still said to run, mark it."""
    while os.getppid() == pid:
        time.sleep(PERIOD)
    if read_status(Path(folder)).get("status") == "running":
        word = Path(folder, SAID)
        said = f"in another rank: {word.read_text('utf-8')}" if word.is_file() else killed
        write_status(Path(folder), "failed", said)
        with suppress(OSError):  # nobody may be left to read it
            sys.stderr.write(f"\nerror: {said}\n")
