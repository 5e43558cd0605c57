"""Printing that cannot fail: a closed pipe, a lost terminal or a letter that it cannot show never ends a command."""

import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import Any

NO_READER = (errno.EPIPE, errno.EIO, errno.ENXIO, errno.EBADF)
"""Errors of a pipe or a terminal whose other end is closed, and of a closed descriptor."""
STRICT = ("strict", "surrogateescape")
"""Error handlers of Python under which a letter that an encoding lacks raises."""


class SteadyFile(io.FileIO):
    """A file descriptor whose writes never fail: what cannot be written is dropped.

    Once it has no reader any more, the descriptor is redirected to /dev/null for good, because libraries and later
    processes write to it too.
    """

    def write(self, data: Any, /) -> int:
        """Write all of ``data``, waiting where a pipe that is read elsewhere is full."""
        rest = memoryview(data).cast("B")
        size = rest.nbytes
        try:
            while rest:
                written = super().write(rest)
                if written is None:
                    select.select([], [self.fileno()], [], 1.0)
                rest = rest[written or 0 :]
        except OSError as error:
            if error.errno in NO_READER:
                redirect_to_null(self.fileno())
        return size


def steady_output() -> None:
    """Replace the standard streams of this process by ones that no pipe, terminal or encoding can make fail.

    Descriptors that were closed at the start are opened on /dev/null, or the next file that is opened would get their
    number and what libraries print. A stream that was replaced already (by a notebook, a test) is left alone.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            redirect_to_null(number)
    sys.stdout = steady_stream(sys.stdout, 1)
    sys.stderr = steady_stream(sys.stderr, 2)


def steady_stream(stream: Any, number: int) -> Any:
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


def redirect_to_null(number: int) -> None:
    """Redirect a descriptor to where all that is written is lost, and nothing can be read."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != number:
        os.dup2(null, number)
        os.close(null)
    else:
        os.set_inheritable(number, True)


def _is_on(stream: io.TextIOWrapper, number: int) -> bool:
    try:
        return stream.fileno() == number
    except (OSError, ValueError):
        return False
