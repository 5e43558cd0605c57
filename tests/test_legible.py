"""Every picture can be read where it is 390 pixels wide: letters of nine pixels, and no text that is cut off."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from vivit.benchmarks.certificate import WAYS
from vivit.benchmarks.certificate_picture import draw_certificate
from vivit.clip_sheets import SheetRow, draw_clips
from vivit.data.time_changes import CHANGES
from vivit.evaluation.confusion_matrix import plot_confusion_matrix
from vivit.evaluation.time_plot import plot_changes
from vivit.inference.attention_figures import plot_temporal_attention, write_attention_sheet
from vivit.inference.timeline_plot import plot_sliding
from vivit.training.callbacks.curves import axis_limits, plot_curves

PHONE, LEAST = 390, 9
"""Pixels of a picture, and of a letter in it."""
NAMES = [
    "fight",
    "no fight",
    "a class with a really rather long name",
    "打篮球的人",
    "كرة القدم",
    "eat \N{SAUROPOD} $x$ <b>",
]
DIM_AND_BRIGHT = np.stack([np.full((60, 80, 3), level, np.uint8) for level in (10, 240)] * 8)
EPOCHS = [
    {
        "epoch": e,
        "train/loss": 1 / e,
        "val/loss": 2 / e,
        "train/acc_top1": 0.5,
        "val/acc_top1": 0.55,
        "learning_rate": 1e-4,
    }
    for e in range(1, 4)
]
CHANGES_OF_TIME = [
    {"change": change, "accuracy": share, "low": share - 0.02, "high": min(1.0, share + 0.02)}
    for change, share in zip(("forward", *CHANGES), (0.98, 0.03, 0.27, 0.09, 0.57, 0.59, 0.7, 0.63, 1.0), strict=True)
]
CERTIFICATE = [{"case": way.text, "train_loss": 0, "val_loss": 3e-6, "weights": 2e-5} for way in WAYS.values()]
TWO_LINES = ["massaging person's head", "passing American football (not in game)", "yoga", "打篮球的人 打篮球的人们"]
COLUMNS_OF_ONE = [7] * 399 + [3]
"""The class that is predicted for each one: its only video."""
Draw = Callable[[Path], Figure | None]


def names(count: int) -> list[str]:
    return [f"{NAMES[i % len(NAMES)]} {i}" for i in range(count)]


def counts(classes: int, most: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, most, (classes, classes)) + np.eye(classes, dtype=int) * most


def timeline(classes: int, heads: int) -> Draw:
    logits = torch.randn(30, classes * heads, generator=torch.Generator().manual_seed(0))
    spans = [(float(i), i + 2.0) for i in range(30)]
    return lambda file: plot_sliding(logits, {f"head {h}": names(classes) for h in range(heads)}, spans, file)


def clips(lines: list[str], count: int) -> Draw:
    return lambda _: draw_clips(
        "title " * 20, [SheetRow(DIM_AND_BRIGHT[:3], [(line, "black") for line in lines])] * count
    )


def sheet(frames: int, lines: list[str]) -> Draw:
    seconds = [i / 3 for i in range(frames)]
    return lambda file: write_attention_sheet(DIM_AND_BRIGHT[:frames], seconds, lines, file, dimmed=True)


PICTURES: dict[str, Draw] = {
    **{
        f"confusion {k}": lambda _, k=k: plot_confusion_matrix(counts(k, 300), names(k)) for k in (2, 5, 6, 12, 13, 400)
    },
    **{f"timeline {k} x {heads}": timeline(k, heads) for k, heads in ((2, 1), (12, 2), (400, 1))},
    **{f"clips {count}": clips(NAMES, count) for count in (0, 1, 8)},
    **{f"attention {frames}": sheet(frames, [f"{name} 99.9 %" for name in NAMES[:2]]) for frames in (1, 4, 16)},
    "moments": lambda file: plot_temporal_attention(torch.full((16,), 1 / 16), [i / 2 for i in range(16)], file),
    "names of two lines": lambda _: plot_confusion_matrix(counts(12, 30), TWO_LINES * 3),
    "each pair once": lambda _: plot_confusion_matrix(np.eye(400, dtype=int)[COLUMNS_OF_ONE], names(400)),
    "changes of time": lambda file: plot_changes(NAMES[2], CHANGES_OF_TIME, file),
    "certificate": lambda file: draw_certificate(CERTIFICATE),
    "curves": lambda file: plot_curves(EPOCHS, file),
    "curves of one epoch": lambda file: plot_curves(EPOCHS[:1], file),
}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Draw], Figure]:
    """Draw a picture; return its figure."""
    figures: list[Figure] = []
    save = Figure.savefig

    def record(figure: Figure, file: Path, **options: object) -> None:
        figures.append(figure)
        save(figure, file, **options)

    monkeypatch.setattr(Figure, "savefig", record)

    def draw(picture: Draw) -> Figure:
        figure = picture(tmp_path / "picture.png")
        return figures[-1] if figure is None else figure

    return draw


def seen_texts(figure: Figure) -> list[Text]:
    """Return the texts within the pictures and axes of a figure, without ticks that lie outside of these."""
    figure.draw_without_rendering()
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    outside = set()
    for axes in figure.axes:
        if not axes.axison:
            outside |= {*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label}
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
            low, high = sorted((low, high))
            outside |= {
                label for tick in ticks if not low <= tick.get_loc() <= high for label in (tick.label1, tick.label2)
            }
            outside |= {tick.label2 for tick in ticks}
    return [text for text in texts if text not in outside]


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_legible_on_a_phone(name: str, drawn: Callable[[Draw], Figure]) -> None:
    figure = drawn(PICTURES[name])
    width, height = figure.get_size_inches()
    texts = seen_texts(figure)
    assert texts
    small = {text.get_text(): size for text in texts if (size := text.get_fontsize() / 72 / width * PHONE) < LEAST}
    assert not small
    figure.draw_without_rendering()
    page = figure.bbox
    for text in texts:
        box = text.get_window_extent()
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= page.width + 1 and box.y1 <= page.height + 1
        assert inside, f"{text.get_text()!r} is cut off: {box} of {page}"
    assert height < 30


def test_curves_have_whole_epochs_percent_and_the_rate(drawn: Callable[[Draw], Figure]) -> None:
    for epochs in (1, 2, 3, 60):
        figure = drawn(
            lambda file, epochs=epochs: plot_curves([EPOCHS[0] | {"epoch": e + 1} for e in range(epochs)], file)
        )
        loss, accuracy, rate = figure.axes
        assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "top-1 accuracy, %", "learning rate"]
        for axes in figure.axes:
            assert all(float(tick).is_integer() for tick in axes.get_xticks())
            assert axes.get_xlabel() == "epoch"
        assert [line.get_ydata()[0] for line in accuracy.lines] == pytest.approx([50.0, 55.0])
        assert rate.lines[0].get_ydata()[0] == 1e-4
        assert [line.get_label() for line in loss.lines] == ["train", "val"]


def test_curves_without_accuracies_are_of_mean_average_precision(drawn: Callable[[Draw], Figure]) -> None:
    figure = drawn(lambda file: plot_curves([{"epoch": 1, "val/map": 0.25}], file))
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "mean average precision, %"
    assert list(axes.lines[0].get_ydata()) == [25.0]


def test_curves_that_hardly_move_do_not_fill_the_sheet(drawn: Callable[[Draw], Figure]) -> None:
    noise = [EPOCHS[0] | {"epoch": e, "train/acc_top1": 0.5 + 0.002 * (-1) ** e, "val/loss": 1.999} for e in (1, 2)]
    figure = drawn(lambda file: plot_curves([row | {"train/loss": 2.0, "val/acc_top1": 0.5} for row in noise], file))
    loss, accuracy, rate = (axes.get_ylim() for axes in figure.axes)
    assert accuracy == pytest.approx((47.2, 52.8))
    assert loss == pytest.approx((1.9435, 2.0555), abs=1e-3)
    assert rate[1] - rate[0] == pytest.approx(1.12 * 0.05 * 1e-4)
    assert axis_limits([100.0, 99.9], is_percent=True) == pytest.approx((94.7, 100.3)), "nothing is above 100 %"
    assert axis_limits([0.0, 90.0], is_percent=True) == pytest.approx((-5.4, 95.4))
    assert axis_limits([0.0], is_percent=False) == pytest.approx((-0.56, 0.56))


def test_long_names_of_twelve_classes_have_two_lines(drawn: Callable[[Draw], Figure]) -> None:
    (axes,) = drawn(lambda _: plot_confusion_matrix(counts(12, 30), TWO_LINES * 3)).axes
    assert [label.get_text() for label in axes.get_yticklabels()][:4] == [
        "massaging\nperson's head", "passing\nAmerican foot…", "yoga", "打篮球的人\n打篮球的人们",
    ]  # fmt: skip
    boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(upper.y0 >= lower.y1 for upper, lower in pairwise(boxes)), "none covers the next"


def test_where_no_pair_is_confused_twice_the_bars_are_of_predicted_classes(drawn: Callable[[Draw], Figure]) -> None:
    figure = drawn(PICTURES["each pair once"])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == [names(400)[7], "398 (100 %)", names(400)[3], "1 (0 %)"]
    assert "no pair twice" in figure.texts[1].get_text()


def test_four_frames_fill_two_rows(drawn: Callable[[Draw], Figure]) -> None:
    figure = drawn(PICTURES["attention 4"])
    places = [axes.get_position().bounds[:2] for axes in figure.axes[:4]]
    assert len({left for left, _ in places}) == len({bottom for _, bottom in places}) == 2


def test_the_axis_of_probabilities_ends_above_the_highest(drawn: Callable[[Draw], Figure]) -> None:
    for logit, top in ((0.0, 10.0), (5.0, 1.25 * 27.11), (9.0, 102.0)):
        logits = torch.zeros(3, 400)
        logits[1, 9] = logit
        spans = [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0)]
        figure = drawn(lambda file, x=logits, at=spans: plot_sliding(x, {"label": names(400)}, at, file))
        assert figure.axes[0].get_ylim()[1] == pytest.approx(top, rel=1e-3)
