"""Accuracy of the direction of time, beside counting by hand and what a test writes."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from vivit.data import VideoDataModule
from vivit.data.datasets.motion import PAIRS, REVERSE, VERBS
from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler
from vivit.errors import ConfigError
from vivit.evaluation.direction import direction_accuracies
from vivit.tasks.test import prepare_test

HEADS = {"verb": ["left", "right", "stand", "up", "down"]}
BACKWARDS = {"verb": {"left": "right", "right": "left", "up": "down", "down": "up"}}


def test_only_videos_that_are_called_their_class_or_its_opposite_count() -> None:
    labels = np.array([[0], [0], [0], [1], [3], [2], [2]])
    predicted = np.array([[0], [1], [3], [1], [4], [2], [0]])  # right, turned, other pair, right, turned, no opposite
    ((name, (share, interval)),) = direction_accuracies(BACKWARDS, HEADS, labels, predicted).items()
    assert (name, share) == ("acc_direction", 2 / 4)
    exact = stats.binomtest(2, 4).proportion_ci(method="wilson")
    assert interval == pytest.approx([exact.low, exact.high])


def test_a_head_without_opposites_or_without_such_answers_is_left_out() -> None:
    heads = {"noun": ["disc", "ring"], **HEADS}
    labels, predicted = np.array([[0, 0], [1, 2]]), np.array([[1, 0], [1, 2]])
    assert list(direction_accuracies(BACKWARDS, heads, labels, predicted)) == ["verb_acc_direction"]
    assert direction_accuracies({}, heads, labels, predicted) == {}
    assert direction_accuracies(BACKWARDS, heads, labels, np.array([[1, 3], [1, 2]])) == {}


def test_guessing_within_the_pair_is_one_half() -> None:
    rng = np.random.default_rng(0)
    heads, labels = {"verb": VERBS}, rng.integers(0, len(VERBS), 20_000)
    pair = {verb: VERBS.index(pair[0]) for pair in PAIRS for verb in pair}
    guessed = np.array([pair[VERBS[label]] for label in labels]) + rng.integers(0, 2, len(labels))
    ((_, (share, _)),) = direction_accuracies({"verb": REVERSE}, heads, labels[:, None], guessed[:, None]).items()
    assert share == pytest.approx(0.5, abs=0.015)


def test_a_test_of_motion_reports_it_and_a_wrong_map_is_named(small_motion: Path) -> None:
    data = VideoDataModule(
        root=str(small_motion), frames=4, stride=2, resize=36, crop=(32, 32), num_workers=0, batch_size=2, seed=3,
        augment=RandomViewSampler, views=partial(MultiViewSampler, temporal=1), dataset={"name": "motion"},
    )  # fmt: skip
    assert prepare_test(data).backwards == {"verb": REVERSE}
    data.dataset.backwards = {"verb": {"left": "right"}}
    with pytest.raises(ConfigError, match="data.dataset.backwards.*not 'right' back to 'left'"):
        prepare_test(data)
