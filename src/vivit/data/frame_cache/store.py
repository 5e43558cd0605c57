"""Where a cache lies: in memory, gone with its processes, or in a folder, complete or absent."""

import os
import tempfile
import weakref
from pathlib import Path


class MemoryFile:
    """An empty file in memory, which ends with the last process that uses it, however that ends.

    Processes of the same user on the same machine open it by ``path`` as long as this object lives. Where there are no
    such files it is a temporary one.
    """

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("vivit-frames")
            self.path = f"/proc/{os.getpid()}/fd/{descriptor}"
            weakref.finalize(self, os.close, descriptor)
        else:
            descriptor, self.path = tempfile.mkstemp(prefix="vivit-frames-")
            os.close(descriptor)
            weakref.finalize(self, Path(self.path).unlink, missing_ok=True)


def reserve(file: Path, size: int) -> None:
    """Make a file as large as that, with all of its space. Raises ``OSError`` where there is too little."""
    with file.open("wb") as target:
        target.truncate(size)
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(target.fileno(), 0, size)
