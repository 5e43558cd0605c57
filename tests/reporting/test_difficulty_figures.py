"""Figures over the difficulty of videos show counts that a hand can check, and nothing where there are none."""

from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from made_up import by_difficulty, run_folder, scored
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vivit.reporting.figures import make_figures
from vivit.reporting.load_runs import read_runs
from vivit.reporting.sweep_results import sweep_results
from vivit.sweeps import read_sweeps
from vivit.wilson import wilson

NAMES = ("speed", "size", "contrast", "moving", "overfitting")


def drawn(logs: Path) -> dict[str, Figure]:
    runs = read_runs(logs)
    default = {sweep.name: sweep_results(sweep, runs)[0] for sweep in read_sweeps().values()}
    return {picture.name: picture.draw() for picture in make_figures(default) if picture.name in NAMES}


def lines(axes: Axes) -> dict[str, list[tuple[float, float]]]:
    return {str(of.get_label()): [tuple(point) for point in of.lines[0].get_xydata()] for of in axes.containers}


def bands(axes: Axes) -> list[list[tuple[float, float]]]:
    """Lower and upper end of every band, from the left to the right."""
    ends = []
    for band in axes.collections:
        (path,) = band.get_paths()
        xs = sorted({x for x, _ in path.vertices})
        ends.append(
            [(min(y for x, y in path.vertices if x == at), max(y for x, y in path.vertices if x == at)) for at in xs]
        )
    return ends


def run(logs: Path, sweep: str, row: str, seed: int = 1, **results: Any) -> None:
    run_folder(logs, sweep, f"{row}_{seed}", f"row={row}", f"seed={seed}", metrics=scored(0.5), **results)


def parts(*shares: float, head: str = "verb", **views: tuple[float, ...]) -> list[dict[str, Any]]:
    """Return parts 1 to 2, 2 to 4, ... of a range, each with 80 videos, of which these shares are right."""
    of_views = {f"{name[1:]}x1": values for name, values in views.items()}
    return by_difficulty([2.0**i for i in range(len(shares) + 1)], 80, shares, head, of_views)


def test_no_figure_is_drawn_of_runs_without_numbers(tmp_path: Path) -> None:
    run(tmp_path, "tokens", "spatiotemporal_2")
    run(tmp_path, "tokens", "spatiotemporal_4", by={"size": parts(0.5)})
    assert drawn(tmp_path) == {}


def test_speed_has_a_panel_a_model_and_a_line_a_length_with_the_spread_of_seeds(tmp_path: Path) -> None:
    for seed, plus in ((1, 0.0), (2, 0.1)):
        for row, shares in (("spatiotemporal_2", (0.5, 0.8)), ("spatiotemporal_8", (0.3, 0.2))):
            by = {"speed": parts(*(share + plus for share in shares))}
            run(tmp_path, "tokens", row, seed, by=by)
    run(tmp_path, "tokens", "factorised_dot_product_4", by={"speed": parts(0.25, 0.75)})
    first, second = drawn(tmp_path)["speed"].axes
    assert (first.get_title(), second.get_title()) == ("Model 1", "Model 4")
    at = (sqrt(2), sqrt(8))
    assert lines(first) == {
        "8 frames a tubelet": [(at[0], pytest.approx(35)), (at[1], pytest.approx(25))],
        "2 frames a tubelet": [(at[0], pytest.approx(55)), (at[1], pytest.approx(85))],
    }
    spread = 10 / sqrt(2)
    assert bands(first)[1] == [pytest.approx((55 - spread, 55 + spread)), pytest.approx((85 - spread, 85 + spread))]
    assert lines(second) == {"4 frames a tubelet": [(at[0], 25), (at[1], 75)]}
    assert bands(second) == [[pytest.approx([100 * end for end in wilson(n, 80)]) for n in (20, 60)]]
    assert (first.get_xscale(), first.get_xlabel()) == ("log", "speed, pixels a frame")
    assert first.get_ylabel() == "top-1, %"
    colors = {str(of.get_label()): of.lines[0].get_color() for axes in (first, second) for of in axes.containers}
    assert len(set(colors.values())) == 3, "a length has its colour in every panel"


def test_all_heads_together_count_where_there_are_several(tmp_path: Path) -> None:
    several = parts(0.5)
    several[0]["correct"] = {"noun": 60, "verb": 70, "action": 40}
    run(tmp_path, "resolution", "224_px", by={"size": several})
    unknown = parts(0.5)
    unknown[0]["correct"] = {"noun": 60, "verb": 70}
    run(tmp_path, "resolution", "320_px", by={"size": unknown})
    (axes,) = drawn(tmp_path)["size"].axes
    assert lines(axes) == {"32 px crops": [(sqrt(2), 50)]}
    assert axes.get_xlabel() == "radius, pixels"


def test_contrast_compares_a_start_from_image_weights_with_none(tmp_path: Path) -> None:
    for row, share in (("central_frame", 0.75), ("from_scratch", 0.25), ("random", 0.5)):
        run(tmp_path, "input_encoding", row, by={"contrast": parts(share)})
    (axes,) = drawn(tmp_path)["contrast"].axes
    assert lines(axes) == {"from an image ViT": [(sqrt(2), 75)], "from random weights": [(sqrt(2), 25)]}


def test_movement_has_a_panel_of_frames_and_one_of_views(tmp_path: Path) -> None:
    recipe = {"stride": 2, "crop": [32, 32], "batch_size": 16, "epochs": 4}
    for row, frames, share in (("128_frames", 16, 0.75), ("32_frames", 4, 0.5)):
        scores = {f"{n}x1": {"test/acc_top1": share} for n in (1, 4)}
        by = {"moving": parts(share, v1=(share - 0.25,), v4=(share,))}
        run(tmp_path, "frames_views", row, by=by, metrics_by_views=scores, recipe=recipe | {"frames": frames})
    frames, views = drawn(tmp_path)["moving"].axes
    assert lines(frames) == {"4 frames": [(1.5, 50)], "16 frames": [(1.5, 75)]}
    assert lines(views) == {"1 view": [(1.5, 25)], "4 views": [(1.5, 50)]}
    assert (frames.get_title(), views.get_title()) == ("4 views", "clips of 4 frames")
    assert frames.get_xscale() == "linear"
    assert all(axes.get_legend() for axes in (frames, views)), "they have other lines"


def test_runs_on_other_videos_and_parts_without_a_video_are_left_out(tmp_path: Path) -> None:
    other = parts(0.0, 0.0)
    other[0]["low"] = 0.5
    run(tmp_path, "resolution", "224_px", 1, by={"size": other})
    run(tmp_path, "resolution", "224_px", 2, by={"size": [parts(0.5, 1.0)[0], parts(0.5, 1.0)[1] | {"videos": 0}]})
    (axes,) = drawn(tmp_path)["size"].axes
    assert lines(axes) == {"32 px crops": [(sqrt(2), 50)]}


def test_overfitting_has_both_accuracies_of_every_row_that_has_both(tmp_path: Path) -> None:
    for row, test, train in (("crop_flip_jitter", 0.25, 1.0), ("mixup", 0.5, 0.75), ("stochastic_depth", 0.5, None)):
        for seed in (1, 2):
            metrics = scored(test) | ({} if train is None else {"test_train/acc_top1": train})
            run_folder(tmp_path, "regularisation", f"{row}{seed}", f"row={row}", f"seed={seed}", metrics=metrics)
    (axes,) = drawn(tmp_path)["overfitting"].axes
    assert lines(axes) == {"training videos": [(100, 0), (75, 1)], "test videos": [(25, 0), (50, 1)]}
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["random crop, flip, colour jitter", "+ mixup"]


@pytest.mark.parametrize(
    "wrong",
    [{"speed": 1}, {"speed": [{"low": 1}]}, {"speed": [{"low": "a", "high": 2, "videos": 3, "correct": {}}]},
     {"speed": [{"low": 1, "high": 2, "videos": 3, "correct": {"verb": "many"}}]},
     {"speed": [{"low": 1, "high": 2, "videos": 3, "correct": {}, "correct_by_views": {"1x1": 3}}]}],
)  # fmt: skip
def test_odd_numbers_make_their_own_run_unreadable(wrong: dict[str, Any], tmp_path: Path) -> None:
    run(tmp_path, "tokens", "spatiotemporal_2", by=wrong)
    (record,) = read_runs(tmp_path)
    assert (record.status, record.error) == ("unreadable", "ValueError: by is not parts of ranges by name")
