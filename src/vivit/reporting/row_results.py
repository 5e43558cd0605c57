"""The runs of one row of a table, and its numbers over their seeds."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vivit.reporting.load_runs import RunRecord, latest_per_seed
from vivit.reporting.tables import Value, mean, multiply, stdev
from vivit.sweeps import TOP1, Row
from vivit.wilson import wilson


def percent_by_views(results: Mapping[str, Any], metric: str = TOP1) -> dict[int, float]:
    """Return an accuracy in percent for every number of temporal views, with as many crops as the main one."""
    scored = results.get("metrics_by_views") or {str(results.get("views")): results["metrics"]}
    by_views = {}
    for views, metrics in scored.items():
        temporal, _, spatial = views.partition("x")
        share = metrics.get(metric, metrics.get(metric.removeprefix("test/")))
        if temporal.isdigit() and spatial == str(results.get("views")).partition("x")[2] and share is not None:
            by_views[int(temporal)] = 100 * share
    return dict(sorted(by_views.items()))


def single_run_interval(runs: Sequence[Mapping[str, Any]], metric: str, name: str) -> dict[str, Value]:
    """Return both ends of Wilson's interval of an accuracy, in percent, as ``<name>_low`` and ``<name>_high``.

    They are computed from the number of videos. Of several runs there is none: their spread stands in its place.
    """
    (share, videos), *_ = [(run["metrics"].get(metric), run.get("videos")) for run in runs]
    if len(runs) > 1 or share is None or not videos or not 0 <= share <= 1:
        return {}
    low, high = wilson(round(share * videos), videos)
    return {f"{name}_low": 100 * low, f"{name}_high": 100 * high}


def stored_interval(runs: Sequence[Mapping[str, Any]], metric: str, name: str) -> dict[str, Value]:
    """Return both ends of the interval that a single run stores of a metric, in percent; of several runs none."""
    ends = runs[0].get("confidence_95", {}).get(metric)
    return {} if len(runs) > 1 or ends is None else {f"{name}_low": 100 * ends[0], f"{name}_high": 100 * ends[1]}


@dataclass(frozen=True, slots=True)
class RowResult:
    """A row of a table and its runs: by seed those that count, and those that are not done."""

    row: Row
    label: str
    done: Mapping[int | str, RunRecord]
    unfinished: tuple[RunRecord, ...]

    @property
    def by_views(self) -> dict[int, list[float]]:
        """Top-1 in percent, of every seed, by the number of temporal views."""
        values: dict[int, list[float]] = defaultdict(list)
        for run in self.done.values():
            for views, top1 in percent_by_views(run.results).items():
                values[views].append(top1)
        return dict(sorted(values.items()))

    @property
    def accuracies(self) -> list[float]:
        """Top-1 in percent, of every seed that has one."""
        return list(self.percent_by_seed().values())

    def percent_by_seed(self, metric: str = TOP1, views: int | None = None) -> dict[int | str, float]:
        """Return an accuracy in percent by seed, where it is known; by default with the views of the test."""
        if views is not None:
            scored = {seed: percent_by_views(run.results, metric).get(views) for seed, run in self.done.items()}
        else:
            scored = {seed: multiply(run.results["metrics"].get(metric), 100) for seed, run in self.done.items()}
        return {seed: value for seed, value in scored.items() if value is not None}

    def line(self) -> dict[str, Value]:
        """Return the numbers of this row: the paper's, and ours over its seeds."""
        paper = {"paper_params" if key == "params" else key: value for key, value in self.row.printed.items()}
        line: dict[str, Value] = {"label": self.label, "runs": len(self.done), **paper}
        if not (runs := [run.results for run in self.done.values()]):
            return line
        peaks = [run["peak_mb"] for run in runs if run.get("peak_mb") is not None]
        for views, top1 in self.by_views.items():
            line |= {f"top1 of {views} views": mean(top1), f"top1 of {views} views, spread": stdev(top1)}
        return line | {
            "top1": mean(self.accuracies),
            "top1_spread": stdev(self.accuracies),
            **single_run_interval(runs, TOP1, "top1"),
            "params": runs[-1]["params"] / 1e6,
            "gmac": runs[-1]["gmac"],
            "paper_gflops": runs[-1]["paper_gflops"],
            "step_ms": multiply(mean([run.get("step_seconds") for run in runs]), 1e3),
            "peak_mb": max(peaks) if peaks else None,
        }

    def notes(self, seeds: Sequence[int]) -> Iterator[str]:
        """Yield a note for every run that is failed, running or unreadable, and for seeds that are missing."""
        begun = {run.seed for run in self.unfinished}
        for run in self.unfinished:
            since = f" since {run.time}" if run.status == "running" and run.time else ""
            yield f"{self.label}, seed {run.seed}: {run.status}{since}{f', {run.error}' if run.error else ''}"
        if missing := [str(seed) for seed in seeds if seed not in self.done and seed not in begun]:
            yield f"{self.label}: seed{'s' if len(missing) > 1 else ''} {', '.join(missing)} not run"


def row_result(row: Row, label: str, runs: Sequence[RunRecord]) -> RowResult:
    """Return a row with its runs, of which one counts for each seed."""
    done = latest_per_seed(runs)
    rest = {run.seed: run for run in runs if run.status != "done" and run.seed not in done}
    ordered = sorted(rest, key=lambda seed: (isinstance(seed, str), seed))
    return RowResult(row, label, done, tuple(rest[seed] for seed in ordered))
