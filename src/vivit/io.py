"""Files and folders that are there as a whole or not at all; files in memory; a lock to wait for; JSON."""

import fcntl
import json
import math
import os
import secrets
import socket
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any


@contextmanager
def atomic_write(target: Path, *, sync: bool = False) -> Iterator[Path]:
    """Yield a path beside ``target`` to write to; what is written there takes its name if nothing failed.

    An older file of that name stays as it was until then, and also where nothing was written. ``sync`` has the file
    on disk before it is renamed, so that not even a loss of power leaves half of it. No two writers of one target
    have the same path, whatever process or machine they are in: the last to end counts. The path is hidden and ends
    in ``.partial``. What a killed process left there is written over by the next writer on that machine.
    """
    with _partial_file(target) as (partial, lock):
        os.utime(lock, ns=(0, 0))  # tells a file that was written, though empty, from one that was not
        try:
            yield partial
            written = partial.stat() if partial.is_file() else None
            if written and (written.st_size or written.st_mtime_ns):
                if sync:
                    with partial.open("rb") as file:
                        os.fsync(file.fileno())
                partial.replace(target)
            else:
                partial.unlink(missing_ok=True)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def _partial_file(target: Path) -> Iterator[tuple[Path, int]]:
    """Yield an empty file beside a target that no other writer has, and its descriptor, which locks it.

    Its name is that of this machine, which a lock keeps for one writer at a time. Another writer draws a name.
    """
    host = _cut(socket.gethostname().replace("/", "-"), 64)
    stem = f".{_cut(target.name, 255 - len(os.fsencode(host)) - 32)}.{host}"
    partial = target.with_name(f"{stem}.partial")
    lock = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if not _is_locked(lock, partial):
            os.close(lock)
            partial = target.with_name(f"{stem}.{secrets.token_hex(8)}.partial")
            lock = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        os.truncate(lock, 0)
        yield partial, lock
    finally:
        with suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_UN)  # processes that were forked meanwhile have the descriptor too
        os.close(lock)


def _is_locked(descriptor: int, file: Path) -> bool:
    """Return whether an open file is locked now by this descriptor, and has still its name."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # another has it
        return False
    except OSError:  # this disk has no locks
        file.unlink(missing_ok=True)
        return False
    try:
        return os.path.samestat(os.fstat(descriptor), file.stat())
    except FileNotFoundError:  # the other writer has renamed it since
        return False


def _cut(name: str, length: int) -> str:
    """Return as much of a name as has ``length`` bytes on a disk."""
    return os.fsencode(name)[:length].decode("utf-8", "ignore")


@contextmanager
def atomic_output(target: Path) -> Iterator[Path]:
    """Yield a path to write ``target`` to, a file or a folder; all that lies there moves beside ``target`` at the end.

    Folders above the target are made only then. Raises FileExistsError where something of that name is there by then.
    """
    above = next(folder for folder in target.absolute().parents if folder.exists())
    with TemporaryDirectory(dir=above, prefix=f".{target.name}.") as folder:
        yield Path(folder) / target.name
        written = sorted(Path(folder).iterdir(), reverse=True)  # what lies beside the target first
        for part in written:
            if (taken := target.parent / part.name).exists():
                raise FileExistsError(f"{taken} is there by now, and is not written over")
        target.parent.mkdir(parents=True, exist_ok=True)
        for part in written:
            part.replace(target.parent / part.name)


class MemoryFile:
    """An empty file in memory, which ends with the last process that uses it, however that ends.

    Processes of the same user on the same machine open it by ``path`` as long as this object lives. Where there are no
    such files it is a temporary one.
    """

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("vivit")
            self.path = f"/proc/{os.getpid()}/fd/{descriptor}"
            weakref.finalize(self, os.close, descriptor)
        else:
            descriptor, self.path = tempfile.mkstemp(prefix="vivit-")
            os.close(descriptor)
            weakref.finalize(self, Path(self.path).unlink, missing_ok=True)


@contextmanager
def wait_for_lock(file: Path) -> Iterator[None]:
    """Wait until no other process has this lock, and have it. The file stays, empty."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def time_of_disk(folder: Path) -> float:
    """Return the time by the clock that sets the times of files in a folder, which may be another machine's."""
    with NamedTemporaryFile(dir=folder, prefix=".time-") as probe:
        return Path(probe.name).stat().st_mtime


def write_json(file: Path, content: Mapping[str, Any]) -> None:
    """Write JSON as a whole. It has no NaN and no infinity, which strict readers refuse: null stands in their place."""
    with atomic_write(file) as partial:
        partial.write_text(json.dumps(_strict(content), indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _strict(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _strict(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_strict(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
