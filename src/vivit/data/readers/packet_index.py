"""The frames of a file and their timestamps, read from its packets without decoding, where these can be trusted."""

import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import av
import av.container

OUT_OF_ORDER = "its frames are stored out of order, and without a time"
"""Why times are not trusted of a format that has none of display."""


class PacketInfo(NamedTuple):
    """The properties of a packet that matter here, without its bytes."""

    pts: int | None
    dts: int | None
    duration: int
    size: int
    is_keyframe: bool
    is_discard: bool
    first_byte: int


class FrameIndex(NamedTuple):
    """When the frames of a file are shown, in ticks of its stream."""

    stamps: Sequence[int]
    """Timestamps of all frames shown, ascending."""
    last_duration: int
    """How long the last frame is shown; 0 where the file does not contain it."""
    untrusted_reason: str | None
    """Why packets do not correspond to frames, so that frames have to be decoded and counted; None: they do."""
    decode_times: Sequence[int]
    """Times at which the frames are decoded, ascending; empty where they do not ascend."""

    def spread_timestamps(self, count: int, rate: float, tick: float) -> Sequence[int]:
        """Return timestamps for ``count`` decoded frames of an untrusted file.

        The decoding times where there is one for each frame; else evenly spaced by their median step. ``rate`` is the
        header's frames a second, for a file without any times, ``tick`` the length of a tick in seconds.
        """
        if count == len(self.decode_times):
            return self.decode_times
        steps = [b - a for a, b in pairwise(self.decode_times)]
        step = statistics.median(steps) if steps else 1 / (rate * tick)
        return [round(number * step) for number in range(count)]


def index_packets(
    container: av.container.InputContainer, stream: av.VideoStream, packets: Iterable[av.Packet]
) -> FrameIndex:
    """Return when the frames of a file are shown, from all of its packets.

    Frames that an edit list hides, and VP8's invisible ones, are not counted.
    """
    infos = [
        PacketInfo(
            packet.pts, packet.dts, packet.duration or 0, packet.size, packet.is_keyframe, packet.is_discard,
            memoryview(packet)[0],
        )
        for packet in packets
    ]  # fmt: skip
    displayed = [packet for packet in infos if not packet.is_discard]
    if stream.codec_context.name == "vp8":
        displayed = [packet for packet in displayed if packet.first_byte & 0x10]  # RFC 6386, section 9.1: show_frame
    stamps = sorted(packet.pts for packet in displayed if packet.pts is not None)
    last = max(
        (packet for packet in displayed if packet.pts is not None), key=lambda packet: packet.pts or 0, default=None
    )
    decode_times = [packet.dts for packet in displayed if packet.dts is not None]
    ascending = len(decode_times) == len(displayed) and all(a < b for a, b in pairwise(decode_times))
    return FrameIndex(
        stamps,
        last.duration if last else 0,
        _untrusted_reason(container, stream, infos, displayed) if displayed else None,
        decode_times if ascending else [],
    )


def _untrusted_reason(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    packets: Sequence[PacketInfo],
    displayed: Sequence[PacketInfo],
) -> str | None:
    stamps = {packet.pts for packet in displayed if packet.pts is not None}
    if any(packet.pts is None for packet in displayed):
        return "some frames have no timestamp"
    if len(stamps) < len(displayed):
        return "some frames share a timestamp"
    decode_times = [packet.dts for packet in packets if packet.dts is not None and not packet.is_discard]
    if any(b < a for a, b in pairwise(decode_times)):
        return "its clock starts again"
    first = packets[0]
    if not first.is_keyframe or first.pts is None or (min(stamps) < first.pts and not first.is_discard):
        return "it begins with frames that need earlier ones"
    return _guess_reason(container, stream, displayed)


def _guess_reason(
    container: av.container.InputContainer, stream: av.VideoStream, displayed: Sequence[PacketInfo]
) -> str | None:
    """Return why FFmpeg may have guessed the times of a format that stores none of display; None: they are right.

    Where these formats store one time a frame, it is that of decoding. FFmpeg adds the time of display where it can,
    and after a seek another one. H.264 and H.265 are guessed even where no frame is stored out of order.
    """
    name, context = container.format.name, stream.codec_context
    if name == "avi":
        if context.has_b_frames:
            return OUT_OF_ORDER
        if context.name == "mpeg4" and min(packet.size for packet in displayed) < 9:
            return "some packets hold no frame"
    decoding_only = name == "asf" or _is_vfw(container, context)
    if decoding_only and (context.name in ("h264", "hevc") or not _in_order(displayed)):
        return "its frames are stored with times of decoding only"
    if name == "mxf" and context.has_b_frames and _in_order(displayed):  # its index has the order of MPEG-2 alone
        return OUT_OF_ORDER
    return None


def _in_order(packets: Iterable[PacketInfo]) -> bool:
    """Return whether frames are shown when they are decoded, by their times."""
    return all(packet.pts == packet.dts for packet in packets)


def _is_vfw(container: av.container.InputContainer, context: av.VideoCodecContext) -> bool:
    """Return whether a Matroska file contains its video as an AVI would; the codecs of Matroska itself have no tag."""
    return "matroska" in container.format.name and context.codec_tag != "\0\0\0\0"
