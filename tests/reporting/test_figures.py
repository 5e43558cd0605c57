"""Figures show the numbers that there are, and nothing for those that there are not."""

from pathlib import Path

import pytest
from made_up import run_folder, scored
from matplotlib.figure import Figure

from vivit.reporting.figures import make_figures
from vivit.reporting.load_runs import read_runs
from vivit.reporting.sweep_results import sweep_results
from vivit.sweeps import read_sweeps

Points = list[tuple[float, float]]


def drawn(logs: Path, name: str) -> Figure:
    runs = read_runs(logs)
    own = {sweep.name: sweep_results(sweep, runs)[0] for sweep in read_sweeps().values()}
    (picture,) = [picture for picture in make_figures(own) if picture.name == name]
    return picture.draw()


def points(figure: Figure) -> list[dict[str, Points]]:
    """Points of every line by its name, of each part of a figure."""
    found = []
    for axes in figure.axes:
        lines = {str(container.get_label()): container.lines[0] for container in axes.containers}
        pairs = {name: zip(line.get_xdata(), line.get_ydata(), strict=True) for name, line in lines.items()}
        found.append({name: [(float(x), float(y)) for x, y in of] for name, of in pairs.items()})
    return found


def tokens(logs: Path, length: int, **metrics: float) -> None:
    said = ("model=spatiotemporal", f"tokeniser.tubelet.0={length}")
    run_folder(logs, "tokens", f"t{length}", *said, metrics=metrics, paper_gflops=8 / length)


def test_a_missing_accuracy_is_not_drawn(tmp_path: Path) -> None:
    for length, metrics in ((8, scored(0.5)), (4, {"test/verb_acc_top1": 0.9}), (2, scored(0.75))):
        tokens(tmp_path, length, **metrics)
    left, right = points(drawn(tmp_path, "tokens"))
    assert left == {"Model 1": [(0, 50), (2, 75)]}
    assert right == {"Model 1": [(0, 1), (1, 2), (2, 4)]}, "its FLOPs are known"


def test_an_accuracy_of_zero_is_drawn(tmp_path: Path) -> None:
    tokens(tmp_path, 8, **scored(0.0))
    assert points(drawn(tmp_path, "tokens"))[0] == {"Model 1": [(0, 0)]}


def test_a_model_without_an_accuracy_is_drawn_where_the_paper_has_one(tmp_path: Path) -> None:
    run_folder(tmp_path, "model_variants", "a", "model=spatiotemporal", metrics={})
    ours, theirs = points(drawn(tmp_path, "accuracy_flops"))
    assert ours == {"Model 1": []}
    assert theirs["Model 1"] == [(455.2, 80.0)]


def test_a_row_of_which_the_paper_prints_nothing_is_drawn_on_our_side(tmp_path: Path) -> None:
    run_folder(tmp_path, "model_variants", "a", "row=mine", "model=mine", metrics=scored(0.5), paper_gflops=2.0)
    ours, theirs = points(drawn(tmp_path, "accuracy_flops"))
    assert ours == {"mine": [(2, 50)]}
    assert "mine" not in theirs


@pytest.mark.parametrize("metrics", [{}, scored(0.25)], ids=["without", "with"])
def test_figure_9_draws_every_number_of_views_that_was_scored(metrics: dict[str, float], tmp_path: Path) -> None:
    run_folder(tmp_path, "frames_views", "a", "data.frames=4", metrics=metrics)
    assert points(drawn(tmp_path, "frames_views")) == [{"16 frames": [(4, 25)] if metrics else []}]


@pytest.mark.parametrize(
    ("percents", "shown"), [((87.0, 87.5), (82, 92)), ((99.5, 100.0), (90, 100)), ((20, 90), (0, 100))]
)
def test_a_video_or_two_do_not_fill_an_axis(
    percents: tuple[float, float], shown: tuple[float, float], tmp_path: Path
) -> None:
    for length, percent in zip((8, 2), percents, strict=True):
        tokens(tmp_path, length, **scored(percent / 100))
    low, high = drawn(tmp_path, "tokens").axes[0].get_ylim()
    assert high - low >= 9.99
    assert shown[0] <= low < min(percents) < max(percents) < high <= shown[1] + 1
