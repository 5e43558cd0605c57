"""Table 6 with ours: every run of an experiment beside the best of the paper's time."""

from collections import defaultdict
from collections.abc import Sequence

from vivit.overrides import override_key
from vivit.reporting.paper import BY_NAME
from vivit.reporting.paper_best import BEST, OURS, Best, Method
from vivit.reporting.runs import RunRecord, newest
from vivit.reporting.sweeps import decisive
from vivit.reporting.tables import Column, Table, Value, mean, spread


def best_tables(runs: Sequence[RunRecord]) -> list[Table]:
    """Make the five parts of the table."""
    return [best_table(best, runs) for best in BEST]


def best_table(best: Best, runs: Sequence[RunRecord]) -> Table:
    """Make one part: the paper's rows in its order, then ours, one an experiment and choice of views."""
    columns = [Column("method", "method"), Column("by", "by")]
    columns += [Column(metric, f"{title}, %", 1, spread=f"{metric} spread") for metric, title in best.measures]
    columns += [Column("views", "views"), Column("tflops", "TFLOPs, all views", 2), Column("runs", "runs")]
    ours = _ours(best, runs)
    notes = () if ours else (f"no experiment on data={best.data[0]} has been run: python src/train.py experiment=...",)
    lines = (*(_paper_line(best, method) for method in best.methods), *ours)
    return Table(f"best_{best.name}", best.title, "", tuple(columns), lines, notes)


def _paper_line(best: Best, method: Method) -> dict[str, Value]:
    by = "the paper" if method.name.startswith(OURS) else "others, as the paper prints them"
    line: dict[str, Value] = {"method": method.name, "by": by, "views": method.views, "tflops": method.tflops}
    return line | {metric: value for (metric, _), value in zip(best.measures, method.accuracies, strict=True)}


def _ours(best: Best, runs: Sequence[RunRecord]) -> list[dict[str, Value]]:
    groups: dict[tuple[str, str, str], list[RunRecord]] = defaultdict(list)
    for run in runs:
        experiment = run.results.get("experiment")
        if run.status == "done" and experiment and run.results.get("data") in best.data:
            other = [override for override in decisive(run) if override_key(override) != "experiment"]
            other += [f"sweep={run.sweep}"] if run.sweep in BY_NAME else []  # which sets more than its overrides say
            groups[experiment, str(run.results.get("views")), " ".join(other)].append(run)
    return [_our_line(best, *key, list(newest(group).values())) for key, group in sorted(groups.items())]


def _our_line(best: Best, experiment: str, views: str, other: str, runs: Sequence[RunRecord]) -> dict[str, Value]:
    line: dict[str, Value] = {
        "method": f"{experiment} {other}".strip(),
        "by": "ours",
        "views": views,
        "runs": len(runs),
    }
    for metric, _ in best.measures:
        found = [100 * run.results["metrics"][metric] for run in runs if metric in run.results["metrics"]]
        line |= {metric: mean(found), f"{metric} spread": spread(found)}
    temporal, _, spatial = views.partition("x")
    if temporal.isdigit() and spatial.isdigit():
        line["tflops"] = runs[-1].results["paper_gflops"] * int(temporal) * int(spatial) / 1e3
    return line
