"""Labels that a probe doubts which has not seen the video."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class DoubtfulLabel(NamedTuple):
    """A video, by row, and the class that a probe takes it for in place of its label."""

    row: int
    answer: int
    margin: float
    """By how much the answer is more probable than the label, 0 to 1."""


def doubtful_labels(probabilities: Float[np.ndarray, "n k"], labels: Int[np.ndarray, " n"]) -> list[DoubtfulLabel]:
    """Return the videos that rather belong to another class, the surest first.

    A class is an answer where it is at least as probable as it is on average for the videos of that label: a probe may
    be surer of one class than of another (confident learning, Northcutt, Jiang and Chuang 2021, section 3.1).
    ``probabilities`` are of a probe that was not trained on the video.
    """
    classes = probabilities.shape[1]
    of_label = [probabilities[labels == label, label] for label in range(classes)]
    usual = np.array([values.mean() if len(values) else np.inf for values in of_label])
    answers = np.where(probabilities >= usual, probabilities, -1.0)
    doubted = (answers.max(1) >= 0) & (answers.argmax(1) != labels)
    rows = np.flatnonzero(doubted)
    best = answers.argmax(1)[rows]
    margins = probabilities[rows, best] - probabilities[rows, labels[rows]]
    return [DoubtfulLabel(int(rows[i]), int(best[i]), float(margins[i])) for i in np.argsort(-margins, kind="stable")]
