"""Which decoded frames are intact: one that a decoder conceals errors in, or that refers to one, is never returned."""

from collections.abc import Hashable

import av


class DamageTracker:
    """Collects what a decoder reports on one pass through a file, from a key frame or the beginning.

    A decoder marks the frame in which it concealed an error, but none of those that refer to it. So a frame counts as
    damaged where any frame was marked or lost that is decoded after the last key frame before it, up to itself. A frame
    has a key that grows in display order: its timestamp, or where frames are ``numbered``, its number.
    """

    def __init__(self, *, numbered: bool) -> None:
        self._numbered = numbered
        self._position = -1
        self._positions: dict[Hashable, int] = {}
        self._damaged: list[int] = []
        self._key_frames: list[tuple[int, int]] = []

    def packet_sent(self, packet: av.Packet) -> None:
        """Record the packet that the decoder gets next."""
        self._position += 1
        if packet.pts is not None and not packet.is_discard and not self._numbered:
            self._positions[packet.pts] = self._position
        if packet.is_corrupt and not self._numbered:  # numbered: a second film may follow, and packets are miscounted
            self._damaged.append(self._position)

    def packet_refused(self) -> None:
        """Record that the decoder refused the last packet."""
        self._damaged.append(self._position)

    def frame_decoded(self, key: int, frame: av.VideoFrame) -> None:
        """Record a decoded frame under its key."""
        position = self._positions.setdefault(key, self._position)
        if frame.is_corrupt:
            self._damaged.append(position)
        elif frame.key_frame:
            self._key_frames.append((position, key))

    def is_damaged(self, key: int) -> bool:
        """Return whether a decoded frame is damaged; valid once every frame sent before it is decoded too."""
        position = self._positions[key]
        key_frames = (at for at, key_frame in self._key_frames if at <= position and key_frame <= key)
        begin = max(key_frames, default=0)
        return any(begin <= damaged <= position for damaged in self._damaged)
