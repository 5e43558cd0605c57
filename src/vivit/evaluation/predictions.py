"""``scores.parquet``: the logits of every view of every video, with all that is needed to compute metrics again.

A row is one view of one video. Each rank of a test writes a shard; merging sorts the videos as the data set has them,
so that the file does not depend on ranks, workers and batches. No more than a few hundred videos are in memory at a
time.
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
from jaxtyping import Int

from vivit.errors import DataError
from vivit.io import atomic_write
from vivit.structures import Predictions, label_columns, with_thresholds

Column: TypeAlias = pa.Array | pa.ChunkedArray
ROW_GROUP = 256
"""Videos that are written, and later read, at a time."""
METADATA_KEY = b"vivit.scores"
SHARD_SCHEMA = pa.schema(
    {
        "video": pa.int64(),
        "labels": pa.list_(pa.int64()),
        "first_frames": pa.list_(pa.int64()),
        "logits": pa.list_(pa.float32()),  # of all views, one behind the other
    }
)


@dataclass(frozen=True, kw_only=True)
class PredictionsMetadata:
    """Metadata of the file, in plain values."""

    heads: Mapping[str, Sequence[str]]
    """Class names of each head, in the order of the logits."""
    views: str
    """Name of the main set of views, as in the paper: temporal x spatial."""
    view_indices: Mapping[str, Sequence[int]]
    """Indices of the views of each set."""
    spatial: int
    """Spatial crops of each temporal view."""
    average: str
    """The aggregation of views."""
    split: str
    listed: int
    """Number of videos of the split."""
    skipped_videos: Mapping[str, Any] = field(default_factory=dict)
    """Videos that could not be read, by split."""
    checkpoint: str | None = None
    score_by: Mapping[str, Sequence[Sequence[float]]] = field(default_factory=dict)
    """Numbers of the videos over which accuracy is reported, each with the ends of the parts of its range."""
    backwards: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """What a clip run backwards is called, by head and class."""
    epic_kitchens: Mapping[str, Any] | None = None
    """Tail classes and unseen participants, for the official metrics of EPIC-Kitchens."""
    multi_label: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """The multi-label heads, each with the thresholds of its classes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", with_thresholds(self.heads, self.multi_label))


class ShardWriter:
    """Writes the videos of one rank, in the order in which they come."""

    def __init__(self, file: Path) -> None:
        self._sink = pa.OSFile(str(file), "wb")
        self._file = pa.ipc.new_file(self._sink, SHARD_SCHEMA)

    def add(self, predictions: Predictions) -> None:
        """Write a batch of videos."""
        assert predictions.views is not None
        logits = predictions.views.flatten(1).cpu().numpy()
        first_frames = predictions.first_frames
        starts = [[]] * len(predictions.videos) if first_frames is None else first_frames.cpu().tolist()
        columns = [
            pa.array(predictions.videos.cpu().numpy()),
            pa.array(predictions.labels.cpu().tolist(), SHARD_SCHEMA.field("labels").type),
            pa.array(starts, SHARD_SCHEMA.field("first_frames").type),
            pa.FixedSizeListArray.from_arrays(logits.ravel(), logits.shape[1]).cast(SHARD_SCHEMA.field("logits").type),
        ]
        self._file.write_batch(pa.record_batch(columns, schema=SHARD_SCHEMA))

    def close(self) -> None:
        """Complete the file."""
        self._file.close()
        self._sink.close()


class _Row(NamedTuple):
    video: int
    labels: list[int]
    first_frames: list[int]
    logits: np.ndarray


def merge(
    shards: Sequence[Path],
    target: Path,
    metadata: PredictionsMetadata,
    paths: Column,
    names: Column | None,
    difficulty: Mapping[str, Column] | None = None,
    groups: Column | None = None,
) -> None:
    """Write the file from the shards of all ranks.

    ``paths``, ``names``, ``groups`` and the numbers of ``difficulty`` are those of the data set's videos.
    """
    columns = {"path": paths, "name": names, "group": groups}
    columns |= {f"by_{name}": column for name, column in (difficulty or {}).items()}
    rows = heapq.merge(*map(_rows, shards), key=itemgetter(0))
    writer, last = None, -1
    with atomic_write(target) as partial:
        while group := list(islice(rows, ROW_GROUP)):
            for row in group:
                if row.video <= last:
                    raise RuntimeError(f"video {row.video} was scored twice")
                last = row.video
            table = _table(group, metadata, columns)
            writer = writer or pq.ParquetWriter(partial, table.schema, compression="zstd", use_dictionary=["path"])
            writer.write_table(table, row_group_size=len(table))
        if writer is None:
            raise DataError(target, f"no video of the split {metadata.split!r} could be read, so it is not written")
        writer.close()


def label_column(labels: Int[np.ndarray, "n c"]) -> pa.Array:
    """Return the labels of a head as a column: class numbers, or of a multi-label head a list of 0 and 1 a row."""
    if labels.shape[1] == 1:
        return pa.array(labels[:, 0])
    return pa.FixedSizeListArray.from_arrays(pa.array(labels.ravel().astype(np.int8)), labels.shape[1])


def _rows(shard: Path) -> Iterator[_Row]:
    with pa.memory_map(str(shard)) as source:
        file = pa.ipc.open_file(source)
        for number in range(file.num_record_batches):
            batch = file.get_batch(number)
            columns = [batch[name].to_pylist() for name in ("video", "labels", "first_frames")]
            logits = batch["logits"]
            for i, (video, labels, first_frames) in enumerate(zip(*columns, strict=True)):
                yield _Row(video, labels, first_frames, np.array(logits[i].values))


def _table(group: Sequence[_Row], metadata: PredictionsMetadata, of_videos: Mapping[str, Column | None]) -> pa.Table:
    classes = sum(map(len, metadata.heads.values()))
    views = len(group[0].logits) // classes
    videos = pa.array(np.repeat([row.video for row in group], views))
    view = np.tile(np.arange(views, dtype=np.int32), len(group))
    labels = np.repeat(np.array([row.labels for row in group], np.int32), views, 0)
    unknown: list[int | None] = [None] * views
    first_frames = [frame for row in group for frame in (row.first_frames or unknown)]
    columns = {
        "video": videos,
        **{
            name: pa.nulls(len(videos), pa.string()) if column is None else column.take(videos)
            for name, column in of_videos.items()
        },
        **{
            f"label_{head}": label_column(labels[:, columns]) for head, columns in label_columns(metadata.heads).items()
        },
        "view": view,
        "temporal": view // metadata.spatial,
        "spatial": view % metadata.spatial,
        "first": pa.array(first_frames, pa.int32()),
        "logits": pa.FixedSizeListArray.from_arrays(np.concatenate([row.logits for row in group]), classes),
    }
    return pa.table(columns).replace_schema_metadata({METADATA_KEY: json.dumps(asdict(metadata))})
