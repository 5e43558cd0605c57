"""Who is taken for whom, counted by hand, and drawn so that it can be read."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vivit.evaluation.confusion_matrix import (
    confusion_matrix,
    plot_confusion_matrix,
    write_class_accuracies,
    write_confusion_counts,
)

NAMES = ("open, wide", "close", "cut")
LABELS, SAID = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 2, 2, 1, 1, 1])


def rows(file: Path) -> list[list[str]]:
    with file.open(newline="") as text:
        return list(csv.reader(text))


def test_confusion_matrix_tables_by_hand(tmp_path: Path) -> None:
    counts = confusion_matrix(LABELS, SAID, 3)
    assert counts.tolist() == [[1, 1, 2], [0, 2, 0], [0, 0, 0]]
    write_class_accuracies(tmp_path / "classes.csv", counts, NAMES)
    assert rows(tmp_path / "classes.csv") == [
        ["class", "videos", "right", "accuracy", "most_confused_with", "times"],
        ["open, wide", "4", "1", "0.2500", "cut", "2"],
        ["close", "2", "2", "1.0000", "", ""],
        ["cut", "0", "0", "", "", ""],
    ]
    write_confusion_counts(tmp_path / "counts.csv", counts, NAMES)
    assert rows(tmp_path / "counts.csv")[1:] == [
        ["open, wide", "1", "1", "2"],
        ["close", "0", "2", "0"],
        ["cut", *"000"],
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "letters", "cell"), [(8, 9, 40), (400, 6, 11)])
def test_confusion_matrix_plot_has_room_for_every_name(classes: int, letters: float, cell: int, tmp_path: Path) -> None:
    """``cell`` pixels a class, at least as high as its name is."""
    names = [f"a class that has a long name, number {number}" for number in range(classes)]
    figure = plot_confusion_matrix(confusion_matrix(np.arange(classes), np.arange(classes) // 2, classes), names)
    axes = figure.axes[0]
    shown = axes.get_yticklabels()
    assert len(shown) == classes
    assert {label.get_fontsize() for label in shown} == {letters}
    pixels = axes.get_window_extent().width / classes
    assert pixels >= cell
    assert pixels >= letters * 100 / 72
    figure.savefig(tmp_path / "matrix.png", dpi=100)
    with Image.open(tmp_path / "matrix.png") as picture:
        assert min(picture.size) >= cell * classes
    left = min(label.get_window_extent().x0 for label in shown[:8])
    assert left >= 0, "names are cut off"


def test_confusion_matrix_plot_of_few_classes_has_numbers_in_its_cells() -> None:
    axes = plot_confusion_matrix(confusion_matrix(LABELS, SAID, 3), NAMES).axes[0]
    assert sorted(text.get_text() for text in axes.texts) == ["100", "25", "25", "50"]
    assert axes.images[0].get_array().tolist() == [[0.25, 0.25, 0.5], [0, 1, 0], [0, 0, 0]]
