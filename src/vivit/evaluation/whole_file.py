"""A file that is there as a whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(target: Path) -> Iterator[Path]:
    """Give a place beside the target to write to; what was written there takes the target's name if nothing failed.

    Until then an older file of that name stays as it was, and also where nothing was written.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        yield partial
        if partial.is_file():
            partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
