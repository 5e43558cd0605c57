"""Who is taken for whom, counted by hand and by scikit-learn, and drawn so that it can be read."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_fscore_support

from vivit.evaluation.area_under_curve import area_interval, area_under_curve
from vivit.evaluation.class_scores import class_scores, write_class_rows
from vivit.evaluation.confusion_matrix import (
    BARS,
    confusion_matrix,
    plot_confusion_matrix,
    write_confusion_counts,
)

NAMES = ("open, wide", "close", "cut")
LABELS, SAID = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 2, 2, 1, 1, 1])


def rows(file: Path) -> list[list[str]]:
    with file.open(newline="") as text:
        return list(csv.reader(text))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_confusion_matrix_tables_by_hand(tmp_path: Path) -> None:
    counts = confusion_matrix(LABELS, SAID, 3)
    assert counts.tolist() == [[1, 1, 2], [0, 2, 0], [0, 0, 0]]
    write_class_rows(tmp_path / "classes.csv", class_scores(counts, NAMES))
    head, first, second, third = rows(tmp_path / "classes.csv")
    assert head[:5] == ["class", "videos", "right", "predicted", "precision"]
    columns = [head.index(name) for name in ("precision", "recall", "f1", "most_confused_with", "times")]
    assert first[:4] == ["open, wide", "4", "1", "1"]
    assert [first[at] for at in columns] == ["1.0000", "0.2500", "0.4000", "cut", "2"]
    assert [second[at] for at in columns] == ["0.6667", "1.0000", "0.8000", "", ""]
    assert third[:4] == ["cut", "0", "0", "2"]
    assert [third[at] for at in columns] == ["0.0000", "", "0.0000", "", ""], "recall of a class without videos"
    write_confusion_counts(tmp_path / "counts.csv", counts, NAMES)
    assert rows(tmp_path / "counts.csv")[1:] == [
        ["open, wide", "1", "1", "2"],
        ["close", "0", "2", "0"],
        ["cut", *"000"],
    ]


@pytest.mark.parametrize("classes", [2, 12, 400])
def test_scores_of_classes_equal_those_of_scikit_learn(classes: int) -> None:
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, 5 * classes)
    predicted = np.where(rng.random(len(labels)) < 0.6, labels, rng.integers(0, classes, len(labels)))
    scores = class_scores(confusion_matrix(labels, predicted, classes), [str(i) for i in range(classes)])
    expected = precision_recall_fscore_support(labels, predicted, labels=range(classes), zero_division=np.nan)
    for key, values in zip(("precision", "recall", "f1", "videos"), expected, strict=True):
        ours = [np.nan if row[key] is None else row[key] for row in scores]
        assert ours == pytest.approx(values.tolist(), nan_ok=True)
    for row in scores:
        for name, of in (("recall", row["videos"]), ("precision", row["predicted"])):
            if of:
                share, z = row["right"] / of, 1.959963984540054
                middle, half = share + z**2 / 2 / of, z * np.sqrt(share * (1 - share) / of + z**2 / 4 / of**2)
                ends = (middle - half) / (1 + z**2 / of), (middle + half) / (1 + z**2 / of)
                assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx(ends, abs=1e-9)


def test_area_under_the_curve_is_the_share_of_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(0)
    for videos in (9, 200):
        labels = rng.integers(0, 2, videos)
        labels[:2] = 0, 1
        scores = (rng.normal(size=videos) + labels).round(1)  # with equal ones
        ahead = np.sign(scores[labels == 1][:, None] - scores[labels == 0])
        assert area_under_curve(labels, scores) == pytest.approx((ahead.mean() + 1) / 2)
    assert area_under_curve(np.ones(4, int), np.arange(4.0)) is None


@pytest.mark.parametrize(("ones", "zeros", "shift"), [(40, 40, 1.0), (15, 60, 2.0)])
def test_interval_of_the_area_holds_the_true_one_as_often_as_it_says(ones: int, zeros: int, shift: float) -> None:
    rng = np.random.default_rng(1)
    true = 0.5 * (1 + math.erf(shift / 2))  # of two normal distributions, this far from each other
    labels = np.repeat([1, 0], [ones, zeros])
    holds = []
    for _ in range(500):
        area = area_under_curve(labels, rng.normal(size=len(labels)) + shift * labels)
        low, high = area_interval(area, ones, zeros)
        assert 0 <= low < high <= 1
        holds.append(low <= true <= high)
    assert 0.92 <= np.mean(holds) <= 0.985


def test_interval_of_a_faultless_area_has_a_width() -> None:
    low, high = area_interval(1.0, 5, 5)
    assert (low < 0.8, high) == (True, 1.0)


def test_two_classes_fill_the_sheet_with_counts_and_percent() -> None:
    figure = plot_confusion_matrix(np.array([[93, 20], [18, 1116]]), ("fight", "no fight"))
    (axes,) = figure.axes
    assert sorted(texts(figure)) == sorted(["93", "82.3 %", "20", "17.7 %", "18", "1.6 %", "1,116", "98.4 %"])
    assert axes.get_xlabel() == "predicted"
    assert "true" in [text.get_text() for text in figure.texts]
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["fight", "no fight"]
    box = axes.get_position()
    assert box.width * box.height > 0.55, "of the picture"
    assert axes.images[0].get_array().sum(1).tolist() == pytest.approx([1, 1]), "rows are true classes"


def test_twelve_classes_have_counts_and_the_percent_that_is_right() -> None:
    counts = np.eye(12, dtype=int) * 30
    counts[2, 5] = 10
    figure = plot_confusion_matrix(counts, [f"class {i}" for i in range(12)])
    shown = texts(figure)
    assert shown.count("30") == 12 and shown.count("75 %") == 1 and shown.count("100 %") == 11
    (where,) = [
        text.get_position() for text in figure.axes[0].texts if text.get_text() == "10" and text.get_ha() == "center"
    ]
    assert where == (5, 2), "predicted to the right, true downwards"


def test_counts_that_do_not_fit_are_percents() -> None:
    counts = np.full((12, 12), 1)
    counts[0, 0] = 12345
    shown = texts(plot_confusion_matrix(counts, [f"class {i}" for i in range(12)]))
    assert "12345" not in shown and shown.count("100") == 1 and shown.count("8") == 11 * 12 + 1


def test_four_hundred_classes_are_their_most_confused_pairs() -> None:
    names = [f"a class that has a long name, number {number}" for number in range(400)]
    counts = np.eye(400, dtype=int) * 10
    for i in range(30):
        counts[i, 399 - i] = 30 - i
    figure = plot_confusion_matrix(counts, names)
    bars = texts(figure)
    assert len(bars) == 2 * BARS
    assert bars[1] == "30 (75 %)"
    assert [text.get_text() for text in figure.texts][2] == "465 of 4,465 videos are wrong"
    assert texts(plot_confusion_matrix(np.eye(400, dtype=int), names)) == [], "without a mistake"
