"""Folds of whole groups, and intervals that count groups: by hand and beside scipy."""

from collections import Counter

import numpy as np
import pytest
from scipy.stats import bootstrap

from vivit.errors import ConfigError
from vivit.groups import RESAMPLES, bootstrap_interval, stratified_group_folds


def test_folds_by_hand() -> None:
    groups, labels = list("aaabbbccdde"), list("xxxyyyxxyyx")
    fold_of = stratified_group_folds(groups, labels, 3, "folds")
    assert fold_of == {"a": 0, "b": 1, "c": 2, "d": 2, "e": 1}


def test_folds_keep_groups_together_and_share_classes() -> None:
    rng = np.random.default_rng(0)
    groups = [f"g{number}" for number in rng.integers(30, size=200)]
    labels = [str(int(group[1:]) % 3) for group in groups]
    fold_of = stratified_group_folds(groups, labels, 5, "folds")
    assert set(fold_of) == set(groups)
    for name in "012":
        of_class = Counter(fold_of[group] for group, label in zip(groups, labels, strict=True) if label == name)
        assert set(of_class) == set(range(5))


@pytest.mark.parametrize(("groups", "remedy"), [("aabb", "three groups or more"), ("abcdabcd", "set 4 or less")])
def test_more_folds_than_groups_are_refused(groups: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=remedy) as error:
        stratified_group_folds(list(groups), ["x"] * len(groups), 5, "folds")
    assert (error.value.key, error.value.value) == ("folds", 5)


def test_an_interval_counts_groups() -> None:
    right = np.random.default_rng(0).random(400) < 0.8
    low, high = bootstrap_interval(right.astype(float), [str(number) for number in range(400)])
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(0.8 * 0.2 / 400), rel=0.15)
    by_group = np.repeat(right[:40], 10).astype(float)
    low, high = bootstrap_interval(by_group, [str(number // 10) for number in range(400)])
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(0.8 * 0.2 / 40), rel=0.25)


def test_an_interval_is_scipy_s_of_group_sums() -> None:
    """Groups of several sizes: the mean is a ratio of two sums, which scipy draws in pairs."""
    rng = np.random.default_rng(1)
    groups = [f"g{number}" for number in rng.integers(60, size=300)]
    values = (rng.random(300) < 0.6).astype(float)
    names = sorted(set(groups))
    sums = np.array(
        [sum(value for value, group in zip(values, groups, strict=True) if group == name) for name in names]
    )
    counts = np.array([groups.count(name) for name in names])

    def ratio(sums: np.ndarray, counts: np.ndarray, axis: int) -> np.ndarray:
        return sums.sum(axis) / counts.sum(axis)

    expected = bootstrap(
        (sums, counts), ratio, paired=True, vectorized=True, method="percentile", n_resamples=RESAMPLES,
        rng=np.random.default_rng(2),
    ).confidence_interval  # fmt: skip
    assert bootstrap_interval(values, groups) == pytest.approx((expected.low, expected.high), abs=0.006)


def test_blocks_change_no_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(50)
    groups = [str(number) for number in range(50)]
    before = bootstrap_interval(values, groups)
    monkeypatch.setattr("vivit.groups.BLOCK", 1050)
    assert bootstrap_interval(values, groups) == before
