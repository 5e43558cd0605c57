"""Who works in a folder: one process at a time, and the next is told which."""

import errno
import fcntl
import json
import os
import socket
import subprocess
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

OWNER = ".owner"
"""The file in a folder that its owner has locked, and in which it says who it is."""
BUSY = (errno.EACCES, errno.EAGAIN)
"""What a system says of a lock that another process has; anything else means that the disk has no locks."""
BOOT = Path("/proc/sys/kernel/random/boot_id")
_held: dict[Path, int] = {}
"""Open descriptors of the files that this process has locked."""


class TakenError(ValueError):
    """Another process works in the folder."""


def take(folder: Path, name: str = OWNER) -> None:
    """Make this process the owner of a folder, until it ends or gives it back. Raises ``TakenError``.

    The system's own lock on a file decides (a POSIX record lock). It ends with the process, however that ends: one that
    was killed, or a machine that was started anew, blocks nobody, and no process can be mistaken for another. It holds
    between machines wherever a shared disk passes locks on: NFS, GPFS, Lustre mounted with ``flock``.

    Where a disk has no locks, what the last owner wrote of itself decides. On this machine it blocks while that very
    process lives, told by its number and the moment it started. Of one on another machine nobody can tell, so it
    blocks until it ends in an orderly way, or somebody deletes the file.
    """
    file = folder.resolve() / name
    if file in _held:
        return
    number = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    got = _lock(number)
    told = _read(number, patience=1.0 if got is False else 0.0)
    if got is False or (got is None and lives(told)):
        os.close(number)
        hint = f" (if it is gone: delete {file})" if got is None else ""
        raise TakenError(
            f"{folder} is in use by process {told.get('pid', 'unknown')} on {told.get('host', 'some machine')}, since "
            f"{told.get('since', 'just now')}: let it end, or set another folder{hint}"
        )
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    me = {"host": socket.gethostname(), "pid": os.getpid(), "started": started(os.getpid()), "since": since}
    _write(number, json.dumps(me))
    _held[file] = number


def give_back(folder: Path, name: str = OWNER) -> None:
    """End the ownership of a folder, if this process has it; nothing where the folder is gone by now."""
    number = _held.pop(folder.resolve() / name, None)
    if number is not None:
        _write(number, "")
        os.close(number)  # which opens the lock


def lives(told: dict[str, Any]) -> bool:
    """Whether an owner may still be at work, by what it wrote of itself. Of other machines nobody can tell."""
    if not told:
        return False
    if told.get("host") != socket.gethostname():
        return True
    return told.get("started") is not None and started(int(told["pid"])) == told["started"]


def started(pid: int) -> str | None:
    """Name the moment at which a process started, so that no later one of the same number is taken for it."""
    stat = Path(f"/proc/{pid}/stat")
    if BOOT.is_file():
        with suppress(OSError):  # there is no such process
            return f"{BOOT.read_text().strip()} {stat.read_text().rpartition(')')[2].split()[19]}"
        return None
    said = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return said.stdout.strip() or None


def _lock(number: int) -> bool | None:
    """Lock a file; False where another process has it locked, None where its disk has no locks."""
    try:
        fcntl.lockf(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return False if error.errno in BUSY else None
    return True


def _read(number: int, patience: float) -> dict[str, Any]:
    """Read what an owner wrote of itself, which may come a moment after its lock."""
    end = time.monotonic() + patience
    while True:
        with suppress(ValueError, TypeError):  # of somebody else, or half of it
            return dict(json.loads(os.pread(number, 4096, 0)))
        if time.monotonic() >= end:
            return {}
        time.sleep(0.02)


def _write(number: int, said: str) -> None:
    with suppress(OSError):  # a full disk takes the name away, not the lock
        os.ftruncate(number, 0)
        os.pwrite(number, said.encode(), 0)
