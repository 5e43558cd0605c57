"""The files of a data set as ``prepare.py`` examines them: on a local disk, at addresses, or in tar files."""

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from vivit.addresses import is_address, join_path, without_secrets
from vivit.data.datasets import Split, VideoDataset
from vivit.data.index.places import PLACE_COLUMNS
from vivit.data.storage.stored_file import OpenFile, StoredFile


@contextmanager
def opened(source: Path | StoredFile) -> Iterator[Path | OpenFile]:
    """Yield a file, one in storage open, so that it is fetched once. Raises ``VideoError``."""
    if isinstance(source, Path):
        yield source
        return
    with closing(source.open()) as file:
        yield file


class Sources:
    """The files that splits list, by the names that an index has for them: their paths, without secrets."""

    def __init__(self, dataset: VideoDataset, splits: Sequence[Split]) -> None:
        self._root = str(dataset.root) if isinstance(dataset.root, Path) else dataset.root.address
        self._cache = dataset.cache
        self._paths: dict[str, str] = {}
        self._places: dict[str, tuple[str, int, str, int]] = {}
        for split in splits:
            table = dataset.arrow_table(split)
            paths = table["path"].to_pylist()
            names = [without_secrets(path) for path in paths]
            self._paths |= dict(zip(names, paths, strict=True))
            if "shard" in table.column_names:
                places = (table[name].to_pylist() for name in (*PLACE_COLUMNS, "bytes"))
                self._places |= dict(zip(names, zip(*places, strict=True), strict=True))
        self.names = sorted(self._paths)

    def is_stored(self, name: str) -> bool:
        """Return whether a file is none of a local disk by itself."""
        return name in self._places or is_address(self._root) or is_address(self._paths.get(name, name))

    def stored(self, name: str) -> StoredFile | None:
        """Return where the bytes of a file lie; None for one of a local disk."""
        if not self.is_stored(name):
            return None
        path = join_path(self._root, self._paths.get(name, name))
        if name not in self._places:
            return StoredFile(without_secrets(path), path, cache=self._cache)
        shard, offset, version, size = self._places[name]
        address = join_path(self._root, shard)
        return StoredFile(without_secrets(path), address, offset, size, cache=self._cache, version=version)

    def is_as_listed(self, name: str, size: int, version: str | None) -> bool:
        """Return whether a file in a tar file that the data set lists has this size and version; true of any other."""
        if name not in self._places:
            return True
        _, _, listed, listed_size = self._places[name]
        return size == listed_size and version in (None, listed)

    def source(self, name: str) -> Path | StoredFile:
        """Return a file, wherever it lies."""
        return self.stored(name) or Path(os.path.join(self._root, self._paths.get(name, name)))  # noqa: PTH118
