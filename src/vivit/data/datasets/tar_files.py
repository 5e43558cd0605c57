"""Videos in tar files, as WebDataset writes them: each read by itself, in any order, so that nothing else changes."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.datasets.base import SPLITS, Split, VideoDataset
from vivit.data.datasets.class_names import UNLABELLED, describe_nearest, sorted_classes
from vivit.data.datasets.registry import register_dataset
from vivit.data.datasets.split_names import split_of
from vivit.data.datasets.video_table import make_table
from vivit.data.find_videos import files_below
from vivit.data.index.index import is_prepared
from vivit.data.storage.tar_members import read_members
from vivit.data.transforms.flip import Flip
from vivit.errors import DataError
from vivit.structures import MultiLabel

log = logging.getLogger(__name__)

LABELS = ("cls", "txt", "json")
"""Suffixes of members with a label, the first of which counts."""
PLACE = ("shard", "offset", "bytes", "version")
"""Columns of where a video lies, and what tells it from another there."""
WORD = re.compile(r"[A-Za-z]+")
"""A part of a tar file's path, which may be the name of a split."""


@register_dataset("tar")
@dataclass(kw_only=True)
class TarFiles(VideoDataset):
    """Videos in the tar files below ``root``, as ``train-000000.tar``, ``train/000000.tar`` or ``k400-train-0.tar``.

    Without the name of a split in its path a tar file is for training. Members of one key, their name up to the first
    dot, belong together: a video, and ``.cls`` or ``.txt`` with its class, or ``.json`` with its class in the entry
    ``label``. Classes are in alphabetical order, or by size where all are numbers. A video's group is its tar file
    unless ``group_before`` makes others.
    """

    label: str = "label"
    flip: Flip = "harmless"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._labelled = True

    def take_classes(self, heads: Mapping[str, Sequence[str]], *, labelled: bool) -> None:
        """Use a checkpoint's classes; others are an error, or videos without a label."""
        if list(heads) == ["label"] and not isinstance(heads["label"], MultiLabel):
            self.__dict__["heads"], self._labelled = {"label": tuple(heads["label"])}, labelled

    @cached_property
    def _shards(self) -> dict[Split, list[str]]:
        """The tar files of each split, relative to the root."""
        shards: dict[Split, list[str]] = {}
        for path in files_below(self.root, ".tar", lambda each: is_prepared(each, self.prepared_folder)):
            named = [split for split in SPLITS if split in map(split_of, WORD.findall(path))]
            if len(named) > 1:
                problem = f"is named after two splits, {named[0]} and {named[1]}"
                raise DataError(f"{self.root}/{path}", problem, "rename it, as train-000000.tar")
            shards.setdefault(named[0] if named else "train", []).append(path)
        if "train" not in shards and self._labelled:
            raise DataError(self.root, "has no tar files for training", "name them train-000000.tar and so on")
        return shards

    @property
    def listed_splits(self) -> tuple[Split, ...]:
        """The splits that tar files are named after."""
        return ("train", *(split for split in SPLITS[1:] if split in self._shards))

    @cached_property
    def _members(self) -> dict[Split, pa.Table]:
        return {}

    def _videos_of(self, split: Split) -> pa.Table:
        """Return path, place and class, as text, of every video of a split."""
        if split not in self._members:
            if split not in self._shards:
                raise DataError(self.root, f"has no tar files for {split}", f"name them {split}-000000.tar and so on")
            rows = read_members(self.root, self._shards[split], self.prepared_folder, LABELS).to_pylist()
            videos: dict[str, dict[str, object]] = {}
            for row in sorted(rows, key=lambda row: LABELS.index(row["kind"]) if row["kind"] else len(LABELS)):
                path = f"{row['shard']}/{row['member'].lstrip('/')}"
                text = None if row["label"] is None else self._class_of(path, row["kind"], row["label"])
                video = {"path": path, "class": text, **{name: row[name] for name in PLACE}}
                if videos.setdefault(path, video)["class"] is None:
                    videos[path] = video
            if not videos:
                raise DataError(self.root, f"has no videos in the tar files of {split}")
            self._members[split] = pa.Table.from_pylist([videos[path] for path in sorted(videos)])
        return self._members[split]

    def _class_of(self, path: str, kind: str, text: str) -> str | None:
        if kind != "json":
            return text
        try:
            content = json.loads(text)
        except ValueError:
            raise DataError(f"{self.root}/{path}", "has a .json that is no JSON") from None
        entry = content.get(self.label) if isinstance(content, dict) else None
        return None if entry is None else str(entry)

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """The one head, ``label``."""
        return {"label": sorted_classes({name for name in self._videos_of("train")["class"].to_pylist() if name})}

    def table(self, split: Split) -> pa.Table:
        """Return the videos of a split, tar file by tar file."""
        videos = self._videos_of(split)
        numbers = pc.index_in(videos["class"], pa.array(self.heads["label"], pa.string()))
        if self._labelled and (bad := pc.index(pc.is_valid(numbers), False).as_py()) >= 0:
            name, path = videos["class"][bad].as_py(), videos["path"][bad].as_py()
            if name is None:
                remedy = f"add a member .cls, .txt, or .json with {self.label!r}; {UNLABELLED}"
                raise DataError(f"{self.root}/{path}", "has no class", remedy)
            raise DataError(
                f"{self.root}/{path}", f"has the unknown class {name!r}", describe_nearest(name, self.heads["label"])
            )
        return make_table(
            path=videos["path"], labels=[pc.fill_null(numbers, -1)], shard=videos["shard"],
            offset=videos["offset"].cast(pa.int64()), bytes=videos["bytes"].cast(pa.int64()),
            version=videos["version"],
        )  # fmt: skip
