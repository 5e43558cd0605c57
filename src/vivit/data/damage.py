"""Which decoded frames are whole: what a decoder conceals, and what refers to it, is no picture."""

from collections.abc import Hashable

import av


class Damage:
    """Keeps what a decoder reports on one way through a file, from a key frame or the beginning.

    A decoder marks the frame in which it concealed something, but none of those that refer to it. So a frame counts as
    damaged where any frame was marked or lost that is decoded after the last key frame before it, up to itself. Frames
    are named by a key that grows in the order of showing: the timestamp, or where frames are ``numbered``, the number.
    """

    def __init__(self, *, numbered: bool) -> None:
        self._numbered = numbered
        self._position = -1
        self._positions: dict[Hashable, int] = {}
        self._damage: list[int] = []
        self._key_frames: list[tuple[int, int]] = []

    def sending(self, packet: av.Packet) -> None:
        """Note that the decoder gets this packet next."""
        self._position += 1
        if packet.pts is not None and not packet.is_discard and not self._numbered:
            self._positions[packet.pts] = self._position
        if packet.is_corrupt and not self._numbered:  # there a second film may follow, and lost count of the packets
            self._damage.append(self._position)

    def lost(self) -> None:
        """Note that the decoder refused the packet it got last."""
        self._damage.append(self._position)

    def shown(self, key: int, frame: av.VideoFrame) -> None:
        """Note a frame that came out, called ``key``."""
        position = self._positions.setdefault(key, self._position)
        if frame.is_corrupt:
            self._damage.append(position)
        elif frame.key_frame:
            self._key_frames.append((position, key))

    def spoils(self, key: int) -> bool:
        """Whether a frame that came out is damaged; right once all that was sent before it is out too."""
        position = self._positions[key]
        begin = max((at for at, shown in self._key_frames if at <= position and shown <= key), default=0)
        return any(begin <= damaged <= position for damaged in self._damage)
