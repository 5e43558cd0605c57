"""The videos of `predict.py`, under short names: of files, folders, patterns, and the rows of CSV files."""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vivit.data.find_videos import find_videos
from vivit.errors import ConfigError
from vivit.structures import Video


@dataclass(frozen=True, slots=True)
class Source:
    """A video to predict, and what it is called beside the others."""

    video: Video
    name: str
    """Its path, relative to the folder that was typed; of a row of a list, as the list has it."""
    label: str | None = None
    """What a list calls it in its column ``label``."""

    @property
    def path(self) -> str:
        """Path of the file, or of the folder of pictures."""
        return self.video.path

    @property
    def is_segment(self) -> bool:
        """Whether it is a part of a file."""
        return self.video.start is not None or self.video.end is not None


def predict_sources(typed: str | Sequence[str], frames_fps: int | float | None) -> list[Source]:
    """Return the videos of the key ``video``: of files, folders and patterns each once, of lists every row.

    Names are relative to the folders that were typed, and are whole paths where two of them would be equal. Raises
    ConfigError where a path has no video, and DataError about a row of a list.
    """
    paths = [typed] if isinstance(typed, str) else [str(path) for path in typed]
    if not paths:
        find_videos(paths)  # raises
    sources: list[Source] = []
    files: set[str] = set()
    alone = [str(Path(path).absolute().parent) for path in paths if Path(path).is_file() and not is_list(path)]
    common = os.path.commonpath(alone) if alone else ""
    for path in paths:
        if is_list(path):
            sources += read_list(Path(path), frames_fps)
            continue
        for video in find_videos(path):
            if video not in files:
                files.add(video)
                sources.append(Source(Video(video, (), frames_fps=frames_fps), _relative(video, path, common)))
    names = [source.name for source in sources if source.video.start is None]
    repeated = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    if not repeated:
        return sources
    return [Source(each.video, each.path, each.label) if each.name in repeated else each for each in sources]


def is_list(path: str) -> bool:
    """Return whether a path is that of a list of videos, by its suffix."""
    return path.lower().endswith(".csv") and not glob.has_magic(path) and not Path(path).is_dir()


def read_list(file: Path, frames_fps: int | float | None) -> list[Source]:
    """Return the rows of a CSV file: ``path``, relative to its folder, and where there are such, start, end, label."""
    import pyarrow as pa

    from vivit.data.datasets.csv_reader import CsvTable  # here, as lists alone need its library

    if not file.is_file():
        raise ConfigError("video", file, "there is no such file", "set a CSV file with a column path, or videos")
    rows = CsvTable(file, expected=["path", "start", "end", "label"])
    rows.require("path")
    paths = rows.text("path").to_pylist()
    times = [
        rows.numbers(name, pa.float64()) if name in rows.columns else pa.nulls(len(paths), pa.float64())
        for name in ("start", "end")
    ]
    rows.check_interval("end", *times)
    labels = rows.table["label"].to_pylist() if "label" in rows.columns else [None] * len(paths)
    sources = []
    for row, (path, start, end, label) in enumerate(
        zip(paths, *(column.to_pylist() for column in times), labels, strict=True)
    ):
        video = os.path.join(file.parent, path)  # noqa: PTH118  # as the list has it, without a change
        if not Path(video).exists():
            raise rows.error(row, "path", f"there is no {video}", "paths are relative to the folder of the list")
        sources.append(Source(Video(video, (), start, end, frames_fps=frames_fps), _segment(path, start, end), label))
    return sources


def _segment(path: str, start: float | None, end: float | None) -> str:
    """Return the name of a row: its path, with its seconds where it is a segment."""
    if start is None and end is None:
        return path
    ends = [f"{round(seconds, 3):.10g}" for seconds in (start or 0.0, end) if seconds is not None]
    return f"{path} {ends[0]}-{''.join(ends[1:])} s"


def _relative(video: str, typed: str, common: str) -> str:
    """Return the path of a video relative to what was typed: a folder, or what precedes the magic of a pattern.

    That of a file is relative to the folder that has all files which were typed, ``common``.
    """
    folder = typed
    if Path(typed).is_file():
        return os.path.relpath(video, common)
    if not Path(typed).exists() and glob.has_magic(typed):
        parts = Path(typed).parts
        first = next(at for at, part in enumerate(parts) if glob.has_magic(part))
        folder = str(Path(*parts[:first])) if first else "."
    if not Path(folder).is_dir() or folder == video:
        return video
    return os.path.relpath(video, folder)
