"""Reads ``scores.parquet`` a few hundred videos at a time, and refuses files that are something else."""

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

from vivit.evaluation.scores_file import KEY, Description


class Part(NamedTuple):
    """Some of the videos of a file."""

    videos: Int[np.ndarray, " b"]
    """Rows in the catalogue."""
    names: list[str | None]
    """What the data set calls them."""
    paths: list[str]
    labels: Int[np.ndarray, "b heads"]
    views: Float[Tensor, "b v k"]
    """Logits of every view."""


@dataclass(frozen=True)
class ScoresFile:
    """A file of scores, by its path. Raises ``ValueError`` where it is none."""

    file: Path

    def __post_init__(self) -> None:
        if not self.file.is_file():
            raise FileNotFoundError(f"scores={self.file} is not a file; train.py and eval.py write scores.parquet")
        try:
            about, columns = self.about, set(pq.read_schema(self.file).names)
        except (pa.ArrowInvalid, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"scores={self.file} is no file of scores, as train.py and eval.py write it ({_reason(error)})"
            ) from None
        if missing := {"video", "path", "name", "view", "logits", *_label_columns(about)} - columns:
            raise ValueError(f"scores={self.file} lacks the columns {sorted(missing)}")

    @property
    def about(self) -> Description:
        """What the file tells of itself."""
        return Description(**json.loads((pq.read_schema(self.file).metadata or {})[KEY]))

    def chosen(self, views: str) -> list[int]:
        """Give the numbers of the views of that name."""
        if views not in self.about.chosen:
            raise ValueError(f"scores={self.file} holds the views {', '.join(self.about.chosen)}, not {views}")
        return list(self.about.chosen[views])

    def unlabelled(self) -> int:
        """Count the videos of which nobody tells a label."""
        columns = _label_columns(self.about)
        rows = pq.read_table(self.file, columns=["view", *columns])
        labels = np.stack([rows[name].to_numpy() for name in columns], 1)[rows["view"].to_numpy() == 0]
        return int((labels < 0).any(1).sum())

    def parts(self) -> Iterator[Part]:
        """Give the videos, in the catalogue's order, with the views of each."""
        with pq.ParquetFile(self.file) as file:
            about = self.about
            for group in range(file.num_row_groups):
                yield self._part(file.read_row_group(group), about)

    def _part(self, rows: pa.Table, about: Description) -> Part:
        view = rows["view"].to_numpy()
        views = int(view.max(initial=0)) + 1
        classes = sum(map(len, about.heads.values()))
        flat = rows["logits"].combine_chunks().flatten().to_numpy()
        if len(view) % views or (view != np.tile(np.arange(views), len(view) // views)).any():
            raise ValueError(f"scores={self.file} does not hold every view of every video, one behind the other")
        if len(flat) != len(view) * classes:
            raise ValueError(f"scores={self.file} does not hold {classes} logits a view, as many as it names classes")
        first = rows.take(np.arange(0, len(view), views))
        labels = np.stack([first[name].to_numpy() for name in _label_columns(about)], 1)
        logits = torch.from_numpy(flat.copy()).view(-1, views, classes)
        if len(bad := np.flatnonzero(~logits.isfinite().flatten(1).all(1).numpy())):
            raise ValueError(f"scores={self.file}: logits of {first['path'][bad[0]]} are not numbers")
        return Part(first["video"].to_numpy(), first["name"].to_pylist(), first["path"].to_pylist(), labels, logits)


def _label_columns(about: Description) -> Sequence[str]:
    return [f"label_{head}" for head in about.heads]


def _reason(error: Exception) -> str:
    return "it says nothing of its scores" if isinstance(error, KeyError) else str(error).splitlines()[0]
