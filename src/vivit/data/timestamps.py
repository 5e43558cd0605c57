"""Which frames a file shows, and when, read from its packets without decoding, where they can be trusted."""

import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import av
import av.container


class Told(NamedTuple):
    """What is kept of a packet: not its bytes, which are all of the file."""

    pts: int | None
    dts: int | None
    duration: int
    size: int
    is_keyframe: bool
    is_discard: bool
    first: int
    """Its first byte."""


class Listing(NamedTuple):
    """When the frames of a file are shown, in ticks of its stream."""

    stamps: Sequence[int]
    """Timestamps of all frames shown, ascending."""
    last: int
    """How long the last of them is shown; 0 where the file does not contain it."""
    distrusted: str | None
    """Why the packets do not tell the frames, so that these have to be decoded and counted; None: they do."""
    order: Sequence[int]
    """Times at which the frames are decoded, ascending; empty where those do not ascend."""

    def spread(self, count: int, rate: float, unit: float) -> Sequence[int]:
        """Return timestamps for ``count`` decoded frames of a distrusted file.

        Those of decoding where there is one for each frame; else evenly, at the usual distance of those. ``rate`` is
        the header's number of frames a second, for a file without any times, ``unit`` a tick in seconds.
        """
        if count == len(self.order):
            return self.order
        steps = [b - a for a, b in pairwise(self.order)]
        step = statistics.median(steps) if steps else 1 / (rate * unit)
        return [round(number * step) for number in range(count)]


def list_frames(
    container: av.container.InputContainer, stream: av.VideoStream, packets: Iterable[av.Packet]
) -> Listing:
    """Return when the frames of a file are shown, from all of its packets.

    Frames that an edit list hides, and VP8's invisible ones, are not counted.
    """
    told = [
        Told(
            packet.pts, packet.dts, packet.duration or 0, packet.size, packet.is_keyframe, packet.is_discard,
            memoryview(packet)[0],
        )
        for packet in packets
    ]  # fmt: skip
    shown = [packet for packet in told if not packet.is_discard]
    if stream.codec_context.name == "vp8":
        shown = [packet for packet in shown if packet.first & 0x10]  # RFC 6386, section 9.1: show_frame
    stamps = sorted(packet.pts for packet in shown if packet.pts is not None)
    last = max((packet for packet in shown if packet.pts is not None), key=lambda packet: packet.pts or 0, default=None)
    order = [packet.dts for packet in shown if packet.dts is not None]
    ascending = len(order) == len(shown) and all(a < b for a, b in pairwise(order))
    return Listing(
        stamps,
        last.duration if last else 0,
        _distrusted(container, stream, told, shown) if shown else None,
        order if ascending else [],
    )


def _distrusted(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    packets: Sequence[Told],
    shown: Sequence[Told],
) -> str | None:
    stamps = {packet.pts for packet in shown if packet.pts is not None}
    if any(packet.pts is None for packet in shown):
        return "some frames have no timestamp"
    if len(stamps) < len(shown):
        return "some frames share a timestamp"
    decoded = [packet.dts for packet in packets if packet.dts is not None and not packet.is_discard]
    if any(b < a for a, b in pairwise(decoded)):
        return "its clock starts again"
    first = packets[0]
    if not first.is_keyframe or first.pts is None or (min(stamps) < first.pts and not first.is_discard):
        return "it begins with frames that need earlier ones"
    if container.format.name == "avi":  # it stores no times of presentation, so these are guessed
        if stream.codec_context.has_b_frames:
            return "its frames are stored out of order, and without a time"
        if stream.codec_context.name == "mpeg4" and min(packet.size for packet in shown) < 9:
            return "some packets hold no frame"
    return None
