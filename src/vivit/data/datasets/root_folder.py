"""What a data set's root is that is no folder."""

from pathlib import Path

from vivit.errors import ConfigError

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".xz", ".bz2")
"""Endings of files that have to be unpacked."""


def is_archive(file: Path) -> bool:
    """Return whether a file has the name of an archive."""
    return file.suffix.lower() in ARCHIVES


def check_root_folder(root: Path) -> None:
    """Raise ``ConfigError`` unless a root is a folder; it says what the root is, and what to set."""
    if root.is_dir():
        return
    if not root.exists():
        raise ConfigError("data.root", root, "there is no such folder", "set it to the folder of the videos")
    remedy = f"set the folder of the videos, as data.root={root.parent}"
    if is_archive(root):
        remedy = "unpack it, and set the folder that comes out of it"
    elif root.suffix.lower() in (".csv", ".tsv", ".txt"):
        remedy = f"set data=csv data.root={root.parent} data.dataset.file={root.name}"
    raise ConfigError("data.root", root, "is a file, and no folder", remedy)
