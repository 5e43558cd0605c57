"""Video files, decoded by PyAV to the pixels that a view needs and no others.

Measured to be several times faster than decoding everything and selecting later, because

* it seeks to the key frame before the first selected frame and stops at the last;
* unselected frames that no other frame refers to are never decoded (``skip_frame`` is set packet by packet);
* cropping, resizing and colour conversion are one pass of libswscale, over selected frames only.

Where a file's timestamps do not correspond to its frames, frames are numbered in the order in which a decoder shows
them, which takes a full decode. One decoding thread: the loader's workers are the parallelism, and PyAV with threads
can hang when closed early.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from types import TracebackType

import av
import numpy as np
from jaxtyping import UInt8

from vivit.data.frame_times import FrameTimes
from vivit.data.readers.damage import DamageTracker
from vivit.data.readers.frame_converter import Converter, Orientation
from vivit.data.readers.packet_index import index_packets
from vivit.data.readers.stream_decoder import StreamDecoder
from vivit.data.readers.streams import can_seek, is_picture_format, may_be_rotated, open_container
from vivit.data.readers.truncation import header_duration, is_truncated, last_end, missing_bytes, missing_frames
from vivit.data.readers.video_error import VideoError, as_video_error
from vivit.data.storage.stored_file import OpenFile, StoredFile
from vivit.data.views import CropBox, VideoShape

NEAR, FAR = 0.0, 10.0
"""Seconds before the first selected frame to which a seek is tried."""


class PyAVVideoReader:
    """An open video, or the part of it between ``start`` and ``end`` (seconds from its first frame).

    With ``include_previous`` the part has the frame before those, too.

    Opening reads the packets' timestamps without decoding, unless ``stamps`` are those of the complete file from an
    index. The decoder gets the first packet before any other: it may contain what all others need, a palette or the
    version of the encoder. Frame numbers count displayed frames of the part, from 0; height and width are the
    displayed ones. Pixels that are not square count as if they were, unless ``square_pixels``: then the width is that
    of a player. Raises ``VideoError``.
    """

    untrusted_reason: str | None = None
    """Why packets do not correspond to frames, so that ``stamps`` only spreads these evenly; None: they do."""

    def __init__(
        self,
        path: str | StoredFile | OpenFile,
        start: float | None = None,
        end: float | None = None,
        stamps: Sequence[int] | None = None,
        *,
        square_pixels: bool = False,
        include_previous: bool = False,
    ) -> None:
        self.path, self._square_pixels = str(path), square_pixels
        with as_video_error(path):
            self.decoder = StreamDecoder(path)
            try:
                self._inspect(stamps)
                self._select_part(start, end, include_previous)
            except BaseException:
                self.close()
                raise

    def _inspect(self, stamps: Sequence[int] | None) -> None:
        """Find the time of every frame of the file, in ticks, and the size and orientation of the first."""
        packets = self.decoder.packets()
        start = next(packets, None)
        may_rotate = may_be_rotated(self.decoder.container, self.decoder.stream)
        first = None if start is None else self.decoder.prime(start, picture=may_rotate)
        if start is not None and stamps is None:
            stamps = self._index_frames(chain([start], packets))
        context = self.decoder.stream.codec_context
        if first is None and (may_rotate or not context.pix_fmt):  # it may begin with frames that need earlier ones
            first = next((frame for _, frame in self.decode_all(self.new_damage_tracker())), None)
            if first is None:
                raise VideoError(self.path, "holds no picture that can be decoded; the file is damaged")
        if not stamps or self.decoder.stream.time_base is None:
            raise VideoError(self.path, "holds no frame with a timestamp")
        self._file_stamps = stamps
        self.stored_size = (context.height, context.width) if first is None else (first.height, first.width)
        self.orientation = Orientation() if first is None else Orientation.of(first)
        aspect = self.decoder.stream.sample_aspect_ratio if self._square_pixels else None
        self._width = max(1, round(self.stored_size[1] * aspect)) if aspect else self.stored_size[1]

    def _index_frames(self, packets: Iterator[av.Packet]) -> Sequence[int]:
        """Return the time of every frame of the file. Raises ``VideoError`` where the file is cut off, or no video."""
        index = index_packets(self.decoder.container, self.decoder.stream, packets)
        missing, listed = missing_frames(self.decoder.container, self.decoder.stream)
        if missing:
            raise VideoError(
                self.path, f"is cut off; {missing} of the {listed} frames that its index names are missing"
            )
        stamps, self.untrusted_reason = index.stamps, index.untrusted_reason
        if self.untrusted_reason:
            count = sum(1 for _ in self.decode_all(self.new_damage_tracker()))
            rate = float(self.decoder.stream.average_rate or 25)
            stamps = index.spread_timestamps(count, rate, self.decoder.tick)
        if len(stamps) == 1 and is_picture_format(self.decoder.container):
            raise VideoError(self.path, "is a picture, no video")
        if stamps:
            duration = index.last_duration or (stamps[-1] - stamps[0]) / max(1, len(stamps) - 1)
            self._check_length((stamps[-1] + duration) * self.decoder.tick, duration * self.decoder.tick)
        return stamps

    def _check_length(self, end: float, frame_duration: float) -> None:
        """Raise ``VideoError`` for a video that ends too early, unless its header counts sound or a caption.

        ``end`` and ``frame_duration`` are seconds, of the last frame.
        """
        duration = header_duration(self.decoder.container, self.decoder.stream)
        missing, size = missing_bytes(self.decoder.container, self.decoder.file)
        if missing and (not duration or end + frame_duration < duration):
            raise VideoError(self.path, f"is cut off; {missing} of the {size} bytes that its header names are missing")
        if is_truncated(end, duration):
            with open_container(self.decoder.file) as container:
                truncated = is_truncated(last_end(container.demux()), duration)
            if truncated:
                raise VideoError(self.path, f"is cut off; it ends at {end:.2f} of {duration:.2f} s by its header")

    def _select_part(self, start: float | None, end: float | None, include_previous: bool) -> None:
        times, first, tick = self._file_stamps, self._file_stamps[0], self.decoder.tick
        low = 0 if start is None else bisect_left(times, first + start / tick - self._rounding)
        high = len(times) if end is None else bisect_left(times, first + end / tick - self._rounding)
        if low >= high:
            duration = (times[-1] - first) * tick
            raise VideoError(self.path, f"has no frame between {start} and {end} s; it lasts {duration:.2f} s")
        self._part, self._limits = range(max(low - include_previous, 0), high), (start, end)

    @property
    def _rounding(self) -> float:
        """Ticks by which a frame may come before a moment and still be the one shown then.

        A timestamp is rounded to whole ticks, so it is up to half of one too early. Where ticks are no finer than the
        frames, as in AVI, they are exact.
        """
        distance = (self._file_stamps[-1] - self._file_stamps[0]) / max(1, len(self._file_stamps) - 1)
        return (min(0.5, distance / 5) if distance else 0.5) + 1e-6  # for times that are no finite fractions

    @property
    def stamps(self) -> Sequence[int]:
        """Timestamps of the frames, ascending, in ticks of ``time_base`` seconds."""
        return self._file_stamps[self._part.start : self._part.stop]

    def times(self) -> FrameTimes:
        """Return when the frames begin."""
        return FrameTimes.of_part(self._file_stamps, self._part, self.decoder.tick, *self._limits)

    @property
    def time_base(self) -> Fraction:
        """Length of a tick in seconds."""
        return self.decoder.stream.time_base or Fraction(1)

    @property
    def shape(self) -> VideoShape:
        """Frames, height and width."""
        return VideoShape(len(self._part), *self.orientation.displayed_size((self.stored_size[0], self._width)))

    @property
    def stream(self) -> av.VideoStream:
        """The video stream, with what its header contains."""
        return self.decoder.stream

    def read(
        self, numbers: Sequence[int], boxes: Sequence[CropBox], size: tuple[int, int]
    ) -> UInt8[np.ndarray, "boxes f h w 3"]:
        """Return the frames ``numbers``, in that order and with repeats, cropped to every box and resized to ``size``.

        Raises ``VideoError`` where a frame is damaged or missing.
        """
        position = {number: at for at, number in enumerate(sorted(set(numbers)))}
        views = np.empty((len(boxes), len(position), *size, 3), np.uint8)
        convert = Converter(self.stored_size, self.orientation, boxes, size, self._width)
        self.visit(position, lambda number, frame: convert(frame, views[:, position[number]]))
        order = [position[number] for number in numbers]
        return views if order == list(range(len(position))) else views[:, order]

    def visit(self, numbers: Iterable[int], receive: Callable[[int, av.VideoFrame], None]) -> None:
        """Pass every frame of ``numbers`` to ``receive``, as it was decoded, with its number; again if it was damaged.

        Raises ``VideoError`` where a frame is damaged or missing.
        """
        missing = {self._part[number] for number in numbers}
        count = len(missing)
        with as_video_error(self.path):
            self.decoder.fetch_frames(missing)
            for earlier in self._seeks():
                damage, decoded = self.new_damage_tracker(), set()
                for key, number, frame in self._decode_selected(missing, earlier, damage):
                    receive(number - self._part.start, frame)
                    decoded.add((key, number))
                damaged = {number for key, number in decoded if damage.is_damaged(key)}
                missing -= {number for _, number in decoded} - damaged
                if not missing:
                    break
        if missing:
            which = f"{len(missing)} of {count} wanted frames"
            problem = f"is damaged in {which}" if missing & damaged else f"lacks {which}; it is damaged"
            raise VideoError(self.path, problem)

    def _seeks(self) -> Sequence[float | None]:
        """Return how far before selected frames each pass through the file begins, in seconds; None: at the start."""
        return (None,) if self.untrusted_reason or not can_seek(self.decoder.container) else (NEAR, FAR, None)

    def new_damage_tracker(self) -> DamageTracker:
        """Return an empty record of damage, for one pass through this file."""
        return DamageTracker(numbered=self.untrusted_reason is not None)

    def timestamp_of(self, key: int) -> int:
        """Return the timestamp of a frame of ``decode_all``."""
        return self._file_stamps[key] if self.untrusted_reason else key

    def decode_all(self, damage: DamageTracker) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode the file from its beginning, and yield each shown frame with the key under which damage is recorded.

        The key is the number of the frame where the packets are not trusted, else its timestamp.
        """
        for number, frame in enumerate(self.decoder.decode(self.decoder.from_start(), damage)):
            key = number if self.untrusted_reason or frame.pts is None else frame.pts
            damage.frame_decoded(key, frame)
            yield key, frame

    def _decode_selected(
        self, missing: set[int], earlier: float | None, damage: DamageTracker
    ) -> Iterator[tuple[int, int, av.VideoFrame]]:
        """Yield key, number and picture of the ``missing`` frames that one pass through the file shows."""
        if self.untrusted_reason:
            for number, frame in self.decode_all(damage):
                if number in missing:
                    yield number, number, frame
                if number > max(missing):
                    return
            return
        numbers = {self._file_stamps[number]: number for number in missing}
        with suppress(av.FFmpegError):  # whatever a seek raises, the next pass begins earlier
            for frame in self.decoder.decode_at(set(numbers), earlier, damage):
                if frame.pts in numbers:
                    yield frame.pts, numbers[frame.pts], frame

    def close(self) -> None:
        """Close the file."""
        self.decoder.close()

    def __enter__(self) -> "PyAVVideoReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
