"""Which frames a file shows, and when, told from its packets without decoding, where they can be trusted."""

from collections.abc import Sequence
from typing import NamedTuple

import av
import av.container


class Told(NamedTuple):
    """What is kept of a packet: not its bytes, which are all of the file."""

    pts: int | None
    size: int
    is_keyframe: bool
    is_discard: bool
    first: int
    """Its first byte."""


class Listing(NamedTuple):
    """Timestamps of all frames shown, ascending, in ticks of the stream; or why the packets do not tell them."""

    stamps: Sequence[int]
    distrusted: str | None = None


def list_frames(container: av.container.InputContainer, stream: av.VideoStream) -> Listing:
    """Read the packets of a file from where it stands.

    Frames that an edit list hides, and VP8's invisible ones, are not counted.
    """
    packets = [
        Told(packet.pts, packet.size, packet.is_keyframe, packet.is_discard, memoryview(packet)[0])
        for packet in container.demux(stream)
        if packet.size
    ]
    shown = [packet for packet in packets if not packet.is_discard]
    if stream.codec_context.name == "vp8":
        shown = [packet for packet in shown if packet.first & 0x10]  # RFC 6386, section 9.1: show_frame
    stamps = [packet.pts for packet in shown if packet.pts is not None]
    return Listing(sorted(stamps), _distrusted(container, stream, packets, shown) if shown else None)


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
    first = packets[0]
    if not first.is_keyframe or first.pts is None or (min(stamps) < first.pts and not first.is_discard):
        return "it begins with frames that need earlier ones"
    if container.format.name == "avi":  # it stores no times of presentation, so these are guessed
        if stream.codec_context.has_b_frames:
            return "its frames are stored out of order, and without a time"
        if stream.codec_context.name == "mpeg4" and min(packet.size for packet in shown) < 9:
            return "some packets hold no frame"
    return None


def promised(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Seconds at which the header says a file ends.

    Told of Matroska and AVI, which may be cut off and still open; 0 elsewhere.
    """
    if "matroska" in container.format.name:
        if tag := stream.metadata.get("DURATION"):
            hours, minutes, seconds = tag.split(":")
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        return (container.duration or 0) / av.time_base
    if container.format.name == "avi":
        return float((stream.duration or 0) * stream.time_base) if stream.time_base else 0.0
    return 0.0
