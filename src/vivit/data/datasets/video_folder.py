"""A folder of class folders, ``root/<class>/<video>``, or one for each split: ``root/train/<class>/<video>``."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from vivit.data.datasets.base import SPLITS, Split, VideoDataset
from vivit.data.datasets.class_names import UNLABELLED, describe_nearest, fold_name, sorted_classes
from vivit.data.datasets.folder_layout import (
    check_layout,
    check_names,
    describe_archive,
    describe_inner_folders,
    describe_list_beside,
    describe_root_above,
    folder_names,
    no_videos_error,
    split_folders,
)
from vivit.data.datasets.registry import register_dataset
from vivit.data.datasets.video_table import make_table
from vivit.data.find_videos import videos_below
from vivit.data.index.index import is_prepared
from vivit.data.storage.remote_path import Folder
from vivit.data.transforms.flip import Flip
from vivit.data.warn_once import warn_once
from vivit.errors import DataError
from vivit.structures import MultiLabel

log = logging.getLogger(__name__)

CHECKPOINT = "the checkpoint"
MOST_NAMED = 20
"""Folders that a warning names at most."""


@register_dataset("folder")
@dataclass(kw_only=True)
class VideoFolder(VideoDataset):
    """Every folder below ``root/train`` is a class, in alphabetical order, or by size where all names are numbers.

    Without any of ``train``, ``val`` and ``test`` every folder of videos below ``root`` is one, and all videos are for
    training. Folders without videos, and others that ``prepare.py`` filled, are left out with a warning. Splits may
    be called ``Train`` or ``validation``, too.
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
            self._classes_of, self._labelled = CHECKPOINT, labelled

    @property
    def listed_splits(self) -> tuple[Split, ...]:
        """The training videos, and those of the other folders that there are."""
        return ("train", *(split for split in SPLITS[1:] if split in self._folders))

    @cached_property
    def _folders(self) -> dict[Split, str]:
        """The names of the folders of the splits; none where the root holds classes."""
        folders = split_folders(self.root)
        for split, name in folders.items():
            if name != split:
                log.info("%s: the folder %s is taken as %s", self.root, name, split)
        return folders

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """The one head, ``label``."""
        folder = self._split_folder("train")
        names = sorted_classes(self._class_folders("train"))
        if not names:
            if not (listed := folder_names(folder)):
                remedy = describe_list_beside(self.root) or describe_root_above(self.root)
                remedy = remedy or describe_archive(folder) or "make one folder of videos for each class"
                raise DataError(folder, "has no class folders", remedy)
            raise no_videos_error(folder, listed)
        check_layout(self.root, folder, names)
        self._check_spelling(folder, names)
        if inner := describe_inner_folders(self._paths_below("train"), names):
            remedy = f"if those are the classes, set data.root to one folder that has them, as {folder / names[0]}"
            warn_once(__name__, f"{folder}: {inner}; {remedy}")
        return {"label": names}

    def _check_spelling(self, folder: Folder, names: Sequence[str]) -> None:
        counts = Counter(path.partition("/")[0] for path in self._paths_below("train") if "/" in path)
        spelling: dict[str, str] = {}
        for name in names:
            if (other := spelling.setdefault(fold_name(name), name)) != name:
                problem = f"has the folders {other!r} ({counts[other]} videos) and {name!r} ({counts[name]}), "
                problem += "which differ by blanks or case only"
                raise DataError(folder, problem, "move the videos of one class into one folder")

    def table(self, split: Split) -> pa.Table:
        """Return the videos of a split, class by class."""
        names = self.heads["label"]
        folder = self._split_folder(split)
        if self._labelled and (unknown := sorted(self._class_folders(split) - set(names))):
            problem = f"has the folders {unknown}, which are no classes of {self._classes_of}"
            if self._classes_of != CHECKPOINT and unknown[0] in folder_names(self._split_folder("train")):
                problem = f"has videos of {unknown}, which is empty in {self._classes_of}"
            raise DataError(folder, problem, describe_nearest(unknown[0], names))
        prefix = "" if folder == self.root else f"{folder.name}/"
        paths = self._paths_below(split)
        if not self._labelled and paths:
            numbers = {name: number for number, name in enumerate(names)}
            labels = [numbers.get(path.partition("/")[0], -1) for path in paths]
            return make_table(path=pa.chunked_array([[f"{prefix}{path}" for path in paths]]), labels=[pa.array(labels)])
        if outside := [path for path in paths if "/" not in path]:
            log.warning("%s: %d videos lie outside of class folders: %s", folder, len(outside), ", ".join(outside[:3]))
        videos = [(path.partition("/")[0], path) for path in paths if "/" in path]
        if not videos:
            if outside and "heads" in self.__dict__:
                raise DataError(folder, "has no videos in class folders", UNLABELLED)
            raise no_videos_error(folder, folder_names(folder))
        numbers = {name: number for number, name in enumerate(names)}
        files = sorted((numbers[name], f"{prefix}{path}") for name, path in videos)
        label, path = (pa.array(column) for column in zip(*files, strict=True))
        return make_table(path=pa.chunked_array([path]), labels=[label])

    def _paths_below(self, split: Split) -> list[str]:
        """Return the paths of a split's videos, relative to its folder, which is searched once."""
        if split not in self._paths:
            folder = self._split_folder(split)
            paths = videos_below(folder, lambda each: is_prepared(each, self.prepared_folder))
            check_names(folder, paths)
            self._paths[split] = paths
        return self._paths[split]

    def _class_folders(self, split: Split) -> set[str]:
        """Return the names of the folders with videos in that of a split; of training the others are warned of."""
        folder = self._split_folder(split)
        classes = {path.partition("/")[0] for path in self._paths_below(split) if "/" in path}
        listed = {name for name in folder_names(folder) if folder / name != self.prepared_folder}
        if split == "train" and classes and (others := sorted(listed - classes)):
            names = ", ".join(others[:MOST_NAMED]) + (", ..." if len(others) > MOST_NAMED else "")
            have, are = ("folder has", "is no class") if len(others) == 1 else ("folders have", "are no classes")
            warn_once(__name__, f"{folder}: {len(others)} {have} no videos for training and {are}: {names}")
        return classes

    def _split_folder(self, split: Split) -> Folder:
        if not self._folders and (split == "train" or not self._labelled):
            return self.root
        if split not in self._folders:
            remedy = f"arrange the videos as {self.root}/{{train,val,test}}/<class>/<video>"
            if not self._folders and "heads" in self.__dict__:
                held_out = "split=val scores what training held out, " if split == "test" else ""
                remedy += f"; in eval.py {held_out}split=train all below {self.root}"
            remedy += ", or set data.val_share=0.2 to hold out training videos" if split == "val" else ""
            raise DataError(self.root / split, "there is no such folder", describe_root_above(self.root) or remedy)
        return self.root / self._folders[split]
