"""Files of scores made up, without a network and without videos."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from vivit.evaluation.scores_file import Description, PartWriter, merge
from vivit.evaluation.scores_reader import ScoresFile
from vivit.shapes import Scores


@pytest.fixture
def kept(tmp_path: Path) -> Callable[..., ScoresFile]:
    """Write logits [videos, views, classes] and labels [videos, heads], as a test does."""

    def kept(
        logits: np.ndarray, labels: np.ndarray, sizes: dict[str, int], names: Sequence[str] | None = None, **about: Any
    ) -> ScoresFile:
        videos, views = logits.shape[:2]
        told = {
            "heads": {head: [f"{head} {number}" for number in range(size)] for head, size in sizes.items()},
            "views": f"{views}x1", "chosen": {f"{views}x1": list(range(views))}, "spatial": 1, "average": "logits",
            "split": "test", "listed": videos,
        }  # fmt: skip
        part, target = tmp_path / "part", tmp_path / "scores.parquet"
        writer = PartWriter(part)
        for rows in torch.arange(videos).split(1000):
            by_view, truth = (torch.from_numpy(of[rows.numpy()]) for of in (logits, labels))
            writer.add(Scores(by_view.mean(1), truth.long(), rows, by_view, torch.zeros(len(rows), views).long()))
        writer.close()
        paths = pa.array([f"{row}.mp4" for row in range(videos)])
        description = Description(**(told | about))
        merge([part], target, description, paths, None if names is None else pa.array(names))
        return ScoresFile(target)

    return kept
