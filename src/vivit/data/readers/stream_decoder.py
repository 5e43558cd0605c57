"""Decoding of the video stream of an open file: from its beginning, or from a key frame before selected frames."""

from collections.abc import Collection, Iterator
from contextlib import suppress
from itertools import chain

import av

from vivit.data.readers.damage import DamageTracker
from vivit.data.readers.streams import open_video_stream, packets_of
from vivit.data.storage.stored_file import OpenFile, StoredFile


class StreamDecoder:
    """The video stream of a file, decoded by one thread; an ``OpenFile`` stays open. Raises ``VideoError``."""

    def __init__(self, path: str | StoredFile | OpenFile) -> None:
        self.file = path.open() if isinstance(path, StoredFile) else path
        self._closes_file = isinstance(path, StoredFile)
        try:
            self.container, self.stream = open_video_stream(self.file)
        except BaseException:
            self._close_file()
            raise

    @property
    def tick(self) -> float:
        """Length of a tick in seconds."""
        return float(self.stream.time_base or 1)

    def from_start(self) -> Iterator[av.Packet]:
        """Open the file again, and yield its packets."""
        self.container.close()
        self.container, self.stream = open_video_stream(self.file)
        return self.packets()

    def packets(self) -> Iterator[av.Packet]:
        """Yield packets from the present position of the file."""
        return packets_of(self.container, self.stream)

    def prime(self, packet: av.Packet, *, picture: bool) -> av.VideoFrame | None:
        """Decode the first packet, and return its picture; None: the packet alone has none.

        Done before a seek, because for some decoders it contains what all others need: a palette, the version of the
        encoder. Unless the ``picture`` is needed, a decoder that can skip it does.
        """
        context, first = self.stream.codec_context, None
        context.skip_frame = "DEFAULT" if picture else "ALL"
        with suppress(av.FFmpegError):
            first = next(iter([*packet.decode(), *context.decode(None)]), None)  # type: ignore[list-item]
        context.skip_frame = "DEFAULT"
        context.flush_buffers()
        return first  # type: ignore[return-value]

    def decode(self, packets: Iterator[av.Packet], damage: DamageTracker) -> Iterator[av.VideoFrame]:
        """Yield the frames of packets, and at their end the frames that the decoder held back; record damage."""
        for packet in packets:
            damage.packet_sent(packet)
            try:
                frames = packet.decode()
            except av.FFmpegError:
                damage.packet_refused()
                continue
            yield from frames  # type: ignore[misc]
        with suppress(av.FFmpegError):
            yield from self.stream.codec_context.decode(None)

    def decode_at(self, stamps: set[int], earlier: float | None, damage: DamageTracker) -> Iterator[av.VideoFrame]:
        """Yield the frames shown at ``stamps``, and those that they need.

        Begins at the last key frame that is ``earlier`` seconds before the first of them, None: at the beginning.
        Yields nothing where a seek went wrong: to a packet that is shown after a selected frame, or whose picture is no
        key frame, so that later frames may refer to missing ones.
        """
        if earlier is None:
            start, packets = None, self.from_start()
        else:
            first = min(stamps)
            self.stream.codec_context.flush_buffers()
            self.container.seek(first - round(earlier / self.tick), stream=self.stream, backward=True)
            packets = self.packets()
            start = next(packets, None)
            if start is None or start.pts is None or not start.is_keyframe or start.pts > first:
                return
            packets = chain([start], packets)
        arrived = start is None
        for frame in self.decode(self._needed_packets(packets, stamps), damage):
            damage.frame_decoded(frame.pts or 0, frame)
            arrived = arrived or (frame.pts == start.pts and frame.key_frame)  # type: ignore[union-attr]
            if arrived:
                yield frame
            elif frame.pts is not None and frame.pts >= start.pts:  # type: ignore[union-attr,operator]
                return

    def _needed_packets(self, packets: Iterator[av.Packet], stamps: set[int]) -> Iterator[av.Packet]:
        """Yield packets up to the last selected frame, and let the decoder skip frames that no other refers to."""
        context, remaining = self.stream.codec_context, set(stamps)
        for packet in packets:
            context.skip_frame = "DEFAULT" if packet.pts in remaining or packet.pts is None else "NONREF"
            yield packet
            if not packet.is_discard:
                remaining.discard(packet.pts)  # type: ignore[arg-type]
            if not remaining:
                return

    def fetch_frames(self, numbers: Collection[int]) -> None:
        """Fetch the bytes of frames of the file, and of those that they need; of a file on a local disk nothing."""
        if numbers and not isinstance(self.file, str):
            self.file.fetch_frames(min(numbers), max(numbers))

    def close(self) -> None:
        """Close the file."""
        self.container.close()
        self._close_file()

    def _close_file(self) -> None:
        if self._closes_file and not isinstance(self.file, str):
            self.file.close()
