"""``scores.parquet``: what a model said of every view of every video, and all that it takes to compute metrics again.

A row is one view of one video. Each rank of a test writes a part of its own; merging sorts the videos as the catalogue
has them, so that the file does not depend on ranks, workers and batches. No more than a few hundred videos are in
memory at a time.
"""

import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vivit.io import atomic_write
from vivit.shapes import Scores

Column: TypeAlias = pa.Array | pa.ChunkedArray
GROUP = 256
"""Videos that are written, and later read, at a time."""
KEY = b"vivit.scores"
PART = pa.schema(
    {
        "video": pa.int64(),
        "labels": pa.list_(pa.int64()),
        "firsts": pa.list_(pa.int64()),
        "logits": pa.list_(pa.float32()),  # of all views, one behind the other
    }
)


@dataclass(frozen=True, kw_only=True)
class Description:
    """What the metadata of the file tell, in plain values."""

    heads: Mapping[str, Sequence[str]]
    """Class names of each head, in the order of the logits."""
    views: str
    """Name of the views that count, as the paper writes them: temporal x spatial."""
    chosen: Mapping[str, Sequence[int]]
    """Numbers of the views that belong to each name."""
    spatial: int
    """Spatial crops of each temporal view."""
    average: str
    """The rule by which views are averaged."""
    split: str
    listed: int
    """Videos of the split."""
    left_out: Mapping[str, Any] = field(default_factory=dict)
    """What could not be read, by split."""
    checkpoint: str | None = None
    epic_kitchens: Mapping[str, Any] | None = None
    """What the official scores of EPIC-Kitchens need beside the labels."""


class PartWriter:
    """Writes the videos of one rank, in the order in which they come."""

    def __init__(self, file: Path) -> None:
        self._sink = pa.OSFile(str(file), "wb")
        self._file = pa.ipc.new_file(self._sink, PART)

    def add(self, scores: Scores) -> None:
        """Write a batch of videos."""
        assert scores.views is not None
        logits = scores.views.flatten(1).cpu().numpy()
        firsts = [[]] * len(scores.videos) if scores.firsts is None else scores.firsts.cpu().tolist()
        columns = [
            pa.array(scores.videos.cpu().numpy()),
            pa.array(scores.labels.cpu().tolist(), PART.field("labels").type),
            pa.array(firsts, PART.field("firsts").type),
            pa.FixedSizeListArray.from_arrays(logits.ravel(), logits.shape[1]).cast(PART.field("logits").type),
        ]
        self._file.write_batch(pa.record_batch(columns, schema=PART))

    def close(self) -> None:
        """End the file."""
        self._file.close()
        self._sink.close()


class _Row(NamedTuple):
    video: int
    labels: list[int]
    firsts: list[int]
    logits: np.ndarray


def merge(parts: Sequence[Path], target: Path, about: Description, paths: Column, names: Column | None) -> None:
    """Make the file of the parts of all ranks; ``paths`` and ``names`` are those of the catalogue's videos."""
    rows = heapq.merge(*map(_rows, parts), key=itemgetter(0))
    writer, last = None, -1
    with atomic_write(target) as place:
        while group := list(islice(rows, GROUP)):
            for row in group:
                if row.video <= last:
                    raise RuntimeError(f"video {row.video} was scored twice")
                last = row.video
            table = _table(group, about, paths, names)
            writer = writer or pq.ParquetWriter(place, table.schema, compression="zstd", use_dictionary=["path"])
            writer.write_table(table, row_group_size=len(table))
        if writer is None:
            raise ValueError(f"no video of the split {about.split!r} was scored, so there is nothing to keep")
        writer.close()


def _rows(part: Path) -> Iterator[_Row]:
    with pa.memory_map(str(part)) as source:
        file = pa.ipc.open_file(source)
        for number in range(file.num_record_batches):
            batch = file.get_batch(number)
            columns = [batch["video"].to_pylist(), batch["labels"].to_pylist(), batch["firsts"].to_pylist()]
            logits = batch["logits"]
            for at, (video, labels, firsts) in enumerate(zip(*columns, strict=True)):
                yield _Row(video, labels, firsts, np.array(logits[at].values))


def _table(group: Sequence[_Row], about: Description, paths: Column, names: Column | None) -> pa.Table:
    classes = sum(map(len, about.heads.values()))
    views = len(group[0].logits) // classes
    rows = pa.array(np.repeat([row.video for row in group], views))
    number = np.tile(np.arange(views, dtype=np.int32), len(group))
    labels = np.repeat(np.array([row.labels for row in group], np.int32), views, 0)
    firsts = [row.firsts if row.firsts else [None] * views for row in group]
    columns = {
        "video": rows,
        "path": paths.take(rows),
        "name": pa.nulls(len(rows), pa.string()) if names is None else names.take(rows),
        **{f"label_{head}": labels[:, at] for at, head in enumerate(about.heads)},
        "view": number,
        "temporal": number // about.spatial,
        "spatial": number % about.spatial,
        "first": pa.array([first for firsts_of_video in firsts for first in firsts_of_video], pa.int32()),
        "logits": pa.FixedSizeListArray.from_arrays(np.concatenate([row.logits for row in group]), classes),
    }
    return pa.table(columns).replace_schema_metadata({KEY: json.dumps(asdict(about))})
