"""Which files are videos, and which of them somebody means who names a file, a folder or a pattern."""

import glob
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

log = logging.getLogger(__name__)

SUFFIXES = (
    ".3g2", ".3gp", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264", ".hevc", ".ivf", ".m1v", ".m2ts",
    ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpe", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogm",
    ".ogv", ".qt", ".rm", ".rmvb", ".ts", ".vob", ".webm", ".wmv", ".y4m",
)  # fmt: skip
"""What the name of a video file ends in, in any case of letters."""
UNSEEN = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "Thumbs.db", "desktop.ini")
"""What systems and archives put beside somebody's files without showing it."""


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that nobody put there to be seen, by its name."""
    return name.startswith(".") or name in UNSEEN


def is_video(name: str) -> bool:
    """Whether a file is a video, by its suffix."""
    return name.lower().endswith(SUFFIXES)


def videos_below(folder: Path) -> list[str]:
    """Return the paths below ``folder``, sorted, of all videos in it and in the folders in it.

    A folder of pictures ``frame_0000000001.jpg`` is one video. Hidden files and folders, and files of other suffixes,
    are left out, and counted and named in a warning.
    """
    hidden: list[str] = []
    others: list[str] = []
    found = sorted(_walk(folder, hidden, others))
    _warn(folder, hidden, "hidden")
    _warn(folder, others, "of other suffixes than a video's")
    return found


def _warn(where: Path | str, names: list[str], why: str) -> None:
    if names:
        some = ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "")
        log.warning("%s: left out %d files or folders that are %s: %s", where, len(names), why, some)


def _walk(folder: Path, hidden: list[str], others: list[str]) -> Iterator[str]:
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(place)) in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(real)
        below = Path(place).relative_to(folder)
        hidden += [str(below / name) for name in [*folders, *files] if is_hidden(name)]
        folders[:] = [name for name in folders if not is_hidden(name)]
        if below != Path() and any(name.startswith("frame_") and name.endswith(".jpg") for name in files):
            yield str(below)
            continue
        visible = [name for name in files if not is_hidden(name)]
        others += [str(below / name) for name in visible if not is_video(name)]
        yield from (str(below / name) for name in visible if is_video(name))


def find_videos(named: str | Sequence[str]) -> list[str]:
    """Return the videos meant: files as they are, of a folder all below it, of a pattern (``*``, ``**``) what matches.

    A folder of pictures ``frame_0000000001.jpg`` is one video. Each is listed once. Raises where nothing is there.
    """
    names = [named] if isinstance(named, str) else list(named)
    if not names:
        raise ValueError("video names nothing; give a file, a folder, a pattern, or a list of them")
    return list(dict.fromkeys(path for name in names for path in _meant(str(name))))


def _meant(name: str) -> list[str]:
    path = Path(name)
    if path.is_dir():
        return _some(_meant_below(name), f"video={name} is a folder without a video ({', '.join(SUFFIXES)})")
    if path.exists():
        return [name]
    if glob.has_magic(name):
        return _some(_matching(name), f"video={name} matches no video ({', '.join(SUFFIXES)})")
    raise FileNotFoundError(f"video={name} is not there")


def _matching(pattern: str) -> list[str]:
    """Return the videos that a pattern matches, and below the folders that it matches, unless it does that itself."""
    matches = [match for match in glob.glob(pattern, recursive=True) if not _is_below_hidden(match)]  # noqa: PTH207
    files = [match for match in matches if os.path.isfile(match)]  # noqa: PTH113
    others = [match for match in files if not is_video(match)]
    _warn(pattern, others, "of other suffixes than a video's")
    within = [match for match in matches if match not in files and "**" not in pattern]
    return sorted({*files} - {*others}) + [path for folder in sorted(within) for path in _meant_below(folder)]


def _meant_below(folder: str) -> list[str]:
    path = Path(folder)
    return [folder] if any(path.glob("frame_*.jpg")) else [str(path / below) for below in videos_below(path)]


def _is_below_hidden(path: str) -> bool:
    return any(is_hidden(part) for part in Path(path).parts if part not in ("..", "."))


def _some(found: list[str], otherwise: str) -> list[str]:
    if not found:
        raise FileNotFoundError(otherwise)
    return found
