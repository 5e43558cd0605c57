"""From runs to tables: one row a setting, mean and spread over its seeds."""

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence

from vivit.reporting.runs import RunRecord

COLUMNS = ("model", "tokeniser", "size", "data", "seeds", "test top-1", "parameters", "GMAC", "training")


def settings_table(runs: Sequence[RunRecord]) -> list[Mapping[str, str]]:
    """Group done runs by what was run; accuracies in per cent, mean and sample standard deviation over seeds.

    Of two runs with the same setting and seed the later counts.
    """
    groups: dict[tuple[str, ...], dict[int, RunRecord]] = defaultdict(dict)
    for run in runs:
        if run.status == "done" and "test/acc_top1" in run.results["metrics"]:
            groups[_setting(run)][run.results["seed"]] = run
    return [_row(key, list(seeds.values())) for key, seeds in sorted(groups.items())]


def _setting(run: RunRecord) -> tuple[str, ...]:
    """What makes runs repetitions of each other: the choices, the views, and all overrides but the seed."""
    chosen = [str(run.results.get(key)) for key in ("data", "model", "tokeniser", "size", "views")]
    groups = ("seed=", "model=", "tokeniser=", "size=", "data=", "sweep=")
    other = sorted(override for override in run.results["overrides"] if not override.startswith(groups))
    return (*chosen, *other)


def _row(key: tuple[str, ...], runs: Sequence[RunRecord]) -> dict[str, str]:
    data, model, tokeniser, size, views, *other = key
    top1 = [100 * run.results["metrics"]["test/acc_top1"] for run in runs]
    minutes = [run.results["train_seconds"] / 60 for run in runs]
    return {
        "data": data,
        "model": model,
        "tokeniser": tokeniser,
        "size": size,
        "other": " ".join(other),
        "seeds": str(len(runs)),
        "views": views,
        "top-1": f"{statistics.mean(top1):.1f}" + (f" ± {statistics.stdev(top1):.1f}" if len(top1) > 1 else ""),
        "parameters": f"{runs[-1].results['params'] / 1e6:.2f} M",
        "GMAC": f"{runs[-1].results['gmac']:.3f}",
        "minutes": f"{statistics.mean(minutes):.1f}",
    }


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """Write rows as a Markdown table; columns that are empty in every row are left out."""
    columns = [column for column in rows[0] if any(row[column] for row in rows)]
    lines = [columns, ["---"] * len(columns), *([row[column] for column in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
