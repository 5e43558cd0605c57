"""Intervals of accuracies: by what they are defined by, by hand, and by how often they hold what they should."""

from collections.abc import Callable

import numpy as np
import pytest

from vivit.evaluation.intervals import Z, mean_rate_interval
from vivit.evaluation.metrics import compute_metrics
from vivit.evaluation.predictions_reader import PredictionsFile
from vivit.wilson import wilson

Kept = Callable[..., PredictionsFile]


@pytest.mark.parametrize(
    ("right", "videos", "expected"),
    [
        (480, 480, (99.2, 100.0)),
        (0, 6, (0.0, 39.0)),
        (6, 6, (61.0, 100.0)),
        (240, 480, (45.5, 54.5)),
        (0, 1, (0, 79.3)),
    ],
)
def test_interval_known_values(right: int, videos: int, expected: tuple[float, float]) -> None:
    assert [round(100 * edge, 1) for edge in wilson(right, videos)] == list(expected)


@pytest.mark.parametrize("videos", [1, 2, 7, 60, 481])
def test_interval_ends_are_where_the_score_test_begins_to_reject(videos: int) -> None:
    """At them, the rate found lies Z of that rate's own deviations away: Wilson's definition, found by bisection."""

    def deviations(rate: float, share: float) -> float:
        return abs(share - rate) / max(np.sqrt(rate * (1 - rate) / videos), 1e-300)

    for right in range(0, videos + 1, max(videos // 20, 1)):
        share, ends = right / videos, wilson(right, videos)
        for end, (inside, outside) in zip(ends, ((share, 0.0), (share, 1.0)), strict=True):
            for _ in range(60):
                middle = (inside + outside) / 2
                inside, outside = (middle, outside) if deviations(middle, share) < Z else (inside, middle)
            assert end == pytest.approx(inside, abs=1e-9)
        assert 0 <= ends[0] <= share <= ends[1] <= 1
        assert ends[1] - ends[0] > 0


def test_interval_of_a_mean_over_one_class_is_wilson_s() -> None:
    assert mean_rate_interval(np.array([7]), np.array([9])) == pytest.approx(wilson(7, 9))


@pytest.mark.parametrize("right", [0, 60])
def test_interval_where_all_classes_agree_is_that_of_all_videos(right: int) -> None:
    assert mean_rate_interval(np.full(8, right), np.full(8, 60)) == pytest.approx(wilson(8 * right, 480))


def test_interval_of_a_mean_over_two_classes_by_brute_force() -> None:
    """Of all pairs of rates with a mean the most likely one, on a fine grid; then the means within Z deviations."""
    right, videos = np.array([9, 3]), np.array([10, 20])
    found = (right / videos).mean()
    held = []
    for mean in np.linspace(0.3, 0.8, 501):
        first = np.linspace(max(0, 2 * mean - 1) + 1e-6, min(1, 2 * mean) - 1e-6, 4001)
        rates = np.stack([first, 2 * mean - first], 1)
        likely = (right * np.log(rates) + (videos - right) * np.log(1 - rates)).sum(1).argmax()
        drawn = (videos * rates[likely] + 2 * mean) / (videos + 2)
        if abs(found - mean) <= Z * np.sqrt((drawn * (1 - drawn) / videos).sum()) / 2:
            held.append(mean)
    assert mean_rate_interval(right, videos) == pytest.approx((min(held), max(held)), abs=1.5e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rates", "videos"),
    [
        ([0.9] * 8, [60] * 8),
        ([0.999] * 8, [60] * 8),
        ([0.5] * 40, [3] * 40),
        ([0.7] * 400, [1] * 400),
        ([0.95, 0.05], [30, 30]),
        ([1.0, 0.0], [30, 30]),
        ([0.99, 0.8, 0.6, 0.4, 0.2], [5, 10, 20, 40, 80]),
        ([0.5, 1.0], [2, 1000]),
    ],
    ids=lambda values: f"{len(values)} classes, {values[0]}",
)
def test_interval_of_a_mean_covers_the_truth_as_often_as_it_promises(rates: list[float], videos: list[int]) -> None:
    """In 200 draws, to 3 deviations of so many; Wilson's own holds 0.999 in 91 % of the draws of 480 videos."""
    draws = np.random.default_rng(0).binomial(videos, rates, (200, len(rates)))
    drawn, times = np.unique(draws, axis=0, return_counts=True)
    truth = np.mean(rates)
    ends = np.array([mean_rate_interval(right, np.array(videos)) for right in drawn])
    held = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
    assert np.average(held, weights=times) > (0.87 if rates[0] == 0.999 else 0.9)
    assert (ends[:, 1] > ends[:, 0]).all()
    widest = np.sqrt((0.25 / np.array(videos)).sum()) / len(videos)
    assert np.average(np.ptp(ends, 1), weights=times) < 4.5 * widest, "it says something"


def test_interval_narrows_with_more_videos() -> None:
    widths = [np.ptp(mean_rate_interval(np.array([0, n]), np.array([n, n]))) for n in (5, 50, 500, 5000)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.002


@pytest.mark.parametrize("said", ["always right", "never right", "one class only"])
@pytest.mark.parametrize("sizes", [{"label": 12}, {"noun": 7, "verb": 9}], ids=str)
def test_interval_of_a_file_never_has_width_zero(said: str, sizes: dict[str, int], kept: Kept) -> None:
    """Top-1, top-5, the mean over classes; nouns, verbs and actions. Each holds its rate."""
    videos = 60
    labels = np.stack([np.arange(videos) % size for size in sizes.values()], 1)
    logits = np.zeros((videos, 2, sum(sizes.values())), np.float32)
    for at, first in enumerate([0, *list(sizes.values())[:-1]]):
        size = list(sizes.values())[at]
        chosen = {"always right": labels[:, at], "never right": (labels[:, at] - 1) % size}.get(said, 0)
        logits[np.arange(videos), :, first + chosen] = 30
    found = compute_metrics(kept(logits, labels, sizes))
    assert found.interval.keys() == found.metrics.keys()
    for name, (low, high) in found.interval.items():
        assert 0 <= low <= found.metrics[name] <= high <= 1
        assert high - low > 0.01, name
    if said == "one class only" and "label" in sizes:
        assert found.metrics["acc_mean_class"] == pytest.approx(1 / 12)
        assert found.interval["acc_mean_class"] == list(mean_rate_interval(np.array([5] + [0] * 11), np.full(12, 5)))
