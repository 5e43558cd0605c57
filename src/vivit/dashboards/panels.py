"""The panels of a dashboard, and the runs that they show: means over seeds, and how far these lie apart."""

from collections.abc import Sequence
from typing import Any

import wandb_workspaces.expr as expr
import wandb_workspaces.reports.v2 as wr

from vivit.dashboards.keys import SEED, SETTING, STEP, tested, validated, varied
from vivit.reporting.paper import Sweep

WIDTH = 24
"""Columns of a grid of panels."""
SPEED = ("speed/clips_per_second", "speed/data_wait_share", "speed/peak_mb")
STRENGTHS = "strength/.*"
"""Of runs with a schedule; which regularisers have one is theirs to say."""


def results(sweep: Sweep) -> wr.PanelGrid:
    """Test accuracies as bars, and below them every run with what it varies."""
    metrics = tested(sweep)
    columns = [f"summary:{metric}" for metric in metrics] + ["summary:val/loss", "summary:speed/clips_per_second"]
    keys = [f"config:{_stored(key)}" for key in (SETTING, *varied(sweep), SEED)]
    runs = runs_of(sweep)
    runs.pinned_columns, runs.visible_columns, runs.lock_columns = ["run:displayName"], [*keys, *columns], True
    runs.order = [wr.OrderBy(wr.SummaryMetric(metrics[0]))]
    return wr.PanelGrid(runsets=[runs], panels=_laid([bars(metric) for metric in metrics], across=3, height=9))


def curves(sweep: Sweep) -> wr.PanelGrid:
    """Validation and training."""
    metrics = [*validated(sweep), "val/loss", "train/loss", "train/acc_top1", "train/learning_rate"]
    strengths = line("strengths of regularisers, of runs with a schedule")
    strengths.y, strengths.metric_regex = [], STRENGTHS
    return _grid(sweep, [*map(line, metrics), strengths])


def speed(sweep: Sweep) -> wr.PanelGrid:
    """How fast training went, how long it waited for clips, and what was wrong with them."""
    return _grid(sweep, [line(metric) for metric in (*SPEED, "train/bad_videos")], across=2)


def bars(metric: str) -> wr.BarPlot:
    """One bar for each setting."""
    return wr.BarPlot(
        title=metric,
        metrics=[metric],
        groupby=wr.Config(SETTING),
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
        max_bars_to_show=50,
        max_runs_to_show=200,
    )


def line(metric: str) -> wr.LinePlot:
    """One line for each setting."""
    return wr.LinePlot(
        title=metric,
        x=STEP,
        y=[metric],
        groupby=wr.Config(SETTING),
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        max_runs_to_show=200,
        log_y=metric == "train/learning_rate" or None,
    )


def runs_of(sweep: Sweep) -> wr.Runset:
    """Give the runs that the logger put into the sweep's group; of the report's own project."""
    return wr.Runset(name=f"sweep={sweep.name}", filters=[expr.Metric("Group") == sweep.name])


def _grid(sweep: Sweep, panels: list[wr.LinePlot], across: int = 3) -> wr.PanelGrid:
    return wr.PanelGrid(runsets=[runs_of(sweep)], panels=_laid(panels, across, height=7), hide_run_sets=True)


def _laid(panels: Sequence[wr.LinePlot | wr.BarPlot], across: int, height: int) -> list[Any]:
    wide = WIDTH // across
    for i, panel in enumerate(panels):
        panel.layout = wr.Layout(x=i % across * wide, y=i // across * height, w=wide, h=height)
    return list(panels)


def _stored(key: str) -> str:
    """Write a place as the service's table does: what is logged under one name is an envelope with a value."""
    first, *rest = key.split(".")
    return ".".join([first, "value", *rest])
