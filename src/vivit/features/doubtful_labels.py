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
    """Return the videos for which another class is the most probable, the surest first.

    ``probabilities`` are of a probe that was not trained on the video. Where it is right about most videos, the first
    ones are mostly labels that are wrong (confident learning, Northcutt, Jiang and Chuang 2021, ranks so too).
    """
    answers = probabilities.argmax(1)
    rows = np.flatnonzero(answers != labels)
    margins = probabilities[rows, answers[rows]] - probabilities[rows, labels[rows]]
    order = np.argsort(-margins, kind="stable")
    return [DoubtfulLabel(int(rows[i]), int(answers[rows[i]]), float(margins[i])) for i in order]
