"""The base class of data sets: class names, labels of flipped clips, and the videos of each split."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.datasets.csv_reader import Column, CsvTable
from vivit.data.datasets.root_folder import check_root_folder
from vivit.data.datasets.split_stats import SplitStats, are_too_many, describe_skipped, too_many_error
from vivit.data.datasets.subsets import combined_classes, groups_of_paths, held_out, stratified_subset
from vivit.data.datasets.video_list import table_of_videos
from vivit.data.datasets.video_table import VideoTable
from vivit.data.frame_rates import check_frames_fps
from vivit.data.index.index import join_index
from vivit.data.storage.range_cache import RangeCache
from vivit.data.storage.remote_path import Folder, as_folder
from vivit.data.transforms.flip import ClassNameMap, Flip, FlipLabelMap
from vivit.errors import ConfigError
from vivit.structures import Video

log = logging.getLogger(__name__)

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(kw_only=True)
class VideoDataset(ABC):
    """A data set below ``root``: what a data set of one's own derives from. It needs ``heads`` and ``table``.

    ::

        @register_dataset("gestures")
        class Gestures(VideoDataset):
            @cached_property
            def heads(self):
                return {"gesture": json.loads((self.root / "classes.json").read_text())}

            def table(self, split):
                rows = json.loads((self.root / f"{split}.json").read_text())
                number = self.heads["gesture"].index
                return [Video(row["file"], (number(row["gesture"]),), row["start"], row["end"]) for row in rows]

    In ``configs/data/gestures.yaml`` stand ``defaults: [_own]`` and ``dataset: {name: gestures}``. With ``@dataclass(
    kw_only=True)`` below the registration, fields of the class are further options. A class number is a position in
    ``heads``; a head whose names are a ``vivit.structures.MultiLabel`` has as many numbers, 0 or 1. ``flip`` is what a
    mirrored clip is called: "forbidden", by which clips are never mirrored, unless a data set declares "harmless", by
    which labels stay, or class names by their mirrored ones, for each head.
    ``backwards`` is what a clip run backwards is called, likewise; a test then reports the accuracy of direction.

    ``max_missing`` is the share of each split's videos that may be absent or, by the index, unusable: they are counted,
    logged and left out; more is an error, but for unreadable ones that a run leaves out anyway. ``index_dir`` is the
    folder that ``prepare.py`` fills, by default ``root/prepared``; ``copies`` reads its copies of that short side in
    place of the videos. ``train_share`` selects that share of every class of the training videos, always the same ones
    and at least one, to measure how accuracy depends on the number of videos. ``score_by`` are columns of numbers in
    the CSV file that lists the videos: a test reports its accuracy over them too.

    Where no validation videos are listed, ``val_share`` holds out that share of the training videos as such, in whole
    groups. ``group_before`` is a regular expression: what stands before it in a file's name is the video's group, as
    with "_clip" in film3_clip07.mp4. None: every video is a group.

    ``frames_fps`` is the rate at which folders of pictures were written, which then have timestamps.
    """

    root: Folder
    flip: Flip = "forbidden"
    backwards: ClassNameMap = field(default_factory=dict)
    max_missing: Mapping[str, float] = field(default_factory=lambda: {"train": 0.05, "val": 0.0, "test": 0.0})
    index_dir: Path | str | None = None
    copies: int | None = None
    train_share: float = 1.0
    val_share: float | None = None
    group_before: str | None = None
    score_by: Sequence[str] = ()
    frames_fps: int | float | None = None

    generated = False
    """Whether the files are made here, and need no look at each of them before a run."""

    def __post_init__(self) -> None:
        if not isinstance(self.train_share, int | float) or not 0 < self.train_share <= 1:
            raise ConfigError("data.train_share", self.train_share, "is not a share", "set above 0 and at most 1")
        if self.val_share is not None and (not isinstance(self.val_share, int | float) or not 0 < self.val_share < 1):
            raise ConfigError("data.val_share", self.val_share, "is not a share", "set above 0 and below 1, as 0.2")
        if not isinstance(self.max_missing, Mapping):
            remedy = "set {train:0.05,val:0,test:0} or alike"
            raise ConfigError("data.dataset.max_missing", self.max_missing, "is not a share for each split", remedy)
        for split, share in self.max_missing.items():
            if not isinstance(share, int | float) or not 0 <= share <= 1:
                raise ConfigError(f"data.dataset.max_missing.{split}", share, "is not a share", "set 0 to 1, as 0.05")
        check_frames_fps(self.frames_fps, "data.dataset.frames_fps")
        columns = self.score_by
        if columns is None or isinstance(columns, str) or len(set(columns)) < len(columns):
            remedy = "set one, each once, as [speed,size], or []"
            raise ConfigError("data.dataset.score_by", columns, "is no list of columns", remedy)
        self.root = as_folder(self.root, "data.root")
        self.cache: RangeCache | None = None  # of what is fetched of videos in storage
        self.max_unreadable: Mapping[Split, int | float] = {}  # shares that a run leaves out, set by who reads clips
        self.stats: dict[Split, SplitStats] = {}
        """Statistics of every split whose videos were requested."""
        self._videos: dict[Split, VideoTable] = {}
        self._tables: dict[Split, pa.Table] = {}

    def prepare(self) -> None:
        """Make sure that the data set exists; called once, on one process, before anything else."""
        if isinstance(self.root, Path):
            check_root_folder(self.root)

    @property
    def prepared_folder(self) -> Folder:
        """The folder that ``prepare.py`` fills."""
        return self.root / "prepared" if self.index_dir is None else as_folder(self.index_dir, "data.dataset.index_dir")

    @cached_property
    def heads(self) -> Mapping[str, Sequence[str]]:
        """Class names of each head, in the order of the network's outputs: an attribute or a property."""
        problem = f"its class {type(self).__name__} has no heads"
        raise ConfigError("data.dataset.name", problem=problem, remedy="define heads, the class names of each head")

    def take_classes(self, heads: Mapping[str, Sequence[str]], *, labelled: bool) -> None:  # noqa: B027
        """Use a checkpoint's classes, where labels decide them here; without ``labelled`` any label may be missing."""

    @property
    def listed_splits(self) -> tuple[Split, ...]:
        """The splits that the data set lists."""
        return SPLITS

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits that there are: those that are listed, and validation videos that ``val_share`` holds out."""
        listed = self.listed_splits
        return ("train", "val", *listed[1:]) if self.holds_out else listed

    @property
    def holds_out(self) -> bool:
        """Whether validation videos are cut from the training videos."""
        return self.val_share is not None and "val" not in self.listed_splits

    @abstractmethod
    def table(self, split: Split) -> pa.Table | Sequence[Video]:
        """Return all videos of a split, whether they exist or not: a list, or a table by ``video_table.make_table``.

        Paths are absolute, or relative to the root. Of a ``Video`` path, labels, times, frame range and name count.
        """

    def arrow_table(self, split: Split) -> pa.Table:
        """Return all videos of a split as a table. Raises ``DataError`` where a row of a list cannot be right."""
        selected = self._selected(split)
        return self._listed(split) if selected is None else self._listed("train").filter(selected)

    def _selected(self, split: Split) -> Column | None:
        """Return which rows of the training videos are those of a split; None where it is a list of its own."""
        if split == "test" or not self.holds_out:
            return None
        return self._held_out if split == "val" else pc.invert(self._held_out)

    @cached_property
    def _held_out(self) -> Column:
        table = self._listed("train")
        selected = pa.array(held_out(combined_classes(table), self.groups("train"), float(self.val_share or 0)))
        if not (number := selected.true_count):
            remedy = "list val videos, or videos of more groups (data.dataset.group_before makes them)"
            raise ConfigError("data.val_share", self.val_share, "every class has one group of videos only", remedy)
        log.info("no val videos are listed: data.val_share=%s holds out %d of %d", self.val_share, number, len(table))
        return selected

    def groups(self, split: Split) -> Sequence[str]:
        """Return the group of every video that a split lists; those of a group are on one side of ``val_share``."""
        return groups_of_paths(self._listed(split)["path"].to_pylist(), self.group_before)

    def groups_of(self, split: Split) -> Sequence[str]:
        """Return the group of every video of ``arrow_table``; by default every video is one, named by its path."""
        selected = self._selected(split)
        return self.groups(split) if selected is None else list(compress(self.groups("train"), selected.to_pylist()))

    def usable_groups(self, split: Split) -> Column:
        """Return the group of every usable video of a split, by which intervals are bootstrapped."""
        return pa.array(self.groups_of(split), pa.string()).take(self.videos(split).listed)

    def _listed(self, split: Split) -> pa.Table:
        """Return the table of a split, which is listed once: folders are searched, and warned of, no second time."""
        if split not in self._tables:
            if not isinstance(listed := self.table(split), pa.Table):
                source = f"{type(self).__name__}.table({split!r})"
                listed = table_of_videos(listed, self.heads, self.root, source, labelled=split == "train")
            self._tables[split] = listed
        return self._tables[split]

    def csv_rows(self, split: Split) -> CsvTable | None:
        """Return the rows of the CSV file that lists a split, one for each row of ``table``; None where there is none.

        ``score_by`` reads its columns.
        """
        return None

    def difficulty(self, split: Split) -> dict[str, Column]:
        """Return the columns of ``score_by``, by name, with a number for each usable video of a split.

        They are read here and no video carries them. Raises ConfigError where no CSV file lists the videos, and
        DataError for a column that it lacks and for an entry that is no number.
        """
        if not self.score_by:
            return {}
        selected = self._selected(split)
        if (rows := self.csv_rows(split if selected is None else "train")) is None:
            problem = f"{type(self).__name__} lists its videos in no CSV file"
            raise ConfigError("data.dataset.score_by", list(self.score_by), problem, "leave it out")
        if selected is not None:
            rows = rows.filter(selected, f"in {split}")
        rows.require(*self.score_by)
        listed = self.videos(split).listed
        return {
            name: rows.numbers(name, pa.float64(), needed=True, any_sign=True).take(listed) for name in self.score_by
        }

    def official(self, split: Split) -> Mapping[str, Any] | None:
        """Return what the official metrics of a data set need beside labels, in plain values; None: it has none."""
        return None

    def videos(self, split: Split) -> VideoTable:
        """Return the usable videos of a split. Raises ``ConfigError`` where too many are missing."""
        if split not in self._videos:
            listed = self.arrow_table(split)
            listed = listed.append_column("listed", pa.array(range(len(listed)), pa.int32()))
            table = join_index(listed, self.root, self.prepared_folder, self.copies, split)
            usable = self._usable(split, table)
            selected = stratified_subset(usable, self.train_share) if split == "train" else usable
            if self.frames_fps is not None:
                selected = selected.append_column("frames_fps", pa.repeat(float(self.frames_fps), len(selected)))
            self._videos[split] = VideoTable(self.root, selected, self.cache)
        return self._videos[split]

    def _usable(self, split: Split, table: pa.Table) -> pa.Table:
        """Return the rows without problem; record the others, and raise if they are too many."""
        bad = table.filter(pc.is_valid(table["problem"]))
        reasons = dict(zip(bad["path"].to_pylist(), problems := bad["problem"].to_pylist(), strict=True))
        self.stats[split] = SplitStats(len(table), len(bad), reasons)
        if len(bad):
            limits = self.max_missing[split], float(self.max_unreadable.get(split, 0.0))
            if are_too_many(problems, len(table), *limits):
                raise too_many_error(self.root, split, limits[0], self.stats[split])
            log.warning("%s", describe_skipped(split, self.stats[split]))
        return table.filter(pc.is_null(table["problem"])).drop_columns("problem")

    @property
    def flip_labels(self) -> FlipLabelMap:
        """The labels of flipped clips."""
        return FlipLabelMap.of_names(self.heads, self.flip)
