"""The most confident mistakes of a test: videos whose wrong class is the most probable."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import torch

from vivit.evaluation.predicted_classes import head_probabilities
from vivit.evaluation.predictions_reader import label_matrix
from vivit.structures import Heads, MultiLabel


class Mistake(NamedTuple):
    """A wrong prediction of one head for one video."""

    video: int
    """Row of the video in the split."""
    path: str
    """As the data set lists it."""
    head: str
    true: str
    """The right class; of a multi-label head all of them, or none."""
    predicted: str
    probability: float
    """Of the predicted class; of a multi-label head, of what is wrong with most confidence: p of a class that should
    not be there, 1 - p of one that should."""
    true_probability: float | None
    """Of the right class; None for a multi-label head."""


class MixUp(NamedTuple):
    """A class that was predicted in the place of the true one, and how often."""

    head: str
    true: str
    predicted: str
    videos: int


class Mistakes(NamedTuple):
    """The most confident mistakes, how many there are of how many answers, and which classes were mixed up."""

    first: list[Mistake]
    wrong: int
    answers: int
    mix_ups: Sequence[MixUp] = ()
    """The commonest first; none of a multi-label head."""


def most_confident_mistakes(file: Path, heads: Heads, most: int) -> Mistakes:
    """Return the mistakes of all heads in ``video_scores.parquet``, the most confident ``most`` first."""
    columns = [f"{kind}_{head}" for head in heads for kind in ("label", "pred")]
    rows = pq.read_table(file, columns=["video", "path", "scores", *columns])
    scores = torch.from_numpy(rows["scores"].combine_chunks().flatten().to_numpy().reshape(len(rows), -1).copy())
    mistakes: list[Mistake] = []
    mix_ups: list[MixUp] = []
    wrong = 0
    for (head, names), part in zip(heads.items(), scores.split([len(each) for each in heads.values()], 1), strict=True):
        labels, predicted = (label_matrix([rows[f"{kind}_{head}"]]) for kind in ("label", "pred"))
        probabilities = head_probabilities(part, names).double().numpy()
        numbers = np.arange(len(rows))
        if isinstance(names, MultiLabel):
            errors = labels != predicted
            confidence = (np.where(predicted == 1, probabilities, 1 - probabilities) * errors).max(1)
            is_wrong = errors.any(1)
        else:
            confidence, is_wrong = probabilities[numbers, predicted[:, 0]], labels[:, 0] != predicted[:, 0]
        wrong += int(is_wrong.sum())
        if not isinstance(names, MultiLabel):
            pairs = np.stack([labels[is_wrong, 0], predicted[is_wrong, 0]], 1)
            kinds, counts = np.unique(pairs, axis=0, return_counts=True)
            of_head = zip(kinds.tolist(), counts.tolist(), strict=True)
            mix_ups += [MixUp(head, names[true], names[answer], number) for (true, answer), number in of_head]
        order = np.flatnonzero(is_wrong)
        for row in order[np.argsort(-confidence[order], kind="stable")][:most].tolist():
            right = None if isinstance(names, MultiLabel) else float(probabilities[row, labels[row, 0]])
            true, answer = (_text(of_row[row].tolist(), names) for of_row in (labels, predicted))
            video, path = rows["video"][row].as_py(), rows["path"][row].as_py()
            mistakes.append(Mistake(video, path, head, true, answer, float(confidence[row]), right))
    mistakes.sort(key=lambda mistake: -mistake.probability)
    mix_ups.sort(key=lambda mix_up: -mix_up.videos)
    return Mistakes(mistakes[:most], wrong, len(rows) * len(heads), mix_ups[:most])


def _text(labels: list[int], names: Sequence[str]) -> str:
    """Return the class of a row of labels; of a multi-label head all of them, or none."""
    if isinstance(names, MultiLabel):
        return ", ".join(name for name, present in zip(names, labels, strict=True) if present) or "none"
    return names[labels[0]]
