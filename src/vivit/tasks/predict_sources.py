"""The videos of `predict.py`, under short names: of files, folders, patterns, and the rows of CSV files."""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vivit.addresses import check_address, is_address, join_path, without_secrets
from vivit.data.find_videos import SUFFIXES, find_videos, is_video
from vivit.data.storage.stored_file import StoredFile
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
        if is_address(path):
            if path not in files:
                files.add(path)
                sources.append(_at_address(path, frames_fps))
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


def _at_address(address: str, frames_fps: int | float | None) -> Source:
    """Return the video at an address, which is opened as those of data sets are. Raises ConfigError for others."""
    check_address("video", address)
    public = without_secrets(address)
    if not is_video(public.partition("::")[0]):
        remedy = f"set the address of one video ({', '.join(SUFFIXES[:3])} ...), or data=folder data.root= of eval.py"
        raise ConfigError("video", public, "is no address of a video, by its suffix", remedy)
    stored = StoredFile(public, address)
    return Source(Video(public, (), frames_fps=frames_fps, stored=stored), public)


def is_list(path: str) -> bool:
    """Return whether a path is that of a list of videos on a local disk, by its suffix."""
    return (
        not is_address(path) and path.lower().endswith(".csv") and not glob.has_magic(path) and not Path(path).is_dir()
    )


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
        video = join_path(str(file.parent), path)  # as the list has it, without a change
        stored = StoredFile(without_secrets(video), video) if is_address(video) else None
        if not stored and not Path(video).exists():
            raise rows.error(row, "path", f"there is no {video}", "paths are relative to the folder of the list")
        video, name = without_secrets(video), _segment(without_secrets(path), start, end)
        sources.append(Source(Video(video, (), start, end, frames_fps=frames_fps, stored=stored), name, label))
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
