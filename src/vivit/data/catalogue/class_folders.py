"""A folder of class folders: ``root/train/<class>/<video>``, likewise ``val`` and ``test``."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from vivit.data.catalogue.catalogue import Catalogue, Split
from vivit.data.catalogue.class_names import in_order
from vivit.data.catalogue.columns import listing
from vivit.data.finding import SUFFIXES, is_hidden, videos_below

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class ClassFolders(Catalogue):
    """Every folder below ``root/train`` is a class, in alphabetical order, or by size where all names are numbers.

    The videos of a class are those in its folder and in the folders in that, by their suffix. Hidden files and folders
    are none.
    """

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """The one head, ``label``."""
        names = in_order(self._folders("train"))
        if not names:
            raise ValueError(f"{self.root / 'train'} has no class folders; it needs one folder of videos a class")
        return {"label": names}

    def listed(self, split: Split) -> pa.Table:
        """List the videos of a split, class by class."""
        names = self.heads["label"]
        folder = self._split(split)
        if strange := sorted(self._folders(split) - set(names)):
            raise ValueError(f"{folder} has the folders {strange}, which are no classes of {self.root / 'train'}")
        paths = videos_below(folder)
        if outside := [path for path in paths if "/" not in path]:
            log.warning("%s: %d videos lie outside of class folders: %s", folder, len(outside), ", ".join(outside[:3]))
        found = [(path.partition("/")[0], path) for path in paths if "/" in path]
        if not found:
            raise ValueError(f"{folder} holds no videos ({', '.join(SUFFIXES)}) in class folders")
        if empty := sorted(set(names) - {name for name, _ in found}):
            log.warning("%s has no video of the classes %s", folder, ", ".join(empty))
        numbers = {name: number for number, name in enumerate(names)}
        files = sorted((numbers[name], f"{split}/{path}") for name, path in found)
        label, path = (pa.array(column) for column in zip(*files, strict=True))
        return listing(path=pa.chunked_array([path]), labels=[label])

    def _folders(self, split: Split) -> set[str]:
        return {child.name for child in self._split(split).iterdir() if child.is_dir() and not is_hidden(child.name)}

    def _split(self, split: Split) -> Path:
        folder = self.root / split
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is missing; expected {self.root}/{{train,val,test}}/<class>/<video>")
        return folder
