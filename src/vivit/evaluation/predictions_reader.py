"""Reading of ``scores.parquet``, a few hundred videos at a time; ``video_scores.parquet``, its views aggregated."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vivit.errors import ConfigError, DataError
from vivit.evaluation.multi_view import get_aggregation
from vivit.evaluation.predicted_classes import predicted_classes, split_heads
from vivit.evaluation.predictions import METADATA_KEY, PredictionsMetadata, label_column
from vivit.io import atomic_write
from vivit.structures import label_columns, multi_label_positions


class PredictionBatch(NamedTuple):
    """Some of the videos of a file."""

    videos: Int[np.ndarray, " b"]
    """Row of each video in the data set."""
    names: list[str | None]
    """Identifiers of the data set."""
    paths: list[str]
    labels: Int[np.ndarray, "b heads"]
    views: Float[Tensor, "b v k"]
    """Logits of every view."""
    difficulty: dict[str, Float[np.ndarray, " b"]]
    """The numbers over which accuracy is reported."""
    groups: list[str | None]
    """Videos of a group belong together; None in files that have none."""


@dataclass(frozen=True)
class PredictionsFile:
    """A file of predictions, by its path.

    Raises ConfigError where there is no such file, and DataError where it is none of predictions.
    """

    file: Path

    def __post_init__(self) -> None:
        if not self.file.is_file():
            raise ConfigError(
                "scores",
                self.file,
                "there is no such file",
                "set a scores.parquet that train.py or eval.py has written",
            )
        try:
            metadata, columns = self.metadata, set(pq.read_schema(self.file).names)
        except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
            raise DataError(
                self.file, f"is not a file of predictions ({_reason(error)})",
                "set scores to a scores.parquet that train.py or eval.py has written",
            ) from None  # fmt: skip
        if missing := sorted(
            {"video", "path", "name", "view", "logits", *_label_columns(metadata), *map(_by, metadata.score_by)}
            - columns
        ):
            raise DataError(self.file, "is missing", column=missing[0])

    @property
    def metadata(self) -> PredictionsMetadata:
        """The metadata of the file."""
        return PredictionsMetadata(**json.loads((pq.read_schema(self.file).metadata or {})[METADATA_KEY]))

    def view_indices(self, views: str) -> list[int]:
        """Return the indices of the views of a set, such as "4x3"."""
        available = self.metadata.view_indices
        if views not in available:
            raise ConfigError("views", views, f"{self.file} has no such views", f"set one of {', '.join(available)}")
        return list(available[views])

    def count_unlabelled(self) -> int:
        """Return the number of videos without a label."""
        columns = _label_columns(self.metadata)
        rows = pq.read_table(self.file, columns=["view", *columns])
        labels = label_matrix([rows[name] for name in columns])[rows["view"].to_numpy() == 0]
        return int((labels < 0).any(1).sum())

    def parts(self) -> Iterator[PredictionBatch]:
        """Yield the videos, in the data set's order, with the views of each."""
        with pq.ParquetFile(self.file) as file:
            metadata = self.metadata
            for group in range(file.num_row_groups):
                yield self._part(file.read_row_group(group), metadata)

    def _part(self, rows: pa.Table, metadata: PredictionsMetadata) -> PredictionBatch:
        view = rows["view"].to_numpy()
        views = int(view.max(initial=0)) + 1
        classes = sum(map(len, metadata.heads.values()))
        flat = rows["logits"].combine_chunks().flatten().to_numpy()
        if len(view) % views or (view != np.tile(np.arange(views), len(view) // views)).any():
            raise DataError(self.file, "does not hold every view of every video, one behind the other", column="view")
        if len(flat) != len(view) * classes:
            raise DataError(self.file, f"does not hold {classes} logits a view, one a class", column="logits")
        first = rows.take(np.arange(0, len(view), views))
        labels = label_matrix([first[name] for name in _label_columns(metadata)])
        logits = torch.from_numpy(flat.copy()).view(-1, views, classes)
        if len(bad := np.flatnonzero(~logits.isfinite().flatten(1).all(1).numpy())):
            raise DataError(self.file, f"those of {first['path'][bad[0]]} are not finite", column="logits")
        videos, names, paths = (first[name] for name in ("video", "name", "path"))
        groups = first["group"].to_pylist() if "group" in first.column_names else [None] * len(first)
        difficulty = {name: first[_by(name)].to_numpy() for name in metadata.score_by}
        return PredictionBatch(
            videos.to_numpy(), names.to_pylist(), paths.to_pylist(), labels, logits, difficulty, groups
        )


def _label_columns(metadata: PredictionsMetadata) -> Sequence[str]:
    return [f"label_{head}" for head in metadata.heads]


def label_matrix(columns: Sequence[pa.ChunkedArray]) -> Int[np.ndarray, "n c"]:
    """Return the labels of rows, those of heads beside one another; a list of a multi-label head has one a class."""
    parts = [column.combine_chunks() for column in columns]
    flat = [part.flatten() if pa.types.is_fixed_size_list(part.type) else part for part in parts]
    return np.concatenate([np.asarray(each).reshape(len(part), -1) for part, each in zip(parts, flat, strict=True)], 1)


def _by(name: str) -> str:
    """Return the column of a number over which accuracy is reported."""
    return f"by_{name}"


def _reason(error: Exception) -> str:
    return "it has no metadata of ours" if isinstance(error, KeyError) else str(error).splitlines()[0]


def write_video_scores(file: PredictionsFile, target: Path, *, views: str, average: str) -> None:
    """Write labels, predicted classes and aggregated scores of every video, one row a video."""
    writer = None
    with atomic_write(target) as partial:
        for table in _video_tables(file, views, average):
            writer = writer or pq.ParquetWriter(partial, table.schema, compression="zstd", use_dictionary=["path"])
            writer.write_table(table)
        if writer is not None:
            writer.close()


def _video_tables(file: PredictionsFile, views: str, average: str) -> Iterator[pa.Table]:
    metadata, aggregation = file.metadata, get_aggregation(average)
    indices, sizes = file.view_indices(views), [len(classes) for classes in metadata.heads.values()]
    positions = multi_label_positions(metadata.heads)
    for part in file.parts():
        scores = aggregation(part.views[:, indices].double(), sizes, multi_label=positions)
        predicted = predicted_classes(split_heads(scores, metadata.heads), metadata.heads)
        columns = {"video": part.videos, "path": part.paths}
        columns |= {"name": pa.array(part.names, pa.string()), "group": pa.array(part.groups, pa.string())}
        for head, of_head in label_columns(metadata.heads).items():
            columns |= {
                f"label_{head}": label_column(part.labels[:, of_head]),
                f"pred_{head}": label_column(predicted[:, of_head]),
            }
        columns["scores"] = pa.FixedSizeListArray.from_arrays(scores.float().flatten().numpy(), sum(sizes))
        yield pa.table(columns)
