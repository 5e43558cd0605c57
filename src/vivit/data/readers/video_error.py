"""The error about a video that cannot be read."""

from collections.abc import Iterator
from contextlib import contextmanager

import av

from vivit.errors import DataError


class VideoError(DataError):
    """A video cannot be read: ``file`` is its path, ``problem`` the reason."""


class StorageError(VideoError):
    """A video could not be fetched, which is no fault of the video: no other is read in its place."""


@contextmanager
def as_video_error(path: object) -> Iterator[None]:
    """Raise whatever FFmpeg and PyAV raise about a file as its ``VideoError``.

    PyAV parses headers with its own code, which may meet an odd form with any kind of exception. Such an exception
    must not end a run without naming the file.
    """
    try:
        yield
    except av.FFmpegError as error:  # its memory error too: a damaged header asks for any amount
        raise VideoError(path, f"is damaged ({error.strerror})") from None
    except (VideoError, MemoryError):
        raise
    except Exception as error:
        raise VideoError(path, f"cannot be read ({type(error).__name__}: {error})") from error
