"""From a decoded frame to the bytes of a view: cropped, resized, turned upright, converted in one libswscale pass."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import av
import av.filter
import numpy as np
from av.sidedata.sidedata import Type
from jaxtyping import UInt8

from vivit.data.views import CropBox

_KNOWN = max(int(kind.value) for kind in Type)  # type: ignore[call-overload]
UNKNOWN = range(_KNOWN + 1, _KNOWN + 17)
"""Kinds of side data of newer versions of FFmpeg than PyAV has names for; one of them hides all others from it."""


def display_matrix(frame: av.VideoFrame) -> list[int] | None:
    """Return the nine numbers by which a picture is rotated and mirrored for display; None: it is neither."""
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        matrix = _without_side_data(frame, UNKNOWN).side_data.get("DISPLAYMATRIX")
    return None if matrix is None else np.frombuffer(bytes(matrix), np.int32)[:9].tolist()  # type: ignore[call-overload]


def _without_side_data(frame: av.VideoFrame, kinds: Iterable[int]) -> av.VideoFrame:
    graph = av.filter.Graph()
    tick = frame.time_base or Fraction(1, 1000)
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=tick)
    filters = [graph.add("sidedata", f"mode=delete:type={kind}") for kind in kinds]
    graph.link_nodes(source, *filters, graph.add("buffersink")).configure()
    graph.push(frame)
    return graph.vpull()


class Orientation(NamedTuple):
    """How the stored picture becomes the displayed one: rows and columns swapped first, then each reversed or not."""

    swapped: bool = False
    rows_reversed: bool = False
    columns_reversed: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> "Orientation":
        """Return the orientation by a frame's display matrix, which maps column x, row y to (a x + c y, b x + d y)."""
        matrix = display_matrix(frame)
        if matrix is None:
            return cls()
        a, b, _, c, d = matrix[:5]
        return cls(True, b < 0, c < 0) if abs(b) > abs(a) else cls(False, d < 0, a < 0)

    @property
    def degrees(self) -> int:
        """Anticlockwise rotation of the stored picture for display; of mirrored ones after being mirrored."""
        if self.swapped:
            return 90 if self.rows_reversed else 270
        return 180 if self.rows_reversed else 0

    def displayed_size(self, stored: tuple[int, int]) -> tuple[int, int]:
        """Return height and width as displayed of a picture stored with these."""
        return stored[::-1] if self.swapped else stored

    def stored_box(self, box: CropBox, displayed: tuple[int, int]) -> CropBox:
        """Return the rectangle of the stored picture that a box of the displayed one shows."""
        top = displayed[0] - box.top - box.height if self.rows_reversed else box.top
        left = displayed[1] - box.left - box.width if self.columns_reversed else box.left
        return CropBox(left, top, box.width, box.height) if self.swapped else box._replace(top=top, left=left)

    def upright(self, pictures: UInt8[np.ndarray, "*n _h _w 3"]) -> UInt8[np.ndarray, "*n _ _ 3"]:
        """Return stored pictures as they are displayed; a view, nothing is copied."""
        if self.swapped:
            pictures = pictures.swapaxes(-3, -2)
        return pictures[..., :: -1 if self.rows_reversed else 1, :: -1 if self.columns_reversed else 1, :]


class Converter:
    """Converts frames stored with height and width ``stored`` to pictures of ``size``, one for each of ``boxes``.

    Boxes are in pixels of the displayed picture, which is as high as the stored one, but ``width`` pixels wide before
    it is rotated.
    """

    def __init__(
        self,
        stored: tuple[int, int],
        orientation: Orientation,
        boxes: Sequence[CropBox],
        size: tuple[int, int],
        width: int | None = None,
    ) -> None:
        self._stored, self._orientation, self._size = stored, orientation, orientation.displayed_size(size)
        self._boxes = stored_boxes(boxes, orientation, stored, width or stored[1])
        self._graphs: dict[str, list[av.filter.Graph]] = {}

    def __call__(self, frame: av.VideoFrame, targets: UInt8[np.ndarray, "boxes h w 3"]) -> None:
        """Write what each box shows of a frame to ``targets``. Raises ``ValueError`` where the frame size changes."""
        if (frame.height, frame.width) != self._stored:
            raise ValueError(
                f"changes its picture from {self._stored[1]}x{self._stored[0]} to {frame.width}x{frame.height}"
            )
        if (kind := frame.format.name) not in self._graphs:
            self._graphs[kind] = [conversion_graph(frame, box, self._size) for box in self._boxes]
        for graph, target in zip(self._graphs[kind], targets, strict=True):
            graph.push(frame)
            target[:] = self._orientation.upright(packed_pixels(graph.vpull()))


def conversion_graph(frame: av.VideoFrame, box: CropBox, size: tuple[int, int], stacked: int = 1) -> av.filter.Graph:
    """Return the filters that convert what ``box`` shows of frames like this one to RGB pictures of ``size``.

    With ``stacked`` so many pictures lie below one another in a frame, as they do after each was converted alone.
    """
    graph = av.filter.Graph()
    graph.threads = 1  # the default of one per core made a clip of 64x64 pixels ten times slower
    tick = frame.time_base or Fraction(1, 1000)  # frames that a decoder held back to the end come without
    chain = [
        graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=tick),
        *([graph.add("untile", f"1x{stacked}")] if stacked > 1 else []),
        graph.add("crop", f"{box.width}:{box.height}:{box.left}:{box.top}:exact=1"),
        graph.add("scale", f"{size[1]}:{size[0]}:flags=bilinear"),
        graph.add("format", "rgb24"),
        *([graph.add("tile", f"1x{stacked}")] if stacked > 1 else []),
        graph.add("buffersink"),
    ]
    for left, right in pairwise(chain):
        left.link_to(right)
    graph.configure()
    return graph


def stored_boxes(
    boxes: Sequence[CropBox], orientation: Orientation, stored: tuple[int, int], width: int
) -> list[CropBox]:
    """Return boxes of the displayed picture in pixels of the stored one, of height and width ``stored``.

    The displayed picture is ``width`` pixels wide before it is rotated.
    """
    displayed = orientation.displayed_size((stored[0], width))
    boxes = [orientation.stored_box(box, displayed) for box in boxes]
    return [to_stored_width(box, stored[1], width) for box in boxes] if width != stored[1] else boxes


def to_stored_width(box: CropBox, stored: int, displayed: int) -> CropBox:
    """Return a box of a picture ``displayed`` wide in whole pixels of the same picture ``stored`` wide."""
    left = min(round(box.left * stored / displayed), stored - 1)
    right = max(round((box.left + box.width) * stored / displayed), left + 1)
    return box._replace(left=left, width=right - left)


def packed_pixels(frame: av.VideoFrame) -> UInt8[np.ndarray, "h w 3"]:
    """Return a packed frame as an array without copying; its lines may be padded."""
    (plane,) = frame.planes
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(frame.height, plane.line_size)
    return lines[:, : frame.width * 3].reshape(frame.height, frame.width, 3)
