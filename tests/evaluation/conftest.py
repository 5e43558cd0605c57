"""Files of scores made up, without a network and without videos."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from vivit.evaluation.predictions import PredictionsMetadata, ShardWriter, merge
from vivit.evaluation.predictions_reader import PredictionsFile
from vivit.structures import Predictions


@pytest.fixture
def kept(tmp_path: Path) -> Callable[..., PredictionsFile]:
    """Write logits [videos, views, classes] and labels [videos, heads], as a test does."""

    def kept(
        logits: np.ndarray,
        labels: np.ndarray,
        sizes: dict[str, int],
        names: Sequence[str] | None = None,
        difficulty: dict[str, np.ndarray] | None = None,
        **about: Any,
    ) -> PredictionsFile:
        videos, views = logits.shape[:2]
        told = {
            "heads": {head: [f"{head} {number}" for number in range(size)] for head, size in sizes.items()},
            "views": f"{views}x1", "view_indices": {f"{views}x1": list(range(views))}, "spatial": 1,
            "average": "logits", "split": "test", "listed": videos,
        }  # fmt: skip
        part, target = tmp_path / "part", tmp_path / "scores.parquet"
        writer = ShardWriter(part)
        for rows in torch.arange(videos).split(1000):
            by_view, truth = (torch.from_numpy(of[rows.numpy()]) for of in (logits, labels))
            writer.add(Predictions(by_view.mean(1), truth.long(), rows, by_view, torch.zeros(len(rows), views).long()))
        writer.close()
        paths = pa.array([f"{row}.mp4" for row in range(videos)])
        description = PredictionsMetadata(**(told | about))
        numbers = {name: pa.array(values) for name, values in (difficulty or {}).items()}
        merge([part], target, description, paths, None if names is None else pa.array(names), numbers)
        return PredictionsFile(target)

    return kept
