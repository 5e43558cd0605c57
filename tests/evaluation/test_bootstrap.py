"""Intervals of mean average precision: scikit-learn's on every sample, the same every time, and as wide as they are."""

import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from vivit.evaluation.bootstrap import draw_counts, map_intervals, resampled_map
from vivit.evaluation.multi_label import mean_average_precision


def drawn(videos: int, classes: int, *, seed: int = 0, decimals: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and scores that rank them better than chance; with few ``decimals`` many are equal."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((videos, classes)) < rng.uniform(0.02, 0.5, classes)).astype(np.int64)
    return labels, (rng.normal(size=labels.shape) + labels).round(decimals)


@pytest.mark.parametrize("decimals", [8, 1, 0])
def test_every_sample_has_the_map_of_scikit_learn(decimals: int) -> None:
    labels, scores = drawn(60, 5, decimals=decimals)
    labels[:, 3], labels[:1, 4] = 0, 1  # a class that no video has
    counts = draw_counts(60, 20, np.random.default_rng(1))
    assert (counts.sum(0) == 60).all()
    for of_sample, value in zip(counts.T, resampled_map(labels, scores, counts), strict=True):
        rows = np.repeat(np.arange(60), of_sample.astype(int))
        expected = [
            average_precision_score(labels[rows, at], scores[rows, at]) for at in range(5) if labels[rows, at].any()
        ]
        assert value == pytest.approx(np.mean(expected), abs=1e-6)
    once = np.ones((60, 1), np.float32)
    assert resampled_map(labels, scores, once)[0] == pytest.approx(mean_average_precision(labels, scores), abs=1e-6)


def test_intervals_are_of_every_head_and_of_their_mean_and_never_change() -> None:
    heads = {"tags": drawn(300, 4), "moods": drawn(300, 3, seed=1)}
    ends = map_intervals(heads, several=True)
    assert set(ends) == {"tags_map", "moods_map", "map"}
    assert ends == map_intervals(heads, several=True)
    for head, (labels, scores) in heads.items():
        low, high = ends[f"{head}_map"]
        assert low < mean_average_precision(labels, scores) < high
    assert set(map_intervals({"tags": heads["tags"]}, several=False)) == {"map"}
    assert map_intervals({}, several=True) == {}


def test_about_95_of_100_intervals_hold_the_value_of_many_videos() -> None:
    truth = mean_average_precision(*drawn(100_000, 3))
    rng = np.random.default_rng(2)
    labels, scores = drawn(100_000, 3)
    held = 0
    for _ in range(60):
        rows = rng.choice(100_000, 400, replace=False)
        low, high = map_intervals({"tags": (labels[rows], scores[rows])}, several=False)["map"]
        held += low <= truth <= high
    assert held >= 50


def test_videos_without_any_class_and_perfect_scores() -> None:
    nothing = np.zeros((10, 3), np.int64)
    assert map_intervals({"a": (nothing, np.zeros((10, 3)))}, several=False) == {"map": [0.0, 0.0]}
    perfect = np.eye(3, dtype=np.int64)[np.arange(90) % 3]
    assert map_intervals({"a": (perfect, perfect * 1.0)}, several=False)["map"] == pytest.approx([1, 1])


def test_two_thousand_videos_of_twenty_classes_take_no_time() -> None:
    labels, scores = drawn(2000, 20)
    begun = time.process_time()
    map_intervals({"tags": (labels, scores)}, several=False)
    assert time.process_time() - begun < 4, "about one second alone"
