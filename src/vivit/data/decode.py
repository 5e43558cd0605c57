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
from fractions import Fraction
from types import TracebackType

import av
import av.stream
import numpy as np
from jaxtyping import UInt8

from vivit.data.conversion import Converter, Orientation
from vivit.data.sampling import Extent, Window
from vivit.data.timestamps import list_frames, promised
from vivit.data.video_error import VideoError

__all__ = ["VideoError", "VideoFile"]


class VideoFile:
    """An open video, or the part of it between ``start`` and ``end`` (seconds from its first frame).

    Opening reads the packets' timestamps without decoding, unless ``stamps`` gives those of a whole file that an
    index knows. Frame numbers count displayed frames of the part, from 0; height and width are the displayed ones.
    """

    distrusted: str | None = None
    """Why the packets do not tell the frames, so that ``stamps`` only spreads these evenly; None: they do."""

    def __init__(
        self, path: str, start: float | None = None, end: float | None = None, stamps: Sequence[int] | None = None
    ) -> None:
        self.path, self._orientation = path, Orientation()
        self._open()
        try:
            if _has_display_matrix(self._container):
                first = next(self._in_order(), None)
                if first is None:
                    raise VideoError(path, "holds no picture that can be decoded; the file is damaged")
                self._orientation = Orientation.of(first)
                self.close()
                self._open()  # or the packets that this took would be missing from the list
            self._count_frames(stamps)
            self._choose_part(start, end)
        except av.FFmpegError as error:
            self.close()
            raise VideoError(path, f"is damaged ({error.strerror})") from None
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        """Open the file at its beginning."""
        try:
            self._container = av.open(self.path, metadata_errors="ignore")
        except (av.FFmpegError, OSError) as error:
            raise VideoError(self.path, f"cannot be opened ({error.strerror or error})") from None
        covers = av.stream.Disposition.attached_pic
        films = [stream for stream in self._container.streams.video if not stream.disposition & covers]
        if not films or films[0].codec_context is None:
            self.close()
            raise VideoError(self.path, "has no moving picture that can be decoded, only sound or data")
        self._stream = films[0]
        for stream in self._container.streams:
            stream.discard = av.stream.Discard.default if stream is self._stream else av.stream.Discard.all
        self._stream.codec_context.thread_count = 1
        try:
            self._stream.codec_context.open()  # before anything is skipped: dav1d would skip the same to its end
        except av.FFmpegError as error:
            self.close()
            raise VideoError(self.path, f"cannot be decoded ({error.strerror}); its header is damaged") from None

    def _count_frames(self, stamps: Sequence[int] | None) -> None:
        """Find the time of every frame of the file, in ticks."""
        if stamps is None:
            stamps, self.distrusted = list_frames(self._container, self._stream)
        if self.distrusted:
            step = 1 / (float(self._stream.average_rate or 25) * self._unit)
            stamps = [round(number * step) for number, _ in enumerate(self._in_order())]
        if not stamps or self._stream.time_base is None:
            raise VideoError(self.path, "holds no frame with a timestamp")
        if self._stream.codec_context.pix_fmt is None:
            raise VideoError(self.path, "holds no picture that can be decoded; the file is damaged")
        self._all = stamps
        promise, ends = promised(self._container, self._stream), stamps[-1] * self._unit
        if ends < 0.9 * promise - 1:
            raise VideoError(self.path, f"is cut off; it ends at {ends:.2f} of the {promise:.2f} s that it promises")

    def _choose_part(self, start: float | None, end: float | None) -> None:
        times, first = self._all, self._all[0]
        slack = 0.01  # of a tick: 0.28 s times 12800 is a little more than 3584, and would miss the frame at 0.28 s
        low = 0 if start is None else bisect_left(times, first + start / self._unit - slack)
        high = len(times) if end is None else bisect_left(times, first + end / self._unit - slack)
        if low >= high:
            lasts = (times[-1] - first) * self._unit
            raise VideoError(self.path, f"has no frame between {start} and {end} s; it lasts {lasts:.2f} s")
        self._part = range(low, high)

    @property
    def stamps(self) -> Sequence[int]:
        """Timestamps of the frames, ascending, in ticks of ``time_base`` seconds."""
        return self._all[self._part.start : self._part.stop]

    @property
    def time_base(self) -> Fraction:
        """Length of a tick in seconds."""
        return self._stream.time_base or Fraction(1)

    @property
    def _unit(self) -> float:
        return float(self.time_base)

    @property
    def extent(self) -> Extent:
        """Frames, height and width."""
        return Extent(len(self._part), *self._orientation.shown((self._stream.height, self._stream.width)))

    def read(
        self, numbers: Sequence[int], windows: Sequence[Window], size: tuple[int, int]
    ) -> UInt8[np.ndarray, "windows f h w 3"]:
        """Decode the frames ``numbers``, in that order and with repeats, through every window, scaled to ``size``.

        Raises ``VideoError`` where a frame is damaged or missing.
        """
        wanted = sorted({self._part[number] for number in numbers})
        place = {number: at for at, number in enumerate(wanted)}
        views = np.empty((len(windows), len(wanted), *size, 3), np.uint8)
        convert = Converter((self._stream.height, self._stream.width), self._orientation, windows, size)
        missing = set(wanted)
        try:
            for number, frame in self._frames(wanted):
                convert(frame, views[:, place[number]])
                missing.discard(number)
        except av.FFmpegError as error:
            raise VideoError(self.path, f"is damaged ({error.strerror})") from None
        except ValueError as error:
            raise VideoError(self.path, str(error)) from None
        if missing:
            raise VideoError(self.path, f"lacks {len(missing)} of {len(wanted)} wanted frames; the file is damaged")
        order = [place[self._part[number]] for number in numbers]
        return views if order == list(range(len(wanted))) else views[:, order]

    def _frames(self, wanted: Sequence[int]) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decode frames of the file, ascending numbers."""
        if self.distrusted:
            for number, frame in enumerate(self._in_order()):
                if number in wanted:
                    yield number, frame
                if number == wanted[-1]:
                    return
            return
        numbers = {self._all[number]: number for number in wanted}
        for earlier in (0, int(10 / self._unit), None):
            for frame in self._near(set(numbers), earlier):
                if frame.pts in numbers:
                    yield numbers.pop(frame.pts), frame
            if not numbers:
                return

    def _in_order(self) -> Iterator[av.VideoFrame]:
        """Decode everything from the beginning."""
        self.close()
        self._open()
        yield from self._container.decode(self._stream)

    def _near(self, wanted: set[int], earlier: int | None) -> Iterator[av.VideoFrame]:
        """Decode from the last key frame that is ``earlier`` ticks before the first wanted one; None: from the start.

        Nothing comes where the seek went wrong: not to a key frame, or to one that is shown after a wanted frame, so
        that frames between may refer to what is not there.
        """
        first = min(wanted)
        if earlier is None:
            self.close()
            self._open()
        else:
            self._stream.codec_context.flush_buffers()
            self._container.seek(first - earlier, stream=self._stream, backward=True)
        context = self._stream.codec_context
        at_start, sent = True, set(wanted)
        for packet in self._container.demux(self._stream):
            if at_start and earlier is not None and not (packet.is_keyframe and (packet.pts or 0) <= first):
                return
            at_start = False
            context.skip_frame = "DEFAULT" if packet.pts in sent or packet.pts is None else "NONREF"
            yield from packet.decode()
            sent.discard(packet.pts)
            if not sent and packet.size:
                yield from context.decode(None)  # what it holds back until it has seen later packets
                return

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _has_display_matrix(container: av.container.InputContainer) -> bool:
    """Whether a file says that its pictures are shown turned; FFmpeg tells it without decoding only in words."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        return "Display Matrix" in container.dumps_format()  # type: ignore[attr-defined]
    finally:
        av.logging.set_level(level)
