"""From a video file to the pixels that a view wants, and no others (PyAV).

Measured to be several times faster than decoding all and choosing later, because

* it seeks to the key frame before the first wanted frame and stops at the last;
* frames that no other frame refers to and nobody wants are never decoded (``skip_frame`` is set packet by packet);
* cutting, scaling and colour conversion are one pass of libswscale, over wanted frames only.

One decoding thread: the loader's workers are the parallelism, and PyAV with threads can hang when left early.
"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from types import TracebackType

import av
import av.filter
import numpy as np
from jaxtyping import UInt8

from vivit.data.sampling import Extent, Window


class VideoError(ValueError):
    """A video that cannot be read; the message names the file and the reason."""

    def __init__(self, path: str, reason: str = "") -> None:
        # torch builds the error of a worker anew from its whole text; without the default it would be a RuntimeError
        super().__init__(f"{path}: {reason}" if reason else path)
        self.path = path
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.path, self.reason)


class VideoFile:
    """An open video, or the part of it between ``start`` and ``end`` (seconds from its first frame).

    Opening reads the packets' timestamps without decoding, unless an index told them (``stamps`` of the whole file).
    Frame numbers count displayed frames of the part, from 0.
    """

    def __init__(
        self, path: str, start: float | None = None, end: float | None = None, stamps: Sequence[int] | None = None
    ) -> None:
        self.path = path
        try:
            self._container = av.open(path, metadata_errors="ignore")
        except (av.FFmpegError, OSError) as error:
            raise VideoError(path, f"cannot be opened ({error.strerror or error})") from None
        try:
            self._list_frames(start, end, stamps)
        except av.FFmpegError as error:
            self.close()
            raise VideoError(path, f"is damaged ({error.strerror})") from None
        except BaseException:
            self.close()
            raise

    def _list_frames(self, start: float | None, end: float | None, stamps: Sequence[int] | None) -> None:
        if not self._container.streams.video:
            raise VideoError(self.path, "has no picture, only sound or data")
        stream = self._stream = self._container.streams.video[0]
        stream.codec_context.thread_count = 1
        if stamps is None:
            packets = self._container.demux(stream)
            stamps = sorted(p.pts for p in packets if p.pts is not None and p.size and not p.is_discard)
        if not stamps or stream.time_base is None:
            raise VideoError(self.path, "holds no frame with a timestamp")
        if stream.codec_context.pix_fmt is None:
            raise VideoError(self.path, "holds no picture that can be decoded; the file is damaged")
        first, unit = stamps[0], float(stream.time_base)
        slack = 0.01  # of a tick: 0.28 s times 12800 is a little more than 3584, and would miss the frame at 0.28 s
        low = 0 if start is None else int(np.searchsorted(stamps, first + start / unit - slack))
        high = len(stamps) if end is None else int(np.searchsorted(stamps, first + end / unit - slack))
        if low >= high:
            raise VideoError(
                self.path, f"has no frame between {start} and {end} s; it lasts {(stamps[-1] - first) * unit:.2f} s"
            )
        self._stamps = stamps[low:high]

    @property
    def stamps(self) -> Sequence[int]:
        """Timestamps of the frames, ascending, in ticks of ``time_base`` seconds."""
        return self._stamps

    @property
    def time_base(self) -> Fraction:
        """Length of a tick in seconds."""
        return self._stream.time_base or Fraction(1)

    @property
    def extent(self) -> Extent:
        """Frames, height and width."""
        return Extent(len(self._stamps), self._stream.height, self._stream.width)

    def read(
        self, numbers: Sequence[int], windows: Sequence[Window], size: tuple[int, int]
    ) -> UInt8[np.ndarray, "windows f h w 3"]:
        """Decode the frames ``numbers``, in that order and with repeats, through every window, scaled to ``size``.

        Raises ``VideoError`` where a frame is damaged or missing.
        """
        wanted = {self._stamps[number] for number in numbers}
        found: dict[int | None, list[np.ndarray]] = {}
        graphs = [self._graph(window, size) for window in windows]
        try:
            for thorough in (False, True):
                for frame in self._decode(wanted, thorough):
                    found[frame.pts] = [self._through(graph, frame) for graph in graphs]
                if wanted <= found.keys():
                    break
        except av.FFmpegError as error:
            raise VideoError(self.path, f"is damaged ({error.strerror})") from None
        if missing := wanted - found.keys():
            raise VideoError(self.path, f"lacks {len(missing)} of {len(wanted)} wanted frames; the file is damaged")
        pictures = [found[self._stamps[number]] for number in numbers]
        return np.stack([np.stack(view) for view in zip(*pictures, strict=True)])

    def _decode(self, wanted: set[int], thorough: bool) -> list[av.VideoFrame]:
        """Decode the wanted frames; ``thorough`` starts at the file's beginning and skips nothing."""
        context, frames = self._stream.codec_context, []
        context.flush_buffers()
        self._container.seek(0 if thorough else min(wanted), stream=self._stream, backward=True)
        for packet in self._container.demux(self._stream):
            needed = thorough or packet.pts is None or packet.pts in wanted
            context.skip_frame = "DEFAULT" if needed else "NONREF"
            frames += [frame for frame in packet.decode() if frame.pts in wanted]
            if len(frames) == len(wanted):
                break
        return frames

    def _graph(self, window: Window, size: tuple[int, int]) -> av.filter.Graph:
        graph = av.filter.Graph()
        graph.threads = 1  # the default of one per core made a clip of 64x64 pixels ten times slower
        chain = [
            graph.add_buffer(template=self._stream),
            graph.add("crop", f"{window.width}:{window.height}:{window.left}:{window.top}:exact=1"),
            graph.add("scale", f"{size[1]}:{size[0]}:flags=bilinear"),
            graph.add("format", "rgb24"),
            graph.add("buffersink"),
        ]
        for left, right in pairwise(chain):
            left.link_to(right)
        graph.configure()
        return graph

    @staticmethod
    def _through(graph: av.filter.Graph, frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
        graph.push(frame)
        return graph.pull().to_ndarray()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __enter__(self) -> "VideoFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
