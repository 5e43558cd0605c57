"""From a decoded frame to the bytes of a view: cut, scaled, turned upright and converted in one pass of libswscale."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import av
import av.filter
import numpy as np
from av.sidedata.sidedata import Type
from jaxtyping import UInt8

from vivit.data.sampling import Window

_KNOWN = max(int(kind.value) for kind in Type)  # type: ignore[call-overload]
UNKNOWN = range(_KNOWN + 1, _KNOWN + 17)
"""Kinds of side data of newer versions of FFmpeg than PyAV has names for; one of them hides all others from it."""


def display_matrix(frame: av.VideoFrame) -> list[int] | None:
    """Return the nine numbers that say how a picture is turned and mirrored for showing; None: it is shown as it is."""
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        matrix = _without(frame, UNKNOWN).side_data.get("DISPLAYMATRIX")
    return None if matrix is None else np.frombuffer(bytes(matrix), np.int32)[:9].tolist()  # type: ignore[call-overload]


def _without(frame: av.VideoFrame, kinds: Iterable[int]) -> av.VideoFrame:
    """Return a frame without some kinds of its side data."""
    graph = av.filter.Graph()
    tick = frame.time_base or Fraction(1, 1000)
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=tick)
    filters = [graph.add("sidedata", f"mode=delete:type={kind}") for kind in kinds]
    graph.link_nodes(source, *filters, graph.add("buffersink")).configure()
    graph.push(frame)
    return graph.vpull()


class Orientation(NamedTuple):
    """How the stored picture becomes the shown one: rows and columns swapped first, then each turned round or not."""

    swapped: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> "Orientation":
        """Read a frame's display matrix, which sends column x and row y to (a x + c y, b x + d y)."""
        matrix = display_matrix(frame)
        if matrix is None:
            return cls()
        a, b, _, c, d = matrix[:5]
        return cls(True, b < 0, c < 0) if abs(b) > abs(a) else cls(False, d < 0, a < 0)

    @property
    def degrees(self) -> int:
        """By how much the stored picture is turned anticlockwise for showing; mirrored ones after being mirrored."""
        if self.swapped:
            return 90 if self.rows_reversed else 270
        return 180 if self.rows_reversed else 0

    def shown(self, stored: tuple[int, int]) -> tuple[int, int]:
        """Height and width as shown of a picture stored with these."""
        return stored[::-1] if self.swapped else stored

    def stored(self, window: Window, shown: tuple[int, int]) -> Window:
        """Find in the stored picture what a window of the shown one shows."""
        top = shown[0] - window.top - window.height if self.rows_reversed else window.top
        left = shown[1] - window.left - window.width if self.columns_reversed else window.left
        return Window(left, top, window.width, window.height) if self.swapped else window._replace(top=top, left=left)

    def upright(self, picture: UInt8[np.ndarray, "_h _w 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
        """Turn a stored picture as it is shown; a view, nothing is copied."""
        if self.swapped:
            picture = picture.swapaxes(0, 1)
        return picture[:: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1]


class Converter:
    """Converts frames stored with height and width ``stored`` to views of ``size`` through each of ``windows``.

    Windows are in pixels of the shown picture, which is as high, but ``width`` pixels wide before it is turned.
    """

    def __init__(
        self,
        stored: tuple[int, int],
        orientation: Orientation,
        windows: Sequence[Window],
        size: tuple[int, int],
        width: int | None = None,
    ) -> None:
        width = width or stored[1]
        shown = orientation.shown((stored[0], width))
        self._stored, self._orientation, self._size = stored, orientation, orientation.shown(size)
        windows = [orientation.stored(window, shown) for window in windows]
        self._windows = [narrowed(window, stored[1], width) for window in windows] if width != stored[1] else windows
        self._graphs: dict[str, list[av.filter.Graph]] = {}

    def __call__(self, frame: av.VideoFrame, places: UInt8[np.ndarray, "windows h w 3"]) -> None:
        """Write what each window shows of a frame. Raises ``ValueError`` where the picture changes its size."""
        if (frame.height, frame.width) != self._stored:
            raise ValueError(
                f"changes its picture from {self._stored[1]}x{self._stored[0]} to {frame.width}x{frame.height}"
            )
        if (kind := frame.format.name) not in self._graphs:
            self._graphs[kind] = [self._graph(frame, window) for window in self._windows]
        for graph, place in zip(self._graphs[kind], places, strict=True):
            graph.push(frame)
            place[:] = self._orientation.upright(_pixels(graph.vpull()))

    def _graph(self, frame: av.VideoFrame, window: Window) -> av.filter.Graph:
        graph = av.filter.Graph()
        graph.threads = 1  # the default of one per core made a clip of 64x64 pixels ten times slower
        tick = frame.time_base or Fraction(1, 1000)  # frames that a decoder held back to the end come without
        chain = [
            graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=tick),
            graph.add("crop", f"{window.width}:{window.height}:{window.left}:{window.top}:exact=1"),
            graph.add("scale", f"{self._size[1]}:{self._size[0]}:flags=bilinear"),
            graph.add("format", "rgb24"),
            graph.add("buffersink"),
        ]
        for left, right in pairwise(chain):
            left.link_to(right)
        graph.configure()
        return graph


def narrowed(window: Window, stored: int, shown: int) -> Window:
    """Return a window of a picture ``shown`` pixels wide in whole pixels of the same picture ``stored`` pixels wide."""
    left = min(round(window.left * stored / shown), stored - 1)
    right = max(round((window.left + window.width) * stored / shown), left + 1)
    return window._replace(left=left, width=right - left)


def _pixels(frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    """See a packed frame as an array without copying; its lines may be padded."""
    (plane,) = frame.planes
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(frame.height, plane.line_size)
    return lines[:, : frame.width * 3].reshape(frame.height, frame.width, 3)
