"""What the first rank of a run publishes for the others: a small file beside or in the run folder."""

import atexit
import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vivit.io import atomic_write, time_of_disk

PATIENCE = 180.0
"""Seconds that a rank waits for what the first one publishes."""
RENEWED = 0.5
"""Seconds between two times of a file that is published."""
STALE = 30.0
"""Seconds after which the message that there is no folder is one of an earlier start; it stays when rank 0 ends."""


def publish(
    parent: Path, start: str, content: Mapping[str, Any], *, while_useful: Callable[[], bool] | None = None
) -> None:
    """Write what the other ranks of a start read, and renew its time as long as they may wait for it.

    It is deleted when this process ends, where ``while_useful`` does not return True then; None: it stays.
    """
    file = _published(parent, start)
    with atomic_write(file) as partial:
        partial.write_text(json.dumps(dict(content)), encoding="utf-8")
    threading.Thread(target=_renew, args=(file,), daemon=True).start()
    if while_useful is not None:
        atexit.register(_withdraw, file, while_useful)


def clear_published(parent: Path, start: str) -> None:
    """Delete what an earlier start of the same name published, before the other ranks of this one read it."""
    _published(parent, start).unlink(missing_ok=True)


def read_published(parent: Path, start: str) -> dict[str, Any]:
    """Return what was published last, whoever did; empty where there is nothing."""
    try:
        content = json.loads(_published(parent, start).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def wait_for_published(parent: Path, start: str, what: str) -> dict[str, Any]:
    """Return what the first rank publishes, once it has. Raises SystemExit where it does not, naming ``what``."""
    end, begun = time.monotonic() + PATIENCE, _time(parent)
    while not (content := _of_this_start(parent, start, begun)):
        if time.monotonic() > end:
            raise SystemExit(f"error: the first rank has published no {what} in {parent} within {PATIENCE:.0f} s")
        time.sleep(0.05)
    return content


def _of_this_start(parent: Path, start: str, begun: float) -> dict[str, Any]:
    """Return what is published, where its first rank lives: it has renewed the file since this rank began to wait.

    That there is no folder counts for a while longer, because its rank ends.
    """
    try:
        written = _published(parent, start).stat().st_mtime
    except OSError:
        return {}
    content = read_published(parent, start)
    refused = content.get("folder", "") is None
    return content if written > begun - (STALE if refused else 0) else {}


def _time(folder: Path) -> float:
    """Return the time of the disk; of this machine where the folder is not there yet."""
    try:
        return time_of_disk(folder)
    except OSError:
        return time.time()


def _renew(file: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        time.sleep(RENEWED)
        try:
            os.utime(file)
        except OSError:
            return


def _withdraw(file: Path, while_useful: Callable[[], bool]) -> None:
    if not while_useful():
        file.unlink(missing_ok=True)


def _published(parent: Path, start: str) -> Path:
    return parent / f".ranks-{start}"
