"""How class folders lie below a root: which of them are splits, and roots that are a level too high or too low."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from vivit.data.datasets.base import SPLITS, Split
from vivit.data.datasets.root_folder import is_archive
from vivit.data.datasets.split_names import named_splits
from vivit.data.find_videos import folders_of_pictures, has_videos, is_hidden, is_video
from vivit.data.storage.remote_path import Folder
from vivit.errors import DataError

DEPTH = 3
"""Levels below a root, or above it, at which another root is searched."""

MOST_INNER = 5
"""Folders in class folders up to which they may be the classes; more of them are rather sources or days."""


def folder_names(folder: Folder) -> list[str]:
    """Return the names of the visible folders in a folder, sorted; none where it cannot be listed."""
    if not isinstance(folder, Path):
        return [name for name, is_folder, _ in folder.entries() if is_folder and not is_hidden(name)]
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name))
    except OSError:
        return []


def split_folders(root: Folder) -> dict[Split, str]:
    """Return the names of the folders of splits in a root, by split; none where it holds classes.

    They are called ``train``, ``val`` and ``test``, or alike (``Train``, ``validation``) where folders of videos lie in
    them: a class may be called ``valid``, too.
    """
    names = folder_names(root)
    alike = named_splits(names)
    folders: dict[Split, str] = {}
    for split in SPLITS:
        for name in alike.get(split, ()):
            if name == split or _holds_classes(root / name):
                folders.setdefault(split, name)
    exact = any(split in names for split in SPLITS)
    return folders if exact or "train" in folders or {*folders.values()} == {*names} else {}


def _holds_classes(folder: Folder) -> bool:
    return any(has_videos(folder / name) for name in folder_names(folder))


def check_layout(root: Folder, folder: Folder, classes: Sequence[str]) -> None:
    """Raise ``DataError`` where the classes in a folder are no classes: the root or the folder is on another level.

    ``folder`` is that of the training videos, which is the root where there are no splits. Storage is not searched.
    """
    if not isinstance(root, Path) or not isinstance(folder, Path):
        return
    if folder == root:
        for name in classes:
            if below := _root_below(root / name):
                problem = f"{name} is no class, for {below} has the folders {', '.join(split_folders(below).values())}"
                raise DataError(root, problem, f"set data.root={below}")
    if len(classes) != 1:
        return
    (name,) = classes
    inner = [child for child in folder_names(folder / name) if has_videos(folder / name / child)]
    if len(inner) < 2 or any(is_video(file) for file in os.listdir(folder / name)):  # noqa: PTH208
        return
    listed = ", ".join(inner[:5]) + (", ..." if len(inner) > 5 else "")
    problem = f"has one class folder only, {name}, and {listed} in it look like the classes"
    remedy = f"set data.root={root / name}" if folder == root else f"move them up, out of {name}, in every split"
    raise DataError(folder, problem, remedy)


def _root_below(folder: Path, depth: int = DEPTH) -> Path | None:
    """Return the first folder with splits at or below a folder; where it lies deeper, alone on its level."""
    if (train := split_folders(folder).get("train")) and _holds_classes(folder / train):
        return folder
    names = folder_names(folder)
    return _root_below(folder / names[0], depth - 1) if depth > 1 and len(names) == 1 else None


def describe_inner_folders(paths: Sequence[str], classes: Sequence[str]) -> str:
    """Return the folders in class folders that may be the classes; nothing where a class has videos of its own.

    ``paths`` are those of the videos, relative to the folder of the classes.
    """
    inner: dict[str, set[str]] = {name: set() for name in classes}
    for path in paths:
        name, _, below = path.partition("/")
        if name in inner:
            inner[name].add(below.partition("/")[0] if "/" in below else "")
    sizes = [len(folders) for folders in inner.values()]
    if any("" in folders for folders in inner.values()) or not 1 < max(sizes) <= MOST_INNER or len(sizes) > MOST_INNER:
        return ""
    listed = "; ".join(f"{name} has {', '.join(sorted(folders))}" for name, folders in inner.items())
    return f"the classes have no videos but in folders: {listed}"


def describe_root_above(root: Folder) -> str:
    """Return what to set where a root lies too deep, in a split or in a class; nothing where none is above."""
    if not isinstance(root, Path):
        return ""
    inner = root.absolute()
    for above in [*inner.parents][:DEPTH]:
        if "train" in split_folders(above) and inner.relative_to(above).parts[0] in split_folders(above).values():
            return f"set data.root={above}, which has the folders {', '.join(split_folders(above).values())}"
    return ""


def describe_list_beside(root: Folder) -> str:
    """Return what to set where the only list in a root names the classes of its videos; nothing without one."""
    lists = sorted(root.glob("*.csv")) if isinstance(root, Path) else []
    if len(lists) != 1:
        return ""
    name = lists[0].name
    file = "" if name in ("videos.csv", "train.csv") else " " + shlex.quote(f"data.dataset.file={name}")
    return f"set data=csv{file}, which reads the classes from {name}"


def describe_archive(folder: Folder) -> str:
    """Return that an archive in a folder has to be unpacked; nothing where there is none."""
    names = sorted(file.name for file in folder.iterdir() if is_archive(file)) if isinstance(folder, Path) else []
    return f"unpack {names[0]}, and set data.root to the folder that comes out of it" if names else ""


def check_names(folder: Folder, names: Sequence[str]) -> None:
    """Raise ``DataError`` for the names of files that are not text in UTF-8, which no list can hold."""
    bad = [name for name in names if not name.isprintable() and not _is_utf8(name)]
    if bad:
        readable = os.fsencode(bad[0]).decode("utf-8", "backslashreplace")
        others = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        problem = f"the name {readable}{others} is not text in UTF-8"
        raise DataError(folder, problem, "rename it, as convmv -r -f latin1 -t utf8 --notest does for a folder")


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def no_videos_error(folder: Folder, names: Mapping[str, object] | Sequence[str]) -> DataError:
    """Return the error about a folder of class folders without videos, by what they hold instead."""
    if pictures := folders_of_pictures(folder):
        problem = f"has no videos, and pictures in {len(pictures)} folders, as {pictures[0]}"
        remedy = (
            "a folder of JPEG files frame_0000000001.jpg and so on is read as one video: rename them, or make a video "
            f"of each folder: ffmpeg -framerate 25 -pattern_type glob -i '{folder / pictures[0]}/*' NAME.mp4"
        )
        return DataError(folder, problem, remedy)
    inside = ", ".join(list(names)[:5])
    return DataError(folder, f"has no videos in class folders{f' ({inside})' if inside else ''}")
