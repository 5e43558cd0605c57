"""Accuracy over numbers of the videos, by counting one video after the other."""

from collections.abc import Callable

import numpy as np
import pyarrow.parquet as pq
import pytest

from vivit.errors import DataError
from vivit.evaluation.difficulty import BINS, quantile_bins
from vivit.evaluation.metrics import compute_metrics
from vivit.evaluation.predictions_reader import PredictionsFile

Kept = Callable[..., PredictionsFile]


def inside(values: np.ndarray, part: list[float]) -> np.ndarray:
    return (part[0] <= values) & (values <= part[1])


def test_parts_of_a_range_have_as_many_videos_and_every_video_is_in_one() -> None:
    values = np.exp(np.random.default_rng(0).uniform(np.log(0.9), np.log(5.4), 480))
    bins = quantile_bins(values)
    assert [inside(values, part).sum() for part in bins] == [480 // BINS] * BINS
    assert (bins[0][0], bins[-1][1]) == (values.min(), values.max())
    assert bins == quantile_bins(np.random.default_rng(1).permutation(values)), "whatever the order of the videos"


@pytest.mark.parametrize(
    ("values", "bins"),
    [
        ([2, 0, 1, 1, 0], [[0, 0], [1, 1], [2, 2]]),
        ([3], [[3, 3]]),
        ([1] * 50 + [2, 3, 4, 5, 6, 7, 8], [[1, 8]]),  # most are equal, and parts without videos are none
        ([1, 2, 3, 4, 5, 6, 7] + [9] * 7, [[1, 2], [3, 4], [5, 7], [9, 9]]),
    ],
)
def test_equal_numbers_are_in_one_part(values: list[float], bins: list[list[float]]) -> None:
    array = np.array(values, np.float64)
    assert quantile_bins(array) == bins
    assert sum(inside(array, part).sum() for part in bins) == len(values)


@pytest.mark.parametrize("sizes", [{"label": 4}, {"noun": 3, "verb": 4}], ids=len)
def test_videos_are_counted_by_part_by_head_and_by_views(sizes: dict[str, int], kept: Kept) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(301, 3, sum(sizes.values()))).astype(np.float32)
    labels = np.stack([rng.integers(0, size, 301) for size in sizes.values()], 1)
    numbers = {"speed": rng.uniform(1, 9, 301), "distractors": rng.integers(0, 3, 301).astype(np.float64)}
    file = kept(
        logits, labels, sizes, difficulty=numbers, views="2x1", view_indices={"2x1": [0, 2], "1x1": [1]},
        score_by={name: quantile_bins(values) for name, values in numbers.items()},
    )  # fmt: skip
    evaluation = compute_metrics(file)
    assert list(evaluation.by) == ["speed", "distractors"]
    assert [(part["low"], part["high"]) for part in evaluation.by["distractors"]] == [(0, 0), (1, 1), (2, 2)]
    ends = np.cumsum([0, *sizes.values()])
    for name, parts in evaluation.by.items():
        for part in parts:
            rows = inside(numbers[name], [part["low"], part["high"]])
            assert part["videos"] == rows.sum() > 10
            for views, indices in (("2x1", [0, 2]), ("1x1", [1])):
                scores = logits[:, indices].mean(1)
                right = {
                    head: scores[:, ends[i] : ends[i + 1]].argmax(1) == labels[:, i] for i, head in enumerate(sizes)
                }
                right |= {"action": np.all(list(right.values()), 0)} if len(sizes) > 1 else {}
                expected = {head: of[rows].sum() for head, of in right.items()}
                assert part["correct_by_views"][views] == expected
            assert part["correct"] == part["correct_by_views"]["2x1"]
        of_all = sum(part["correct"]["action" if len(sizes) > 1 else "label"] for part in parts)
        assert of_all / 301 == pytest.approx(evaluation.metrics["acc_top1"])
    by_one = compute_metrics(file, views="1x1").by["speed"]
    assert [part["correct"] for part in by_one] == [part["correct_by_views"]["1x1"] for part in by_one]


def test_one_set_of_views_is_counted_once_and_no_numbers_are_none(kept: Kept) -> None:
    logits, labels = np.eye(4, dtype=np.float32)[:, None], np.array([[0], [1], [2], [0]])
    about = {"difficulty": {"size": np.arange(4.0)}, "score_by": {"size": [[0.0, 1.0], [2.0, 3.0]]}}
    (first, second) = compute_metrics(kept(logits, labels, {"label": 4}, **about)).by["size"]
    assert first == {"low": 0, "high": 1, "videos": 2, "correct": {"label": 2}}
    assert second == {"low": 2, "high": 3, "videos": 2, "correct": {"label": 1}}
    assert compute_metrics(kept(logits, labels, {"label": 4})).by == {}


def test_parts_are_those_of_the_split_where_videos_are_left_out(kept: Kept) -> None:
    """A run that skipped a video has the same parts as one that did not, and one video less in one of them."""
    logits, labels = np.eye(3, dtype=np.float32)[:, None], np.array([[0], [1], [2]])
    about = {
        "difficulty": {"size": np.array([1.0, 2.0, 9.0])},
        "score_by": {"size": [[1.0, 4.0], [5.0, 8.0], [9.0, 9.0]]},
    }
    parts = compute_metrics(kept(logits, labels, {"label": 3}, **about)).by["size"]
    assert [(part["low"], part["videos"], part["correct"]["label"]) for part in parts] == [
        (1, 2, 2),
        (5, 0, 0),
        (9, 1, 1),
    ]


def test_a_file_that_lacks_its_numbers_is_refused_by_the_column(kept: Kept) -> None:
    about = {"difficulty": {"size": np.arange(4.0)}, "score_by": {"size": [[0.0, 3.0]]}}
    file = kept(np.eye(4, dtype=np.float32)[:, None], np.zeros((4, 1), np.int64), {"label": 4}, **about).file
    rows = pq.read_table(file)
    assert rows["by_size"].to_pylist() == [0, 1, 2, 3]
    pq.write_table(rows.drop_columns("by_size"), file)
    with pytest.raises(DataError) as error:
        PredictionsFile(file)
    assert error.value.column == "by_size"
