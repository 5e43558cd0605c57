"""The Weights & Biases report of a sweep: the paper's numbers, panels, and the runs that they show."""

from collections.abc import Sequence
from typing import Any

import wandb_workspaces.expr as expr
import wandb_workspaces.reports.v2 as wr

from vivit.entry_points import typed
from vivit.overrides import CUT_KEYS, override_key
from vivit.reporting.sweep_results import sweep_results
from vivit.reporting.tables import Table
from vivit.reporting.writers import to_markdown
from vivit.sweeps import Sweep

ACCURACIES = {"k400": "top-1 on Kinetics-400", "epic": "top-1 of actions on EPIC-Kitchens-100"}
"""The paper's accuracies that a report's text mentions, by the key of ``Row.printed``."""
RUN_GROUP = "run_group"
"""Key in a run's configuration: all that a job varies but its seed, so one value for each row of a table."""
SEED = "seed"
STEP = "trainer/global_step"
GROUPS = ("model", "size", "experiment")
"""Groups of which a run logs the selected option."""
LOGGED = ("model.", "tokeniser.", "data.", "weights.", "trainer.precision")
"""How the keys begin whose values a run logs, beside its row."""
SPEED = ("speed/clips_per_second", "speed/data_wait_share", "speed/matrix_share", "speed/peak_mb")
STRENGTHS = "strength/.*"
"""Regular expression of the metrics of regularisers with a schedule."""
WIDTH = 24
"""Columns of a grid of panels."""


def build_report(sweep: Sweep, project: str, entity: str = "") -> wr.Report:
    """Return the report of a sweep; the service is not asked for anything."""
    command = f"Its runs: `{typed('train')} sweep={sweep.name} logger=wandb`"
    return wr.Report(
        project=project,
        entity=entity,
        title=f"{sweep.title} (sweep={sweep.name})",
        description=sweep.caption,
        width="fluid",
        blocks=[
            wr.MarkdownBlock(text="\n\n".join(part for part in (sweep.caption, command, paper_text(sweep)) if part)),
            wr.H2(text="Test accuracy, and every run"),
            result_panels(sweep),
            wr.H2(text="Training and validation"),
            training_panels(sweep),
            wr.H2(text="Throughput"),
            speed_panels(sweep),
        ],
    )


def paper_text(sweep: Sweep) -> str:
    """Return the paper's numbers as a sentence for each accuracy and a table; empty where it prints none."""
    if not any(row.printed for row in sweep.rows):
        return ""
    sentences = [accuracy_range(sweep, key) for key in ACCURACIES if any(key in row.printed for row in sweep.rows)]
    return "\n\n".join([*sentences, paper_table(sweep)])


def accuracy_range(sweep: Sweep, key: str) -> str:
    """Return a sentence with the paper's lowest and highest accuracy."""
    rows = sorted((row for row in sweep.rows if key in row.printed), key=lambda row: row.printed[key])
    low, high = (f"{row.printed[key]:.1f} % ({row.label})" for row in (rows[0], rows[-1]))
    return f"In the paper, {ACCURACIES[key]} goes from {low} to {high}."


def paper_table(sweep: Sweep) -> str:
    """Return the paper's numbers as a table in Markdown."""
    table = sweep_results(sweep, [])[0].table()
    columns = tuple(column for column in table.columns if column.key == "label" or column.from_paper)
    return to_markdown(Table(table.name, "The paper's numbers", "", columns, table.lines))


def varied_keys(sweep: Sweep) -> list[str]:
    """Return the keys, in the configuration that a run logs, by which the rows of a sweep differ."""
    overrides = [text for row in sweep.rows for of in row.overrides.values() for text in of]
    keys = [key for text in overrides if (key := logged_key(override_key(text))) is not None]
    return list(dict.fromkeys(["row", *keys]))


def logged_key(key: str) -> str | None:
    """Return the key under which a run logs the value of an override; None where it logs none.

    Lists are logged as one value.
    """
    if key in GROUPS:
        return f"config_groups.{key}"
    if not key.startswith(LOGGED):
        return None
    key = key.rstrip("0123456789").rstrip(".")
    group, _, below = key.partition(".")
    if group == "model":
        return f"config.{below}"
    if group == "tokeniser":
        return f"config.{key}"
    return f"preprocessing.{below}" if group == "data" and below in CUT_KEYS else key


def stored_key(key: str) -> str:
    """Return a logged key as the service stores it: below the ``value`` of its first part."""
    first, *rest = key.split(".")
    return ".".join([first, "value", *rest])


def metrics_of_test(sweep: Sweep) -> list[str]:
    """Return the accuracies of a test, the main one first."""
    if has_actions(sweep):
        return [f"test/{head}_acc_top1" for head in ("action", "verb", "noun")]
    return ["test/acc_top1", "test/acc_top5", "test/acc_mean_class"]


def metrics_of_validation(sweep: Sweep) -> list[str]:
    """Return the accuracies of validation, the main one first."""
    heads = ("verb", "noun") if has_actions(sweep) else ()
    return ["val/acc_top1", *(f"val/{head}_acc_top1" for head in heads)]


def has_actions(sweep: Sweep) -> bool:
    """Whether the labels of a sweep's data are verbs and nouns."""
    return "data=motion_verb_noun" in sweep.overrides[sweep.default_scale]


def result_panels(sweep: Sweep) -> wr.PanelGrid:
    """Return bars of test accuracies above a table of all runs with what they vary."""
    metrics = metrics_of_test(sweep)
    summary = [f"summary:{metric}" for metric in (*metrics, "val/loss", "speed/clips_per_second")]
    config = [f"config:{stored_key(key)}" for key in (RUN_GROUP, *varied_keys(sweep), SEED)]
    runs = run_set(sweep)
    runs.pinned_columns, runs.visible_columns, runs.lock_columns = ["run:displayName"], [*config, *summary], True
    runs.order = [wr.OrderBy(wr.SummaryMetric(metrics[0]))]
    return wr.PanelGrid(runsets=[runs], panels=_arrange([bar_plot(metric) for metric in metrics], across=3, height=9))


def training_panels(sweep: Sweep) -> wr.PanelGrid:
    """Return curves of validation and training."""
    metrics = [*metrics_of_validation(sweep), "val/loss", "train/loss", "train/acc_top1", "train/learning_rate"]
    strengths = line_plot("strengths of regularisers, of runs with a schedule")
    strengths.y, strengths.metric_regex = [], STRENGTHS
    return _grid(sweep, [*map(line_plot, metrics), strengths])


def speed_panels(sweep: Sweep) -> wr.PanelGrid:
    """Return curves of throughput, time that steps wait for data, memory, and videos that could not be read."""
    return _grid(sweep, [line_plot(metric) for metric in (*SPEED, "train/bad_videos")], across=2)


def bar_plot(metric: str) -> wr.BarPlot:
    """Return a plot with one bar for each setting."""
    return wr.BarPlot(
        title=metric,
        metrics=[metric],
        groupby=wr.Config(RUN_GROUP),
        groupby_aggfunc="mean",
        groupby_rangefunc="stddev",
        max_bars_to_show=50,
        max_runs_to_show=200,
    )


def line_plot(metric: str) -> wr.LinePlot:
    """Return a plot with one line for each setting."""
    return wr.LinePlot(
        title=metric,
        x=STEP,
        y=[metric],
        groupby=wr.Config(RUN_GROUP),
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        max_runs_to_show=200,
        log_y=metric == "train/learning_rate" or None,
    )


def run_set(sweep: Sweep) -> wr.Runset:
    """Return the runs of the report's project that are in the sweep's group."""
    return wr.Runset(name=f"sweep={sweep.name}", filters=[expr.Metric("Group") == sweep.name])


def _grid(sweep: Sweep, panels: list[wr.LinePlot], across: int = 3) -> wr.PanelGrid:
    return wr.PanelGrid(runsets=[run_set(sweep)], panels=_arrange(panels, across, height=7), hide_run_sets=True)


def _arrange(panels: Sequence[wr.LinePlot | wr.BarPlot], across: int, height: int) -> list[Any]:
    width = WIDTH // across
    for i, panel in enumerate(panels):
        panel.layout = wr.Layout(x=i % across * width, y=i // across * height, w=width, h=height)
    return list(panels)
