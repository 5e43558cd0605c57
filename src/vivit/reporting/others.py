"""Runs that belong to no table of the paper: one row a setting, mean and spread over its seeds."""

from collections import defaultdict
from collections.abc import Sequence

from vivit.overrides import override_key
from vivit.reporting.runs import RunRecord, newest
from vivit.reporting.sweeps import TOP1, decisive
from vivit.reporting.tables import Column, Table, Value, mean, scaled, spread

CHOICES = ("data", "model", "tokeniser", "size", "experiment")
COLUMNS = (
    *(Column(key, key) for key in CHOICES),
    Column("other", "also set"),
    Column("top1", "top-1, %", 1, spread="top1_spread"),
    *(Column("views", "views"), Column("runs", "seeds"), Column("params", "parameters, M", 2)),
    *(Column("gmac", "multiply-adds, G", 3), Column("minutes", "training, min", 1)),
)


def others_table(runs: Sequence[RunRecord]) -> Table:
    """Group done runs by what was run, one a seed."""
    groups: dict[tuple[str | None, ...], list[RunRecord]] = defaultdict(list)
    for run in runs:
        if run.status == "done" and TOP1 in run.results["metrics"]:
            groups[_setting(run)].append(run)
    ordered = sorted(groups.items(), key=lambda item: str(item[0]))
    lines = [_line(key, list(newest(group).values())) for key, group in ordered]
    said = "Runs that are no part of a sweep above; mean and sample standard deviation over seeds."
    return Table("others", "Other runs", said, COLUMNS, tuple(lines))


def _setting(run: RunRecord) -> tuple[str | None, ...]:
    """What makes runs repetitions of each other: the choices, the views, and all else that decides its result."""
    chosen = [run.results.get(key) for key in (*CHOICES, "views")]
    return (*chosen, " ".join(override for override in decisive(run) if override_key(override) not in CHOICES))


def _line(key: tuple[str | None, ...], runs: Sequence[RunRecord]) -> dict[str, Value]:
    *chosen, views, other = key
    top1 = [100 * run.results["metrics"][TOP1] for run in runs]
    return dict(zip(CHOICES, chosen, strict=True)) | {
        **{"views": views, "other": other or None, "runs": len(runs), "top1": mean(top1), "top1_spread": spread(top1)},
        **{"params": runs[-1].results["params"] / 1e6, "gmac": runs[-1].results["gmac"]},
        "minutes": scaled(mean([run.results.get("train_seconds") for run in runs]), 1 / 60),
    }
