"""All listed videos of a data set as columns: split, group, labels, and of indexed ones what their files are like."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int

from vivit.addresses import is_address
from vivit.data.datasets import Split, VideoDataset
from vivit.data.datasets.subsets import label_names
from vivit.data.datasets.video_table import label_matrix
from vivit.data.index.alike import read_alike
from vivit.data.index.appearance import shows_nothing
from vivit.data.index.first_look import COLUMNS as COLUMNS_OF_LOOK
from vivit.data.index.first_look import first_look
from vivit.data.index.index import exists, file_properties
from vivit.structures import Heads, label_columns, single_label_heads

COLUMNS = (
    "bytes",
    "codec",
    "width",
    "height",
    "rotation",
    "sound",
    "fps",
    "seconds",
    "frames",
    "stamps",
    "hashes",
    "problem",
)
"""Columns of the index that an overview reads."""
SEGMENT = ("start", "end", "first", "last")
"""Columns of the list of videos that say which part of a file a video is."""


@dataclass(frozen=True)
class VideoFacts:
    """The listed videos of a data set, those that cannot be used included.

    A row of ``videos`` is a video, or a segment of one: ``split``, ``path``, ``group`` (the path where nothing groups),
    ``start`` and ``end`` in seconds or ``first`` and ``last`` frame of a segment, ``problem`` (None: it can be used, as
    far as is known), ``length`` in seconds, of a segment its own, ``alike`` and
    ``film`` (numbers of groups of videos that look alike, or the same, by ``alike.csv``; -1: none), and of its file the
    index's ``bytes``, ``codec``, ``width``, ``height``, ``rotation``, ``sound``, ``fps``, ``seconds``, ``irregular``
    (frames are not evenly spaced) and ``blank`` (its pictures show nothing), which are missing where it is not indexed,
    unless its header was looked at.
    ``indexed`` says whether the index has the file.
    """

    heads: Heads
    videos: pd.DataFrame
    labels: Int[np.ndarray, "n c"]
    """Labels of each row, as those of a ``Video``."""

    @property
    def splits(self) -> list[str]:
        """The splits with videos."""
        return list(dict.fromkeys(self.videos["split"]))

    @property
    def examined(self) -> pd.DataFrame:
        """The usable videos of whose files the properties are known, one row a file and split."""
        usable = self.videos[self.videos["codec"].notna() & self.videos["problem"].isna()]
        return usable.drop_duplicates(["split", "path"])

    @property
    def is_segment(self) -> "pd.Series[bool]":
        """Which rows are parts of a file."""
        return self.videos[list(SEGMENT)].notna().any(axis=1)

    def class_counts(self, head: str) -> pd.DataFrame:
        """Return the number of videos of each class of a head, a row a class, a column a split.

        Those of a class of a multi-label head are the videos that have it.
        """
        names, columns = list(self.heads[head]), label_columns(self.heads)[head]
        split = self.videos["split"].to_numpy()
        counts = {}
        for each in self.splits:
            labels = self.labels[split == each, columns]
            if head in single_label_heads(self.heads):
                counts[each] = np.bincount(labels[labels >= 0], minlength=len(names))
            else:
                counts[each] = (labels == 1).sum(0)
        return pd.DataFrame(counts, index=pd.Index(names, name=head))


def load_facts(
    dataset: VideoDataset,
    splits: Sequence[Split] | None = None,
    *,
    look_on_disk: bool = True,
    look_seconds: float = 0.0,
) -> VideoFacts:
    """Return the facts of the listed videos of ``splits``, all by default.

    ``look_on_disk`` says whether files are there, too; ``look_seconds`` is how long the headers of files that the index
    lacks are looked at; 0: no video is opened. Raises ``DataError`` where a row of a list cannot be right.
    """
    parts, labels = [], []
    for split in splits or dataset.splits:
        table = dataset.arrow_table(split)
        labels.append(label_matrix([table[name] for name in label_names(table)]))
        parts.append(_columns(dataset, split, table, look_on_disk))
    videos = pd.concat(parts, ignore_index=True)
    if look_seconds:
        _look(dataset, videos, look_seconds)
    videos["length"] = np.fmin(videos["seconds"], videos["end"]) - videos["start"].fillna(0.0)
    return VideoFacts(dataset.heads, videos, np.concatenate(labels))


def _columns(dataset: VideoDataset, split: Split, table: pa.Table, look_on_disk: bool) -> pd.DataFrame:
    paths = table["path"].combine_chunks()
    files = pc.unique(paths)
    properties = file_properties(files, dataset.prepared_folder, (*COLUMNS, "shard"))
    in_tars = pc.is_valid(properties["shard"]).to_numpy(zero_copy_only=False)
    irregular = pc.and_(pc.is_valid(properties["stamps"]), pc.is_valid(properties["frames"]))
    blank = pa.array([shows_nothing(hashes) for hashes in properties["hashes"].to_pylist()])
    properties = properties.append_column("irregular", irregular).append_column("blank", blank)
    of_files = properties.drop_columns(["stamps", "shard", "hashes"]).to_pandas()
    of_files["indexed"] = of_files["bytes"].notna()
    if look_on_disk and "shard" not in table.column_names:
        on_disk = exists(dataset.root, files).to_numpy(zero_copy_only=False)
        of_files.loc[~on_disk & ~in_tars, "problem"] = "missing"
    numbers = read_alike(dataset.prepared_folder / "alike.csv")
    of_files[["alike", "film"]] = np.array([numbers.get(path, (-1, -1)) for path in files.to_pylist()]).reshape(-1, 2)
    videos = of_files.iloc[pc.index_in(paths, files).to_numpy()].reset_index(drop=True)
    videos.insert(0, "split", split)
    videos.insert(1, "path", paths.to_pandas())
    videos.insert(2, "group", list(dataset.groups_of(split)))
    for name in SEGMENT:
        videos[name] = table[name].to_pandas().astype(float) if name in table.column_names else np.nan
    return videos


def _look(dataset: VideoDataset, videos: pd.DataFrame, seconds: float) -> None:
    """Fill in what the headers of files say that the index lacks, and which are the same byte for byte."""
    if not isinstance(dataset.root, Path) or any(
        "shard" in dataset.arrow_table(s).column_names for s in videos["split"].unique()
    ):
        return
    is_local = ~videos["path"].map(is_address)
    unknown = videos[~videos["indexed"] & videos["problem"].isna() & is_local].sample(frac=1, random_state=0)
    is_scored = unknown["split"] != "train"  # these come first, for a bad one stops validation and test
    scored = list(dict.fromkeys(unknown.loc[is_scored, "path"]))
    paths = list(dict.fromkeys([*scored, *unknown.loc[~is_scored, "path"]]))
    headers = first_look(dataset.root, paths, seconds=seconds, opened=scored)
    seen = videos["path"].isin(headers.keys()) & ~videos["indexed"]
    for name in COLUMNS_OF_LOOK:
        values = [headers[path][name] for path in videos.loc[seen, "path"]]
        column = videos[name].astype(object) if name in ("codec", "problem", "sound", "irregular") else videos[name]
        videos[name] = column.where(~seen, pd.Series(values, index=videos.index[seen], dtype=object))
    for name in ("bytes", "width", "height", "rotation", "fps", "seconds"):
        videos[name] = pd.to_numeric(videos[name])
    if (videos["film"] >= 0).any():
        return
    digests = videos["path"].map({path: look["digest"] for path, look in headers.items()})
    copies = digests[digests.notna() & ~videos.duplicated(["path"])]
    copies = copies[copies.duplicated(keep=False)]
    numbers = pd.Series(pd.factorize(copies)[0], index=videos.loc[copies.index, "path"])
    videos["film"] = videos["path"].map(numbers).fillna(-1).astype(int)
