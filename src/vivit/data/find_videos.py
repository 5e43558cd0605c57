"""Search for videos: those of a file name, a folder or a pattern, and those below a folder."""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from vivit.addresses import is_address
from vivit.data.storage.remote_path import Folder
from vivit.data.warn_once import warn_once
from vivit.errors import ConfigError
from vivit.text import count, name_some

SUFFIXES = (
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264", ".hevc", ".ivf", ".m1v", ".m2ts",
    ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogm",
    ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".y4m",
)  # fmt: skip
"""Suffixes of video files, in any case of letters."""
PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""Suffixes of pictures, in any case of letters."""
SYSTEM_FILES = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "Thumbs.db", "desktop.ini")
"""Files that operating systems and archives add without showing them."""


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden or one of the system, by its name."""
    return name.startswith(".") or name in SYSTEM_FILES


def is_video(name: str) -> bool:
    """Return whether a file is a video, by its suffix."""
    return name.lower().endswith(SUFFIXES)


def videos_below(folder: Folder, leave_out: Callable[[Folder], bool] = lambda _: False) -> list[str]:
    """Return the paths, relative to ``folder`` and sorted, of all videos in it and in its subfolders.

    Subfolders of which ``leave_out`` is true are passed over. A folder of frames ``frame_0000000001.jpg`` is one
    video. Hidden files and folders, and files of other suffixes, are ignored with a warning that counts and lists them.
    """
    hidden: list[str] = []
    others: list[str] = []
    videos = sorted(_walk(folder, leave_out, hidden, others))
    _warn(folder, hidden, "hidden")
    _warn(folder, others, "of other suffixes than a video's")
    return videos


def files_below(folder: Folder, suffix: str, leave_out: Callable[[Folder], bool]) -> list[str]:
    """Return the paths, relative to ``folder`` and sorted, of all visible files with a suffix in it and below.

    Subfolders of which ``leave_out`` is true are passed over.
    """
    paths = []
    for below, folders, files in _places(folder):
        folders[:] = [name for name in folders if not is_hidden(name) and not leave_out(folder / str(below / name))]
        paths += [str(below / name) for name in files if name.lower().endswith(suffix) and not is_hidden(name)]
    return sorted(paths)


def has_videos(folder: Folder) -> bool:
    """Return whether there is a video in a folder or below it."""
    return next(_walk(folder, lambda _: False, [], []), None) is not None


def folders_of_pictures(folder: Folder) -> list[str]:
    """Return the paths, relative to ``folder`` and sorted, of the folders below it that hold pictures, on a disk."""
    if not isinstance(folder, Path):
        return []
    places = ((Path(place), files) for place, _, files in os.walk(folder))
    return sorted(
        str(place.relative_to(folder)) for place, files in places if any(map(is_picture, files)) and place != folder
    )


def is_picture(name: str) -> bool:
    """Return whether a file is a picture, by its suffix."""
    return name.lower().endswith(PICTURES) and not is_hidden(name)


def _warn(where: Folder | str, names: list[str], reason: str) -> None:
    if names:
        what = count(len(names), "file or folder that is", "files or folders that are")
        warn_once(__name__, f"{where}: left out {what} {reason}: {name_some(sorted(names))}")


def _places(folder: Folder) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield path relative to a folder, folders and files of every folder below, but of a link to one above."""
    if not isinstance(folder, Path):
        yield from ((Path(below), folders, files) for below, folders, files in folder.walk())
        return
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        yield Path(place).relative_to(folder), folders, files


def _walk(folder: Folder, leave_out: Callable[[Folder], bool], hidden: list[str], others: list[str]) -> Iterator[str]:
    for below, folders, files in _places(folder):
        hidden += [str(below / name) for name in [*folders, *files] if is_hidden(name)]
        folders[:] = [name for name in folders if not is_hidden(name) and not leave_out(folder / str(below / name))]
        if below != Path() and any(name.startswith("frame_") and name.endswith(".jpg") for name in files):
            yield str(below)
            continue
        visible = [name for name in files if not is_hidden(name)]
        others += [str(below / name) for name in visible if not is_video(name)]
        yield from (str(below / name) for name in visible if is_video(name))


def find_videos(paths: str | Sequence[str]) -> list[str]:
    """Return the videos of some paths: a file itself, all videos below a folder, the matches of a pattern (``**`` too).

    A folder of frames ``frame_0000000001.jpg`` is one video. Each is listed once. Raises ``ConfigError`` where a path
    has no video.
    """
    paths = [paths] if isinstance(paths, str) else list(paths)
    if not paths:
        raise ConfigError("video", [], "is an empty list", "set a file, a folder, a pattern, or a list of them")
    return list(dict.fromkeys(video for path in paths for video in _videos_of(str(path))))


def _videos_of(path: str) -> list[str]:
    suffixes = f"videos end in {', '.join(SUFFIXES)}"
    if Path(path).is_dir():
        videos, problem = _videos_in(path), "the folder contains no video"
    elif Path(path).exists():
        return [path]
    elif glob.has_magic(path):
        videos, problem = _matches(path), "the pattern matches no video"
    else:
        remedy = "download it, and set the file" if is_address(path) else "set a file, a folder or a pattern"
        raise ConfigError("video", path, "there is no such file", remedy)
    if not videos:
        raise ConfigError("video", path, problem, suffixes)
    return videos


def _matches(pattern: str) -> list[str]:
    """Return the videos that a pattern matches, and those below matching folders, unless the pattern is recursive."""
    matches = [match for match in glob.glob(pattern, recursive=True) if not _is_below_hidden(match)]  # noqa: PTH207
    files = [match for match in matches if os.path.isfile(match)]  # noqa: PTH113
    others = [match for match in files if not is_video(match)]
    _warn(pattern, others, "of other suffixes than a video's")
    folders = [match for match in matches if match not in files and "**" not in pattern]
    return sorted({*files} - {*others}) + [path for folder in sorted(folders) for path in _videos_in(folder)]


def _videos_in(folder: str) -> list[str]:
    path = Path(folder)
    return [folder] if any(path.glob("frame_*.jpg")) else [str(path / below) for below in videos_below(path)]


def _is_below_hidden(path: str) -> bool:
    return any(is_hidden(part) for part in Path(path).parts if part not in ("..", "."))
