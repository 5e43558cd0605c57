"""Runs of one's own, of no table of the paper: one row for each setting, mean and standard deviation over its seeds."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from vivit.overrides import override_key
from vivit.reporting.load_runs import RunRecord, latest_per_seed
from vivit.reporting.row_results import single_run_interval, stored_interval
from vivit.reporting.sweep_results import distinguishing
from vivit.reporting.tables import Column, Table, Value, mean, multiply, stdev

GROUPS = ("data", "model", "tokeniser", "size", "experiment")
COLUMNS = (
    Column("run", "latest run"),
    Column("top1", "top-1, %", 1, stdev="top1_spread", interval=("top1_low", "top1_high")),
    Column("map", "mAP, %", 1, stdev="map_spread", interval=("map_low", "map_high")),
    *(Column(key, key) for key in GROUPS),
    Column("other", "also set"),
    *(Column("scored", "scored on"), Column("views", "views"), Column("runs", "seeds")),
    Column("params", "parameters, M", 2),
    *(Column("gmac", "multiply-adds, G", 3), Column("minutes", "training, min", 1)),
)
TITLE = "Your own runs"
CAPTION = "Runs that are no part of the paper's tables below; mean and sample standard deviation over seeds."
SAME = (*GROUPS, "scored", "views", "runs", "params", "gmac")
"""Columns that are left out where all rows have the same."""


def other_runs_table(runs: Sequence[RunRecord]) -> Table:
    """Return a table of the runs that are done, by setting, one run for each seed; a row links to the latest."""
    groups: dict[tuple[str | None, ...], list[RunRecord]] = defaultdict(list)
    for run in runs:
        scored = run.results.get("scored_split", "test")
        if run.status == "done" and {f"{scored}/acc_top1", f"{scored}/map"} & set(run.results["metrics"]):
            groups[_setting(run)].append(run)
    ordered = sorted(groups.items(), key=lambda item: str(item[0]))
    by_seed = [(key, list(latest_per_seed(group).values())) for key, group in ordered]
    table = _only_differences([_line(key, group) for key, group in by_seed])
    return replace(table, links=tuple(str(_latest(group).folder) for _, group in by_seed))


def _latest(runs: Sequence[RunRecord]) -> RunRecord:
    return max(runs, key=lambda run: run.time)


def _only_differences(lines: list[dict[str, Value]]) -> Table:
    """Return the table of some lines; what all of them have in common is in its caption."""
    if len(lines) < 2:
        return Table("others", TITLE, CAPTION, COLUMNS, tuple(lines), all_columns=True)
    columns = {column.key: column for column in COLUMNS}
    hidden = [key for key in SAME if len({line[key] for line in lines}) == 1]
    overrides = [str(line["other"] or "").split(" ") for line in lines]
    shared = [override for override in overrides[0] if override and all(override in each for each in overrides)]
    common = [_described(columns[key], lines[0]) for key in hidden if lines[0][key] is not None]
    for line, of_line in zip(lines, overrides, strict=True):
        line["other"] = " ".join(override for override in of_line if override not in shared) or None
    caption = f"{CAPTION} All rows: {', '.join([*common, *shared])}." if common or shared else CAPTION
    return Table("others", TITLE, caption, COLUMNS, tuple(lines), all_columns=True, hidden=tuple(hidden))


def _described(column: Column, line: dict[str, Value]) -> str:
    """Return the title of a column with its value in a line, which has the unit behind it."""
    title, _, unit = column.title.partition(", ")
    return f"{title} {column.format(line)} {unit}".strip()


def _setting(run: RunRecord) -> tuple[str | None, ...]:
    """Return what repetitions of a run share: options, views, and all other overrides that change its result."""
    options = [*(run.results.get(key) for key in (*GROUPS, "views")), run.results.get("scored_split", "test")]
    return (*options, " ".join(override for override in distinguishing(run) if override_key(override) not in GROUPS))


def _line(key: tuple[str | None, ...], runs: Sequence[RunRecord]) -> dict[str, Value]:
    *options, views, split, other = key
    name = f"{split}/acc_top1"
    top1, average_precision = (
        [100 * run.results["metrics"][name] for run in runs if name in run.results["metrics"]]
        for name in (name, f"{split}/map")
    )
    return dict(zip(GROUPS, options, strict=True)) | {
        **{
            "run": _latest(runs).folder.name,
            "views": views,
            "scored": split,
            "other": other or None,
            "runs": len(runs),
        },
        **{"top1": mean(top1), "top1_spread": stdev(top1), "map": mean(average_precision)},
        "map_spread": stdev(average_precision),
        **single_run_interval([run.results for run in runs], name, "top1"),
        **stored_interval([run.results for run in runs], f"{split}/map", "map"),
        **{"params": runs[-1].results["params"] / 1e6, "gmac": runs[-1].results["gmac"]},
        "minutes": multiply(mean([run.results.get("train_seconds") for run in runs]), 1 / 60),
    }
