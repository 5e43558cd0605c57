"""What changes of time cost, by hand computation."""

import numpy as np
import pytest

from vivit.evaluation.time_battery import HeadAnswers, compare_changes, count_turned, needs_of_classes
from vivit.wilson import wilson

LABELS = np.repeat([0, 1, 2], 40)
GROUPS = [str(number // 2) for number in range(120)]


def answers(*right: float) -> HeadAnswers:
    """Answer so many of each class of 40 videos rightly, the first ones."""
    predicted = np.concatenate(
        [np.where(np.arange(40) < share * 40, number, (number + 1) % 3) for number, share in enumerate(right)]
    )
    return HeadAnswers(LABELS, predicted)


BATTERY = {
    "forward": answers(1.0, 0.9, 0.5),
    "shuffled": answers(0.5, 0.9, 0.5),
    "one_frame": answers(0.2, 0.4, 0.475),
}


def test_accuracies_and_paired_differences() -> None:
    forward, shuffled, _ = compare_changes(BATTERY, GROUPS)
    assert forward == {"change": "forward", "accuracy": 0.8, "low": wilson(96, 120)[0], "high": wilson(96, 120)[1]}
    assert shuffled["accuracy"] == pytest.approx(76 / 120)
    assert shuffled["difference"] == pytest.approx(-20 / 120)
    assert -20 / 120 - 0.12 < shuffled["difference_low"] < -20 / 120 < shuffled["difference_high"] < -0.06
    independent = {"forward": BATTERY["forward"], "same": BATTERY["forward"]}
    assert compare_changes(independent, GROUPS)[1]["difference_low"] == 0, "of the same videos, not of two samples"


def test_groups_widen_the_interval() -> None:
    alone = compare_changes(BATTERY, [str(number) for number in range(120)])[1]
    grouped = compare_changes(BATTERY, [str(number // 20) for number in range(120)])[1]
    widths = [row["difference_high"] - row["difference_low"] for row in (alone, grouped)]
    assert widths[1] > 1.5 * widths[0]


def test_classes_need_order_or_motion_or_neither() -> None:
    rows = needs_of_classes(BATTERY, GROUPS, ["trip", "run", "stand"])
    assert [(row["class"], row["needs"], row["videos"]) for row in rows] == [
        ("trip", "order", 40), ("run", "motion", 40), ("stand", "neither", 40)
    ]  # fmt: skip
    assert (rows[1]["forward"], rows[1]["shuffled"], rows[1]["one_frame"]) == (0.9, 0.9, 0.4)


def test_answers_that_turn_with_the_film() -> None:
    labels = np.array([0, 0, 0, 1, 1, 2, 2])
    forward = HeadAnswers(labels, np.array([0, 0, 1, 1, 1, 2, 0]))
    reversed_ = HeadAnswers(labels, np.array([1, 0, 1, 0, 0, 2, 2]))
    turned = count_turned(forward, reversed_, np.array([1, 1, 1, 0, 0, 2, 2]))
    assert turned is not None
    assert (turned["turned"], turned["videos"], turned["share"]) == (3, 4, 0.75), "of those right, and of two sides"
    assert (turned["low"], turned["high"]) == wilson(3, 4)
    assert count_turned(forward, reversed_, labels) is None


def test_a_class_of_few_groups_shows_nothing() -> None:
    labels = np.zeros(8, np.int64)
    battery = {change: HeadAnswers(labels, labels + (change != "forward")) for change in BATTERY}
    for groups, need in ((list("aaaabbbb"), "neither"), (list("abcdeeee"), "order")):
        (row,) = needs_of_classes(battery, groups, ["trip", "run"])
        assert row["needs"] == need
