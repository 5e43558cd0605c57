"""Decoding of videos into a cache, and the check that it yields what the decoder does."""

from typing import NamedTuple

import av
import numpy as np

from vivit.data.frame_cache.cache_file import Entry
from vivit.data.frame_cache.cached_video import CachedVideo
from vivit.data.frame_cache.pictures import StoredVideo
from vivit.data.frame_cache.survey import spread
from vivit.data.readers.frame_converter import Converter
from vivit.data.readers.open_video import open_video
from vivit.data.readers.video_error import VideoError
from vivit.data.views import CropBox
from vivit.structures import Video

CHECKED = 4
"""Frames of each video that are compared with a conversion of what the decoder returned."""


class FillTask(NamedTuple):
    """A video, and the place in a file that its pictures go to."""

    file: str
    video: Video
    entry: Entry


def fill(task: FillTask) -> str:
    """Decode all pictures of a video into a cache; return why the video cannot be cached; empty: it is."""
    entry, kind = task.entry, task.entry.kind
    pages = np.memmap(task.file, np.uint8, "r+", entry.offset, (entry.size,))
    stored = StoredVideo.at(pages, 0, entry.frames, kind)
    numbers = sorted(set(spread(CHECKED, entry.frames)))
    views = checked_views(*kind.orientation.displayed_size((kind.height, kind.width)))
    expected = [np.empty((1, len(numbers), *size, 3), np.uint8) for _, size in views]
    converters = [Converter((kind.height, kind.width), kind.orientation, [box], size) for box, size in views]

    def receive(number: int, frame: av.VideoFrame) -> None:
        stored.write(number, frame)
        if number in numbers:
            for convert, pictures in zip(converters, expected, strict=True):
                convert(frame, pictures[:, numbers.index(number)])

    try:
        with open_video(task.video) as reader:
            if reader.shape.frames != entry.frames:
                return "its file has changed"
            reader.visit(range(entry.frames), receive)
    except VideoError as error:
        return error.problem
    try:
        cached = [CachedVideo(stored).read(numbers, [box], size) for box, size in views]
    except (av.FFmpegError, ValueError) as error:
        return f"its pictures cannot be converted at once ({error})"
    return "" if all(map(np.array_equal, cached, expected)) else "its pictures are converted differently"


def checked_views(height: int, width: int) -> list[tuple[CropBox, tuple[int, int]]]:
    """Return two views of a picture: the complete one as it is, and one from within, scaled."""
    box = CropBox(height // 7, width // 5, max(1, height * 3 // 4), max(1, width * 3 // 4))
    return [
        (CropBox(0, 0, height, width), (height, width)),
        (box, (max(1, height * 5 // 9), max(1, width * 5 // 9))),
    ]
