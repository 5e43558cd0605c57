"""What a command says can be lost, and never ends it: a closed pipe, a lost terminal, letters that it cannot show."""

import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import Any

NOBODY_READS = (errno.EPIPE, errno.EIO, errno.ENXIO, errno.EBADF)
"""What a pipe or a terminal says once its other end is closed, and what a closed descriptor says."""
STRICT = ("strict", "surrogateescape")
"""What Python does by itself about letters that an encoding lacks: it raises."""


class SteadyFile(io.FileIO):
    """A file descriptor whose writes never fail: what cannot be written is dropped.

    Where nobody reads any more, the descriptor is pointed to nowhere for good, for libraries and processes started
    later write to it too.
    """

    def write(self, data: Any, /) -> int:
        """Write all of ``data``, waiting where a pipe that is read elsewhere is full."""
        left = memoryview(data).cast("B")
        size = left.nbytes
        try:
            while left:
                written = super().write(left)
                if written is None:
                    select.select([], [self.fileno()], [], 1.0)
                left = left[written or 0 :]
        except OSError as error:
            if error.errno in NOBODY_READS:
                point_nowhere(self.fileno())
        return size


def keep_output_steady() -> None:
    """Let this process print without a thought: to no pipe, terminal or encoding that fails can it fail.

    Descriptors that were closed at the start lead nowhere, or the next file that is opened would get their number and
    what libraries print. A stream that something else was put in the place of (a notebook, a test) is left alone.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            point_nowhere(number)
    sys.stdout = steadied(sys.stdout, 1)
    sys.stderr = steadied(sys.stderr, 2)


def steadied(stream: Any, number: int) -> Any:
    """Return a stream like ``stream`` on the descriptor ``number`` that cannot fail."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123
    if not isinstance(stream, io.TextIOWrapper) or not _is_on(stream, number):
        return stream
    with suppress(OSError):
        stream.flush()
    raw = SteadyFile(number, "wb", closefd=False)
    utf8 = stream.encoding.lower().replace("-", "") == "utf8"
    lossless = utf8 and stream.errors == "surrogateescape"
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),  # type: ignore[arg-type]  # as Python itself does
        encoding=stream.encoding,
        errors="replace" if stream.errors in STRICT and not lossless else stream.errors,
        newline="\n",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def point_nowhere(number: int) -> None:
    """Have a descriptor lead to where all that is written is lost, and nothing can be read."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)
    else:
        os.set_inheritable(number, True)


def _is_on(stream: io.TextIOWrapper, number: int) -> bool:
    try:
        return stream.fileno() == number
    except (OSError, ValueError):
        return False
