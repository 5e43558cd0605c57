"""A folder of class folders: ``root/train/<class>/<video>``, likewise ``val`` and ``test``."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from vivit.data.catalogue.catalogue import Catalogue, Split
from vivit.data.catalogue.columns import listing

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")


@dataclass(kw_only=True)
class ClassFolders(Catalogue):
    """Every folder below ``root/train`` is a class, in alphabetical order; files with a video's suffix count."""

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """The one head, ``label``."""
        names = tuple(sorted(folder.name for folder in self._split("train").iterdir() if folder.is_dir()))
        if not names:
            raise ValueError(f"{self.root / 'train'} has no class folders; it needs one folder of videos a class")
        return {"label": names}

    def listed(self, split: Split) -> pa.Table:
        """List the videos of a split, class by class."""
        names = self.heads["label"]
        folder = self._split(split)
        if strange := sorted({f.name for f in folder.iterdir() if f.is_dir()} - set(names)):
            raise ValueError(f"{folder} has the folders {strange}, which are no classes of {self.root / 'train'}")
        files = [
            (f"{split}/{name}/{file.name}", number)
            for number, name in enumerate(names)
            for file in sorted((folder / name).glob("*"))
            if file.suffix.lower() in SUFFIXES
        ]
        if not files:
            raise ValueError(f"{folder} holds no videos ({', '.join(SUFFIXES)}) in class folders")
        paths, labels = zip(*files, strict=True)
        return listing(path=pa.chunked_array([pa.array(paths)]), labels=[pa.array(labels)])

    def _split(self, split: Split) -> Path:
        folder = self.root / split
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder} is missing; expected {self.root}/{{train,val,test}}/<class>/<video>")
        return folder
