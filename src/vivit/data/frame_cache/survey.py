"""What decides a cache: the videos of a split, by their files, and how much room their frames take."""

import hashlib
import os
import platform
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import av
import numpy as np

from vivit.addresses import is_address
from vivit.data.frame_cache.cache_file import FORMAT, Survey
from vivit.data.frame_cache.pictures import PictureKind, UncacheableError
from vivit.data.readers.open_video import has_timestamps, open_video
from vivit.data.readers.video_error import VideoError
from vivit.data.storage.stored_file import StoredFile
from vivit.structures import Video


class CachePlan:
    """The different videos of a split, and the key of their cache.

    Crops, strides and resizing have no part in it, because pictures are stored as they are decoded.
    """

    def __init__(self, videos: Sequence[Video]) -> None:
        numbers: dict[tuple[Any, ...], int] = {}
        self.videos: list[Video] = []
        rows = []
        for video in videos:
            stamps = video.stamps if video.stamps is None or isinstance(video.stamps, range) else tuple(video.stamps)
            rate = () if video.frames_fps is None else (video.frames_fps,)  # keys of other caches stay as they were
            part = (video.path, video.start, video.end, video.frame_range, stamps, video.include_previous, *rate)
            if part not in numbers:
                numbers[part] = len(self.videos)
                self.videos.append(video)
            rows.append(numbers[part])
        self.rows = np.array(rows, np.int64)
        self._parts = numbers

    @cached_property
    def key(self) -> str:
        """A name that changes with any file, with the list of videos, and with the decoder."""
        digest = hashlib.sha256(repr((FORMAT, platform.machine(), sorted(av.library_versions.items()))).encode())
        files: dict[str, str] = {}
        for part, number in self._parts.items():
            path = str(part[0])
            if path not in files:
                stored = self.videos[number].stored
                files[path] = fingerprint(path) if stored is None else _place(stored)
            digest.update(repr((part, files[path])).encode("utf-8", "surrogateescape"))
        digest.update(self.rows.tobytes())
        return digest.hexdigest()[:32]


def _place(stored: StoredFile) -> str:
    """Return where a video in storage lies, and its version or that of the local tar file with it, as text."""
    version = stored.version or ("" if is_address(stored.address) else fingerprint(stored.address))
    return repr((stored.offset, stored.size, *([version] if version else [])))


def fingerprint(path: str) -> str:
    """Return size and time of change of a file, or of all files of a folder, as text; empty without the file."""
    try:
        if not os.path.isdir(path):  # noqa: PTH112  # a Path for every picture of a folder would take seconds
            return _version(os.stat(path))  # noqa: PTH116
        with os.scandir(path) as entries:
            return repr(sorted((entry.name, _version(entry.stat())) for entry in entries))
    except OSError:
        return ""


def _version(stat: os.stat_result) -> str:
    return f"{stat.st_size} {stat.st_mtime_ns}"


def survey(video: Video) -> Survey | None:
    """Return what the pictures of a video are, of which the first is decoded; None where that fails."""
    kinds: list[PictureKind] = []
    try:
        with open_video(video, square_pixels=True) as reader:
            height, wide = reader.orientation.displayed_size(reader.shape[1:])
            reader.visit([0], lambda _, frame: kinds.append(PictureKind.of(frame, wide, reader.orientation)))
            fits = (kinds[0].height, kinds[0].width) == reader.stored_size and kinds[0].height == height
            times = reader.times() if has_timestamps(video) else None
            return Survey(reader.shape.frames, kinds[0], times) if fits else None
    except (VideoError, UncacheableError):
        return None


def total_bytes(surveys: Iterable[Survey | None]) -> int:
    """Return the bytes that the pictures of videos take."""
    return sum(each.frames * each.kind.frame_bytes for each in surveys if each)


def spread(count: int, of: int) -> list[int]:
    """Return ``count`` numbers below ``of``, evenly spread."""
    return [at * of // count for at in range(count)]
