"""Whether answers need time: the same videos in order, and with their time changed, compared video by video."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from vivit.groups import bootstrap_interval
from vivit.wilson import wilson

FEWEST = 5
"""Groups of videos of a class, without which a bootstrap over them shows nothing."""
FORWARD = "forward"
"""The name of the videos as they are."""


class HeadAnswers(NamedTuple):
    """Of the videos of one head, its classes by number: what they show, and what was answered."""

    labels: Int[np.ndarray, " n"]
    predicted: Int[np.ndarray, " n"]

    @property
    def right(self) -> Bool[np.ndarray, " n"]:
        """Which are answered rightly."""
        return self.labels == self.predicted


def compare_changes(answers: Mapping[str, HeadAnswers], groups: Sequence[str]) -> list[dict[str, Any]]:
    """Return for each change, the unchanged videos first, its accuracy, and its difference to those, with intervals.

    Accuracies have Wilson intervals, differences are of the same videos and bootstrapped over their ``groups``; all are
    fractions, the intervals of 95 %.
    """
    rows = []
    for change, of_change in answers.items():
        right = of_change.right
        low, high = wilson(int(right.sum()), len(right))
        row: dict[str, Any] = {"change": change, "accuracy": float(right.mean()), "low": low, "high": high}
        if change != FORWARD:
            row |= _difference(right, answers[FORWARD].right, groups)
        rows.append(row)
    return rows


def _difference(right: np.ndarray, forward: np.ndarray, groups: Sequence[str]) -> dict[str, float]:
    difference = right.astype(float) - forward
    low, high = bootstrap_interval(difference, groups)
    return {"difference": float(difference.mean()), "difference_low": low, "difference_high": high}


def needs_of_classes(
    answers: Mapping[str, HeadAnswers], groups: Sequence[str], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Return for each class that occurs its accuracies, and what it needs by them: order, motion, or neither is shown.

    It needs order where shuffled frames lose accuracy, and motion, of which no single frame is enough, where one frame
    repeated does: where the interval of the difference, over its videos alone, ends below 0, and they are of ``FEWEST``
    groups or more.
    """
    labels, rows = answers[FORWARD].labels, []
    for number in np.unique(labels):
        of_class = labels == number
        own_groups = [group for group, selected in zip(groups, of_class, strict=True) if selected]
        right = {change: of_change.right[of_class] for change, of_change in answers.items()}
        lost = {
            change: len({*own_groups}) >= FEWEST
            and _difference(right[change], right[FORWARD], own_groups)["difference_high"] < 0
            for change in ("shuffled", "one_frame")
        }
        need = "order" if lost["shuffled"] else "motion" if lost["one_frame"] else "neither"
        accuracies = {change: float(of_change.mean()) for change, of_change in right.items()}
        rows.append({"class": names[number], "videos": int(of_class.sum()), "needs": need} | accuracies)
    return rows


def count_turned(
    forward: HeadAnswers, changed: HeadAnswers, turned_labels: Int[np.ndarray, " n"]
) -> dict[str, Any] | None:
    """Return how many answers turned with the film, of those that were right and have another class when it is turned.

    ``turned_labels`` are what the changed videos show. None where no video is one of those.
    """
    counted = forward.right & (turned_labels != forward.labels)
    if not counted.any():
        return None
    turned = int((changed.predicted[counted] == turned_labels[counted]).sum())
    total = int(counted.sum())
    low, high = wilson(turned, total)
    return {"turned": turned, "videos": total, "share": turned / total, "low": low, "high": high}
