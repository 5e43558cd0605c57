"""A second process that says how a run ended whose own process was killed before it could."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vivit.runfolder import read_status, write_status

PERIOD = 0.3
"""Seconds from one look to the next."""
KILLED = (
    "a process of this run was killed, often because memory ran out; the last checkpoint is good. Lower "
    "data.batch_size or data.workers, or go on as it was with resume={folder}"
)


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """Have the end of this process noted in ``status.json`` where it comes without a word.

    Lightning kills the first rank, which keeps the status, within seconds of the death of another.
    """
    said = f"from vivit.jobs.guard import watch; watch({str(folder)!r}, {os.getpid()})"
    guard = subprocess.Popen(
        [sys.executable, "-c", said], cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield
    finally:
        guard.kill()
        guard.wait()


def watch(folder: str, pid: int) -> None:
    """Wait until the process ``pid``, which started this one, is gone; where the run is still said to run, mark it."""
    while os.getppid() == pid:
        time.sleep(PERIOD)
    if read_status(Path(folder)).get("status") == "running":
        said = KILLED.format(folder=folder)
        sys.stderr.write(f"\nerror: {said}\n")
        write_status(Path(folder), "failed", said)
