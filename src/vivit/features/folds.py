"""Folds as rows of features: those of which a probe is trained on, chosen by and scored on."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class Fold(NamedTuple):
    """Rows of the videos to train on, to choose by, and to score."""

    train: Int[np.ndarray, " a"]
    val: Int[np.ndarray, " b"]
    test: Int[np.ndarray, " c"]


def rows_of_folds(fold_of: Int[np.ndarray, " n"], folds: int) -> Iterator[Fold]:
    """Yield the rows of every fold, of which each video is in the test of one.

    ``fold_of`` is the fold of each video. The videos to choose by are the test of the next fold, as those of
    ``data=csv_folds`` are.
    """
    for test in range(folds):
        val = (test + 1) % folds
        parts = (~np.isin(fold_of, [test, val]), fold_of == val, fold_of == test)
        yield Fold(*map(np.flatnonzero, parts))
