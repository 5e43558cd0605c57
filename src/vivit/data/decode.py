"""From a video file to the pixels that a view wants, and no others (PyAV).

Measured to be several times faster than decoding all and choosing later, because

* it seeks to the key frame before the first wanted frame and stops at the last;
* frames that no other frame refers to and nobody wants are never decoded (``skip_frame`` is set packet by packet);
* cutting, scaling and colour conversion are one pass of libswscale, over wanted frames only.

Where a file's timestamps do not tell its frames, these are numbered in the order in which a decoder shows them, which
takes a full decode. One decoding thread: the loader's workers are the parallelism, and PyAV with threads can hang when
left early.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fractions import Fraction
from itertools import chain
from types import TracebackType

import av
import numpy as np
from jaxtyping import UInt8

from vivit.data.complete import is_cut, last_end, missing_bytes, missing_frames, promised
from vivit.data.conversion import Converter, Orientation
from vivit.data.damage import Damage
from vivit.data.film import Film
from vivit.data.sampling import Extent, Window
from vivit.data.streams import can_seek, holds_pictures, is_turned
from vivit.data.timestamps import list_frames
from vivit.data.video_error import VideoError, file_errors_named

__all__ = ["VideoError", "VideoFile"]

NEAR, FAR = 0.0, 10.0
"""Seconds before the first wanted frame to which a seek is tried."""


class VideoFile:
    """An open video, or the part of it between ``start`` and ``end`` (seconds from its first frame).

    Opening reads the packets' timestamps without decoding, unless ``stamps`` gives those of a whole file that an
    index knows. The decoder is given the first packet before any other: it may hold what all others need, a palette or
    the version of the encoder. Frame numbers count displayed frames of the part, from 0; height and width
    are the displayed ones. Pixels that are not square count as if they were, unless ``square_pixels``: then the width
    is that of a player. Raises ``VideoError``.
    """

    distrusted: str | None = None
    """Why the packets do not tell the frames, so that ``stamps`` only spreads these evenly; None: they do."""

    def __init__(
        self,
        path: str,
        start: float | None = None,
        end: float | None = None,
        stamps: Sequence[int] | None = None,
        *,
        square_pixels: bool = False,
    ) -> None:
        self.path, self._square = path, square_pixels
        with file_errors_named(path):
            self._film = Film(path)
            try:
                self._count_frames(stamps)
                self._choose_part(start, end)
            except BaseException:
                self.close()
                raise

    def _count_frames(self, stamps: Sequence[int] | None) -> None:
        """Find the time of every frame of the file, in ticks, and how the first is shown."""
        packets = self._film.packets()
        start = next(packets, None)
        may_turn = is_turned(self._film.container, self._film.stream)
        first = None if start is None else self._film.prime(start, picture=may_turn)
        if start is not None and stamps is None:
            stamps = self._listed(chain([start], packets))
        context = self._film.stream.codec_context
        if first is None and (may_turn or not context.pix_fmt):  # a stream may begin with what needs earlier frames
            first = next((frame for _, frame in self.frames(self.damage())), None)
            if first is None:
                raise VideoError(self.path, "holds no picture that can be decoded; the file is damaged")
        if not stamps or self._film.stream.time_base is None:
            raise VideoError(self.path, "holds no frame with a timestamp")
        self._all = stamps
        self._stored = (context.height, context.width) if first is None else (first.height, first.width)
        self._orientation = Orientation() if first is None else Orientation.of(first)
        shape = self._film.stream.sample_aspect_ratio if self._square else None
        self._width = max(1, round(self._stored[1] * shape)) if shape else self._stored[1]

    def _listed(self, packets: Iterator[av.Packet]) -> Sequence[int]:
        """Return the time of every frame of the file. Raises ``VideoError`` where the file is cut off, or no film."""
        listing = list_frames(self._film.container, self._film.stream, packets)
        behind, named = missing_frames(self._film.container, self._film.stream)
        if behind:
            raise VideoError(self.path, f"is cut off; {behind} of the {named} frames that its index names are missing")
        stamps, self.distrusted = listing.stamps, listing.distrusted
        if self.distrusted:
            count = sum(1 for _ in self.frames(self.damage()))
            stamps = listing.spread(count, float(self._film.stream.average_rate or 25), self._film.unit)
        if len(stamps) == 1 and holds_pictures(self._film.container):
            raise VideoError(self.path, "is a picture, no video")
        if stamps:
            length = listing.last or (stamps[-1] - stamps[0]) / max(1, len(stamps) - 1)
            self._check_promise((stamps[-1] + length) * self._film.unit, length * self._film.unit)
        return stamps

    def _check_promise(self, end: float, length: float) -> None:
        """Refuse a film that ends too early, unless sound or a caption is what its header counts.

        ``end`` and ``length`` are seconds, of the last frame.
        """
        promise = promised(self._film.container, self._film.stream)
        lacking, size = missing_bytes(self._film.container, self.path)
        if lacking and (not promise or end + length < promise):
            raise VideoError(self.path, f"is cut off; {lacking} of the {size} bytes that its header names are missing")
        if is_cut(end, promise):
            with av.open(f"file:{self.path}", metadata_errors="ignore") as container:
                cut = is_cut(last_end(container.demux()), promise)
            if cut:
                raise VideoError(self.path, f"is cut off; it ends at {end:.2f} of the {promise:.2f} s that it promises")

    def _choose_part(self, start: float | None, end: float | None) -> None:
        times, first = self._all, self._all[0]
        low = 0 if start is None else bisect_left(times, first + start / self._film.unit - self._slack)
        high = len(times) if end is None else bisect_left(times, first + end / self._film.unit - self._slack)
        if low >= high:
            lasts = (times[-1] - first) * self._film.unit
            raise VideoError(self.path, f"has no frame between {start} and {end} s; it lasts {lasts:.2f} s")
        self._part = range(low, high)

    @property
    def _slack(self) -> float:
        """Ticks by which a frame may come before a moment and still be the one shown there.

        A timestamp is rounded to whole ticks, so it is up to half of one too early. Where ticks are no finer than the
        frames, as in AVI, they are exact.
        """
        distance = (self._all[-1] - self._all[0]) / max(1, len(self._all) - 1)
        return (min(0.5, distance / 5) if distance else 0.5) + 1e-6  # for times that are no finite fractions

    @property
    def stamps(self) -> Sequence[int]:
        """Timestamps of the frames, ascending, in ticks of ``time_base`` seconds."""
        return self._all[self._part.start : self._part.stop]

    @property
    def time_base(self) -> Fraction:
        """Length of a tick in seconds."""
        return self._film.stream.time_base or Fraction(1)

    @property
    def extent(self) -> Extent:
        """Frames, height and width."""
        return Extent(len(self._part), *self._orientation.shown((self._stored[0], self._width)))

    @property
    def stream(self) -> av.VideoStream:
        """What the header says of the pictures."""
        return self._film.stream

    @property
    def stored(self) -> tuple[int, int]:
        """Height and width of the pictures as they are stored."""
        return self._stored

    @property
    def orientation(self) -> Orientation:
        """How the stored pictures are turned for showing."""
        return self._orientation

    def read(
        self, numbers: Sequence[int], windows: Sequence[Window], size: tuple[int, int]
    ) -> UInt8[np.ndarray, "windows f h w 3"]:
        """Decode the frames ``numbers``, in that order and with repeats, through every window, scaled to ``size``.

        Raises ``VideoError`` where a frame is damaged or missing.
        """
        wanted = sorted({self._part[number] for number in numbers})
        place = {number: at for at, number in enumerate(wanted)}
        views = np.empty((len(windows), len(wanted), *size, 3), np.uint8)
        convert = Converter(self._stored, self._orientation, windows, size, self._width)
        missing = set(wanted)
        with file_errors_named(self.path):
            for earlier in self._ways():
                damage, shown = self.damage(), set()
                for key, number, frame in self._wanted(missing, earlier, damage):
                    convert(frame, views[:, place[number]])
                    shown.add((key, number))
                spoilt = {number for key, number in shown if damage.spoils(key)}
                missing -= {number for _, number in shown} - spoilt
                if not missing:
                    break
        if missing:
            what = f"{len(missing)} of {len(wanted)} wanted frames"
            raise VideoError(self.path, f"is damaged in {what}" if missing & spoilt else f"lacks {what}; it is damaged")
        order = [place[self._part[number]] for number in numbers]
        return views if order == list(range(len(wanted))) else views[:, order]

    def _ways(self) -> Sequence[float | None]:
        """Return the ways in which wanted frames are looked for: so many seconds before them, None: from the start."""
        return (None,) if self.distrusted or not can_seek(self._film.container) else (NEAR, FAR, None)

    def damage(self) -> Damage:
        """Return an empty record of damage, for a way through this file."""
        return Damage(numbered=self.distrusted is not None)

    def moment(self, key: int) -> int:
        """Return the timestamp of a frame of ``frames``."""
        return self._all[key] if self.distrusted else key

    def frames(self, damage: Damage) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode everything from the beginning, and yield each shown frame under the key that ``damage`` has for it.

        The key is the number of the frame where the file is distrusted, else its timestamp.
        """
        for number, frame in enumerate(self._film.decoded(self._film.from_start(), damage)):
            key = number if self.distrusted or frame.pts is None else frame.pts
            damage.shown(key, frame)
            yield key, frame

    def _wanted(
        self, missing: set[int], earlier: float | None, damage: Damage
    ) -> Iterator[tuple[int, int, av.VideoFrame]]:
        """Yield key, number and picture of the ``missing`` frames of the file that one way through it shows."""
        if self.distrusted:
            for number, frame in self.frames(damage):
                if number in missing:
                    yield number, number, frame
                if number > max(missing):
                    return
            return
        numbers = {self._all[number]: number for number in missing}
        with suppress(av.FFmpegError):  # whatever a seek raises, the next way begins further back
            for frame in self._film.wanted(set(numbers), earlier, damage):
                if frame.pts in numbers:
                    yield frame.pts, numbers[frame.pts], frame

    def close(self) -> None:
        """Close the file."""
        self._film.close()

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
