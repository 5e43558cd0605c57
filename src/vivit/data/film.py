"""Ways through an open film: from its beginning, or from a key frame before what is wanted."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

import av

from vivit.data.damage import Damage
from vivit.data.streams import open_film, packets_of


class Film:
    """The stream of pictures of an open file, decoded by one thread. Raises ``VideoError``."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.container, self.stream = open_film(path)

    @property
    def unit(self) -> float:
        """Length of a tick in seconds."""
        return float(self.stream.time_base or 1)

    def from_start(self) -> Iterator[av.Packet]:
        """Open the file anew, and yield its packets."""
        self.close()
        self.container, self.stream = open_film(self._path)
        return self.packets()

    def packets(self) -> Iterator[av.Packet]:
        """Yield packets from where the file stands."""
        return packets_of(self.container, self.stream)

    def prime(self, packet: av.Packet, *, picture: bool) -> av.VideoFrame | None:
        """Have the decoder read the first packet, and return its picture; None: it has none by itself.

        Before a seek, because some decoders find in it what all others need: a palette, the version of the encoder.
        Unless the ``picture`` is wanted, a decoder that can skip it does.
        """
        context, first = self.stream.codec_context, None
        context.skip_frame = "DEFAULT" if picture else "ALL"
        with suppress(av.FFmpegError):
            first = next(iter([*packet.decode(), *context.decode(None)]), None)  # type: ignore[list-item]
        context.skip_frame = "DEFAULT"
        context.flush_buffers()
        return first  # type: ignore[return-value]

    def decoded(self, packets: Iterator[av.Packet], damage: Damage) -> Iterator[av.VideoFrame]:
        """Decode packets, and at their end what the decoder holds back; refused packets are noted as damage."""
        for packet in packets:
            damage.sending(packet)
            try:
                frames = packet.decode()
            except av.FFmpegError:
                damage.lost()
                continue
            yield from frames  # type: ignore[misc]
        with suppress(av.FFmpegError):
            yield from self.stream.codec_context.decode(None)

    def wanted(self, stamps: set[int], earlier: float | None, damage: Damage) -> Iterator[av.VideoFrame]:
        """Decode the frames shown at ``stamps``, and those that they need.

        It begins at the last key frame that is ``earlier`` seconds before the first of them, None: at the beginning.
        Nothing comes where a seek went wrong: to a packet that is shown after a wanted frame, or whose picture is no
        key frame, so that frames behind it may refer to what is not there.
        """
        if earlier is None:
            start, packets = None, self.from_start()
        else:
            first = min(stamps)
            self.stream.codec_context.flush_buffers()
            self.container.seek(first - round(earlier / self.unit), stream=self.stream, backward=True)
            packets = self.packets()
            start = next(packets, None)
            if start is None or start.pts is None or not start.is_keyframe or start.pts > first:
                return
            packets = chain([start], packets)
        arrived = start is None
        for frame in self.decoded(self._needed(packets, stamps), damage):
            damage.shown(frame.pts or 0, frame)
            arrived = arrived or (frame.pts == start.pts and frame.key_frame)  # type: ignore[union-attr]
            if arrived:
                yield frame
            elif frame.pts is not None and frame.pts >= start.pts:  # type: ignore[union-attr,operator]
                return

    def _needed(self, packets: Iterator[av.Packet], stamps: set[int]) -> Iterator[av.Packet]:
        """Yield packets up to the last of a wanted frame, and have the decoder skip what nobody refers to."""
        context, left = self.stream.codec_context, set(stamps)
        for packet in packets:
            context.skip_frame = "DEFAULT" if packet.pts in left or packet.pts is None else "NONREF"
            yield packet
            if not packet.is_discard:
                left.discard(packet.pts)  # type: ignore[arg-type]
            if not left:
                return

    def close(self) -> None:
        """Close the file."""
        self.container.close()
