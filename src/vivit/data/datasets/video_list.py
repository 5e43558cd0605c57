"""Lists of videos, as a data set may return them, checked row by row and made into a table."""

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from vivit.data.datasets.label_lists import multi_hot_column
from vivit.data.datasets.video_table import make_table
from vivit.data.storage.remote_path import Folder
from vivit.errors import DataError
from vivit.structures import MultiLabel, Video, label_columns


def named_heads(heads: Mapping[str, Sequence[str]], source: str) -> dict[str, tuple[str, ...]]:
    """Return the class names of every head. Raises ``DataError`` about ``source`` unless there are some, all different.

    ``source`` names the data set in errors.
    """
    if not isinstance(heads, Mapping) or not heads:
        raise DataError(source, "names no classes", 'set heads to class names by head, as in {"label": ["hop", "run"]}')
    for head, names in heads.items():
        if isinstance(names, str) or not isinstance(names, Sequence) or not names:
            raise DataError(source, f"{names!r} is no list of class names", "list at least one", column=head)
        if invalid := [name for name in names if not isinstance(name, str)]:
            raise DataError(source, f"the class name {invalid[0]!r} is no text", "write it in quotes", column=head)
        if repeated := [name for name, count in Counter(names).items() if count > 1]:
            raise DataError(source, f"the class {repeated[0]!r} is listed twice", "list it once", column=head)
    return {head: names if isinstance(names, MultiLabel) else tuple(names) for head, names in heads.items()}


def table_of_videos(
    videos: Sequence[Video], heads: Mapping[str, Sequence[str]], root: Folder, source: str, *, labelled: bool
) -> pa.Table:
    """Return the table of a list of videos, with paths below ``root`` relative to it and others absolute.

    A path that begins with ``root`` lies below it; another relative one is relative to it. Labels may be -1, for
    unknown, unless ``labelled``. Raises ``DataError`` about ``source``, whose rows count from 0.
    """
    if isinstance(videos, str) or not isinstance(videos, Sequence):
        remedy = "return a list of vivit.structures.Video, or a table of vivit.data.datasets.video_table.make_table"
        raise DataError(source, f"returned {type(videos).__name__}, and not a list of videos", remedy)
    if not videos:
        raise DataError(source, "lists no video", "return the videos of the split")
    named = named_heads(heads, source)
    sizes = [
        (head, size)
        for head, names in named.items()
        for size in ([2] * len(names) if isinstance(names, MultiLabel) else [len(names)])
    ]
    for row, video in enumerate(videos):
        if (wrong := _problem(video, sizes, labelled=labelled)) is not None:
            column, problem, remedy = wrong
            raise DataError(source, problem, remedy, row=row, column=column)
    labels = np.array([video.labels for video in videos], np.int32)
    prefixes = tuple({os.path.join(folder, "") for folder in (str(root), str(root.absolute()))})  # noqa: PTH118
    return make_table(
        path=pa.array([_stored_path(os.fspath(video.path), prefixes) for video in videos], pa.string()),
        labels=[
            multi_hot_column(labels[:, columns].astype(np.int8))
            if isinstance(named[head], MultiLabel)
            else pa.array(labels[:, columns.start], pa.int32())
            for head, columns in label_columns(named).items()
        ],
        start=_optional([video.start for video in videos], pa.float64()),
        end=_optional([video.end for video in videos], pa.float64()),
        first=_optional([video.frame_range and video.frame_range[0] for video in videos], pa.int32()),
        last=_optional([video.frame_range and video.frame_range[1] for video in videos], pa.int32()),
        name=_optional([video.name for video in videos], pa.string()),
    )


def _optional(values: list[Any], kind: pa.DataType) -> pa.Array | None:
    """Return a column of a table; None where no row has a value."""
    return None if all(value is None for value in values) else pa.array(values, kind)


def _stored_path(path: str, prefixes: tuple[str, ...]) -> str:
    prefix = next((prefix for prefix in prefixes if path.startswith(prefix)), "")
    return path[len(prefix) :]


def _problem(video: Any, sizes: Sequence[tuple[str, int]], *, labelled: bool) -> tuple[str | None, str, str] | None:
    """Return column, problem and remedy of a row that cannot be right; None where all is well."""
    if not isinstance(video, Video):
        return None, f"{video!r} is no Video", "make it by vivit.structures.Video(path, labels)"
    if not os.fspath(video.path):
        return "path", "is empty", "set the path of a video"
    if not isinstance(video.labels, tuple | list) or len(video.labels) != len(sizes):
        heads = ", ".join(dict.fromkeys(head for head, _ in sizes))
        problem = f"{video.path} has the labels {video.labels!r}, and the heads are {heads}"
        return "labels", problem, "give a tuple with the class number of each head, in this order"
    for (head, size), label in zip(sizes, video.labels, strict=True):
        number = isinstance(label, int | np.integer) and not isinstance(label, bool)
        if not number or not (0 if labelled else -1) <= label < size:
            problem = f"{video.path} has the label {label!r}, which is no class number of {head!r}"
            return "labels", problem, f"give a position in its class names, 0 to {size - 1}"
    return _interval_problem(video)


def _interval_problem(video: Video) -> tuple[str, str, str] | None:
    for column, second in (("start", video.start), ("end", video.end)):
        if second is not None and not (second >= 0 and math.isfinite(second)):
            return column, f"{second} of {video.path} is no time in a video", "give seconds from 0, or None"
    if video.end is not None and (video.start or 0.0) >= video.end:
        return "end", f"{video.end} of {video.path} is not after the start", "give a later time, or None for the last"
    if video.frame_range is not None and not 0 <= video.frame_range[0] <= video.frame_range[1]:
        problem = f"{video.frame_range} of {video.path} is no first and last frame number"
        return "frame_range", problem, "give the first, then the last, which may be the same"
    return None
