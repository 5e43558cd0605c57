"""Cross-validations in the report: a row for every setting that was tested on two folds or more."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vivit.reporting.load_runs import RunRecord
from vivit.reporting.multirun import percent_line
from vivit.reporting.repetitions import Setting, labels, shared_overrides, sort_into_settings
from vivit.reporting.setting_rows import setting_rows
from vivit.reporting.tables import Column, Table, Value

TITLE = "Cross-validations"
GROUPS = ("data", "model", "tokeniser", "size", "experiment")
COLUMNS = (
    *(Column(key, key) for key in GROUPS),
    *(Column("videos_in", "videos of"), Column("setting", "setting"), Column("metric", "metric")),
    *(Column("folds_text", "folds"), Column("seeds", "seeds")),
    Column("pooled", "all videos, %", 1, interval=("low", "high")),
    Column("mean", "over folds, %", 1, stdev="stdev"),
    *(Column("videos", "videos"), Column("groups", "groups"), Column("minutes", "training, min", 1)),
    Column("missing", "missing"),
)
CAPTION = (
    "Each video is scored by the fold whose test it is in. Accuracy of all videos with its 95 % interval, bootstrapped "
    "over groups of videos; mean and sample standard deviation over folds. Minutes are those of all folds together."
)


def cross_validations(runs: Sequence[RunRecord]) -> list[Setting]:
    """Return the settings that were begun on two folds or more, wherever their runs lie."""
    settings = sort_into_settings([run for run in runs if run.status != "unreadable"])
    return [setting for setting in settings if len({cell.fold for cell in setting.cells} - {None}) > 1]


def cross_validation_table(settings: Sequence[Setting]) -> Table:
    """Return a table with a row for each metric of each setting; what cannot be read or is missing is a note too."""
    lines: list[dict[str, Value]] = []
    notes: list[str] = []
    shared = shared_overrides(settings) if len(settings) > 1 else []
    for setting, name in zip(settings, labels(settings) if shared else _names(settings), strict=True):
        described = _described(setting, shared)
        summary = setting_rows([setting], [name])
        lines += [percent_line(row) | described for row in summary.rows]
        notes += summary.notes
    caption = f"{CAPTION} All set {' '.join(shared)}." if shared else CAPTION
    return Table("cross_validations", TITLE, caption, COLUMNS, tuple(lines), tuple(notes))


def _names(settings: Sequence[Setting]) -> list[str]:
    return [" ".join(setting.overrides) or "default" for setting in settings]


def _described(setting: Setting, shared: Sequence[str]) -> dict[str, Value]:
    """Return which options a setting has, where its videos lie, and what else it sets that not all settings share."""
    results: dict[str, Any] = next((run.results for run in setting.done.values()), {})
    pairs = [text.partition("=") for text in setting.overrides]
    set_here = {key: value for key, _, value in pairs}
    hidden = (*GROUPS, "data.root")
    others = [text for text in setting.overrides if text.partition("=")[0] not in hidden and text not in shared]
    options = {key: results.get(key, set_here.get(key)) for key in GROUPS}
    root = set_here.get("data.root")
    return {**options, "videos_in": Path(root).name if root else None, "setting": " ".join(others) or None}
