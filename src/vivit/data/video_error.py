"""What is raised about a video that cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager

import av


class VideoError(ValueError):
    """A video that cannot be read; the message names the file and the reason."""

    def __init__(self, path: str, reason: str = "") -> None:
        # torch builds the error of a worker anew from its whole text; without the default it would be a RuntimeError
        super().__init__(f"{path}: {reason}" if reason else path)
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.path, self.reason)


@contextmanager
def file_errors_named(path: str) -> Iterator[None]:
    """Raise whatever FFmpeg and PyAV raise about a file as its ``VideoError``.

    PyAV reads headers with code of its own, which meets an odd form with any kind of exception. One of those must not
    end a run without a word about the file.
    """
    try:
        yield
    except av.FFmpegError as error:  # its memory error too: a damaged header asks for any amount
        raise VideoError(path, f"is damaged ({error.strerror})") from None
    except (VideoError, MemoryError):
        raise
    except Exception as error:
        raise VideoError(path, f"cannot be read ({type(error).__name__}: {error})") from error
