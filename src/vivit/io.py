"""Files and folders that are there as a whole or not at all; a lock to wait for; JSON."""

import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import Any


@contextmanager
def atomic_write(target: Path, *, sync: bool = False) -> Iterator[Path]:
    """Yield a path beside ``target`` to write to; what is written there takes its name if nothing failed.

    An older file of that name stays as it was until then, and also where nothing was written. ``sync`` has the file
    on disk before it is renamed, so that not even a loss of power leaves half of it.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        yield partial
        if partial.is_file():
            if sync:
                with partial.open("rb") as file:
                    os.fsync(file.fileno())
            partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


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
