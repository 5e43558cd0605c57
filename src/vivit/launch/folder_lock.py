"""A lock on a folder: one process at a time works in it, and the next one learns which."""

import errno
import fcntl
import json
import os
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from vivit.errors import RunFolderError
from vivit.run_folder import is_alive, this_process

LOCK_FILE = ".owner"
"""The file in a folder that its owner has locked, and in which it writes who it is."""
BUSY = (errno.EACCES, errno.EAGAIN)
"""Errors of a lock that another process has; any other means that the disk has no locks."""
_locked: dict[Path, int] = {}
"""Open descriptors of the files that this process has locked."""


class FolderInUseError(RunFolderError):
    """Another process works in the folder."""


def lock_folder(folder: Path, name: str = LOCK_FILE) -> None:
    """Lock a folder for this process, until it ends or releases it. Raises ``FolderInUseError``.

    The system's own lock on a file decides (a POSIX record lock). It ends with the process, however that ends: one that
    was killed, or a machine that was started anew, blocks nobody, and no process can be mistaken for another. It holds
    between machines wherever a shared disk passes locks on: NFS, GPFS, Lustre mounted with ``flock``.

    Where a disk has no locks, what the last owner wrote of itself decides. On this machine it blocks while that very
    process lives, identified by its number and the moment it started. On another machine that cannot be seen, so it
    blocks until it ends in an orderly way, or somebody deletes the file.
    """
    file = folder.resolve() / name
    if file in _locked:
        return
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    locked = _lock(descriptor)
    owner = _read(descriptor, patience=1.0 if locked is False else 0.0)
    if locked is False or (locked is None and is_alive(owner)):
        os.close(descriptor)
        hint = f" (if it is gone: delete {file})" if locked is None else ""
        raise FolderInUseError(
            folder,
            f"is in use by process {owner.get('pid', 'unknown')} on {owner.get('host', 'some machine')}, since "
            f"{owner.get('since', 'just now')}",
            f"let it end, or set another folder{hint}",
        )
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    _write(descriptor, json.dumps(this_process() | {"since": since}))
    _locked[file] = descriptor


def release_folder(folder: Path, name: str = LOCK_FILE) -> None:
    """Release a folder, if this process has locked it; do nothing where the folder is gone by now."""
    descriptor = _locked.pop(folder.resolve() / name, None)
    if descriptor is not None:
        _write(descriptor, "")
        os.close(descriptor)  # which opens the lock


def _lock(descriptor: int) -> bool | None:
    """Lock a file; return False where another process has it locked, None where its disk has no locks."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in BUSY else None
    return True


def _read(descriptor: int, patience: float) -> dict[str, Any]:
    """Return what an owner wrote of itself, which may come a moment after its lock."""
    end = time.monotonic() + patience
    while True:
        with suppress(ValueError, TypeError):  # written by something else, or half of it
            return dict(json.loads(os.pread(descriptor, 4096, 0)))
        if time.monotonic() >= end:
            return {}
        time.sleep(0.02)


def _write(descriptor: int, text: str) -> None:
    with suppress(OSError):  # a full disk loses the name, not the lock
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)
