"""A folder of class folders, ``root/<class>/<video>``, or one for each split: ``root/train/<class>/<video>``."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa

from vivit.data.datasets.base import SPLITS, Split, VideoDataset
from vivit.data.datasets.class_names import describe_nearest, fold_name, sorted_classes
from vivit.data.datasets.registry import register_dataset
from vivit.data.datasets.video_table import make_table
from vivit.data.find_videos import SUFFIXES, is_hidden, videos_below
from vivit.data.index.index import is_prepared
from vivit.data.transforms.flip import Flip
from vivit.data.warn_once import warn_once
from vivit.errors import DataError
from vivit.structures import MultiLabel

log = logging.getLogger(__name__)

UNLABELLED = "in eval.py compute_metrics=false scores videos without labels"
MOST_NAMED = 20
"""Folders that a warning names at most."""


@register_dataset("folder")
@dataclass(kw_only=True)
class VideoFolder(VideoDataset):
    """Every folder below ``root/train`` is a class, in alphabetical order, or by size where all names are numbers.

    Without any of ``train``, ``val`` and ``test`` every folder of videos below ``root`` is one, and all videos are for
    training; folders without videos, and those that ``prepare.py`` filled, are left out with a warning.
    The videos of a class are those in its folder and its subfolders, by their suffix. Hidden files and folders are
    ignored.
    """

    flip: Flip = "harmless"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._paths: dict[Split, list[str]] = {}
        self._classes_of = f"{self.root / 'train'}"
        self._labelled = True

    def take_classes(self, heads: Mapping[str, Sequence[str]], *, labelled: bool) -> None:
        """Use a checkpoint's classes; folders of another name are an error, or videos without a label."""
        if list(heads) == ["label"] and not isinstance(heads["label"], MultiLabel):
            self.__dict__["heads"] = {"label": tuple(heads["label"])}
            self._classes_of, self._labelled = "the checkpoint", labelled

    @property
    def listed_splits(self) -> tuple[Split, ...]:
        """The training videos, and those of the other folders that there are."""
        return ("train", *(split for split in SPLITS[1:] if (self.root / split).is_dir()))

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """The one head, ``label``."""
        names = sorted_classes(self._class_folders("train"))
        if not names:
            remedy = "make one folder of videos for each class"
            raise DataError(self._split_folder("train"), "has no class folders", remedy)
        spelling: dict[str, str] = {}
        for name in names:
            if (other := spelling.setdefault(fold_name(name), name)) != name:
                problem = f"has the folders {other!r} and {name!r}, which differ by blanks or case only"
                raise DataError(self._split_folder("train"), problem, "move the videos of one class into one folder")
        return {"label": names}

    def table(self, split: Split) -> pa.Table:
        """Return the videos of a split, class by class."""
        names = self.heads["label"]
        folder = self._split_folder(split)
        if self._labelled and (unknown := sorted(self._class_folders(split) - set(names))):
            problem = f"has the folders {unknown}, which are no classes of {self._classes_of}"
            raise DataError(folder, problem, describe_nearest(unknown[0], names))
        prefix = "" if folder == self.root else f"{split}/"
        paths = self._paths_below(split)
        if not self._labelled and paths:
            numbers = {name: number for number, name in enumerate(names)}
            labels = [numbers.get(path.partition("/")[0], -1) for path in paths]
            return make_table(path=pa.chunked_array([[f"{prefix}{path}" for path in paths]]), labels=[pa.array(labels)])
        if outside := [path for path in paths if "/" not in path]:
            log.warning("%s: %d videos lie outside of class folders: %s", folder, len(outside), ", ".join(outside[:3]))
        videos = [(path.partition("/")[0], path) for path in paths if "/" in path]
        if not videos:
            remedy = UNLABELLED if outside and "heads" in self.__dict__ else ""
            raise DataError(folder, f"has no videos ({', '.join(SUFFIXES)}) in class folders", remedy)
        if empty := sorted(set(names) - {name for name, _ in videos}):
            log.warning("%s has no video of the classes %s", folder, ", ".join(empty))
        numbers = {name: number for number, name in enumerate(names)}
        files = sorted((numbers[name], f"{prefix}{path}") for name, path in videos)
        label, path = (pa.array(column) for column in zip(*files, strict=True))
        return make_table(path=pa.chunked_array([path]), labels=[label])

    def _paths_below(self, split: Split) -> list[str]:
        """Return the paths of a split's videos, relative to its folder, which is searched once."""
        if split not in self._paths:
            self._paths[split] = videos_below(self._split_folder(split), self._is_prepared)
        return self._paths[split]

    def _is_prepared(self, folder: Path) -> bool:
        return folder.resolve() == self.prepared_folder.resolve() or is_prepared(folder)

    def _class_folders(self, split: Split) -> set[str]:
        folder = self._split_folder(split)
        folders = {child for child in folder.iterdir() if child.is_dir() and not is_hidden(child.name)}
        if folder != self.root:
            return {child.name for child in folders if not self._is_prepared(child)}
        classes = {path.partition("/")[0] for path in self._paths_below(split) if "/" in path}
        if others := sorted({child.name for child in folders} - classes):
            names = ", ".join(others[:MOST_NAMED]) + (", ..." if len(others) > MOST_NAMED else "")
            warn_once(
                __name__, f"{folder}: {len(others)} folders have no videos for training and are no classes: {names}"
            )
        return classes

    def _split_folder(self, split: Split) -> Path:
        folder = self.root / split
        splits = any((self.root / name).is_dir() for name in SPLITS)
        if not splits and (split == "train" or not self._labelled):
            return self.root
        if not folder.is_dir():
            remedy = f"arrange the videos as {self.root}/{{train,val,test}}/<class>/<video>"
            remedy += (
                "" if splits or "heads" not in self.__dict__ else f", or set split=train for all below {self.root}"
            )
            remedy += ", or set data.val_share=0.2 to hold out training videos" if split == "val" else ""
            raise DataError(folder, "there is no such folder", remedy)
        return folder
