"""Folders and files at addresses, with those methods of ``pathlib.Path`` that data sets call."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from vivit.addresses import check_address, is_address, join_address, listed_name, without_secrets
from vivit.data.storage.requests import attempt, fetch_file


class RemotePath:
    """A folder or a file at an address that fsspec opens. Nothing is opened before a method asks."""

    def __init__(self, address: str) -> None:
        first, chain, rest = address.partition("::")
        self.address = (first if first.endswith("://") else first.rstrip("/")) + chain + rest

    def __truediv__(self, path: str) -> "RemotePath":
        return RemotePath(join_address(self.address, path))

    def __str__(self) -> str:
        return without_secrets(self.address)

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self.address == other.address

    def __hash__(self) -> int:
        return hash(self.address)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.address.partition("::")[0].rstrip("/").rpartition("/")[2]

    def absolute(self) -> "RemotePath":
        """Return the address as it is."""
        return self

    resolve = absolute

    def is_file(self) -> bool:
        """Return whether there is a file. Raises ``DataError`` where the storage does not answer."""
        return self._kind() == "file"

    def is_dir(self) -> bool:
        """Return whether there is a folder, where the storage knows folders."""
        return self._kind() == "directory" or bool(self.entries())

    def _kind(self) -> str | None:
        try:
            return str(attempt(self.address, lambda system, path: system.info(path)).get("type"))
        except FileNotFoundError:
            return None

    def read_bytes(self) -> bytes:
        """Return the content of the file. Raises ``FileNotFoundError`` or ``DataError``."""
        return fetch_file(self.address)

    def read_text(self, encoding: str = "utf-8") -> str:
        """Return the content of the file as text."""
        return self.read_bytes().decode(encoding)

    def open(self, mode: str = "r", *, newline: str | None = None, encoding: str = "utf-8") -> io.StringIO:
        """Return the content of the file as an open file of text."""
        return io.StringIO(self.read_text(encoding), newline)

    def entries(self) -> list[tuple[str, bool, dict[str, Any]]]:
        """Return name, whether it is a folder, and properties of what lies in the folder, sorted; none without it."""
        try:
            listed = attempt(self.address, lambda system, path: (path, system.ls(path, detail=True)))
        except FileNotFoundError:
            return []
        inside = listed[0].rstrip("/")
        names = {}
        for entry in listed[1]:
            path = str(entry["name"]).rstrip("/")
            name = listed_name(self.address, path.rpartition("/")[2])
            if path.rpartition("/")[0].endswith(inside.rpartition("://")[2]) and path != inside:
                is_folder = entry.get("type") == "directory" or str(entry["name"]).endswith("/")
                names[name] = (name, is_folder, entry)
        return [names[name] for name in sorted(names)]

    def walk(self, below: str = "") -> Iterator[tuple[str, list[str], list[str]]]:
        """Yield path relative to this one, names of folders, and names of files, from the top, as ``os.walk`` does.

        What is taken out of the list of folders is not visited.
        """
        entries = (self / below if below else self).entries()
        folders = [name for name, is_folder, _ in entries if is_folder]
        yield below, folders, [name for name, is_folder, _ in entries if not is_folder]
        for name in folders:
            yield from self.walk(f"{below}/{name}" if below else name)


Folder: TypeAlias = Path | RemotePath
"""A folder or file, on a local disk or elsewhere."""


def as_folder(path: str | Path | RemotePath, key: str) -> Folder:
    """Return the folder of a key's value. Raises ``ConfigError`` for an address that contains credentials."""
    if isinstance(path, Path | RemotePath):
        return path
    if not is_address(path):
        return Path(path)
    check_address(key, path)
    return RemotePath(path)
