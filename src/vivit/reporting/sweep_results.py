"""Runs of a sweep as a table of the paper: our numbers and the paper's side by side, in the paper's rows."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from vivit.entry_points import typed
from vivit.overrides import distinguishing_overrides, hardware_overrides, override_key
from vivit.reporting.load_runs import RunRecord, latest_per_seed
from vivit.reporting.tables import Column, Table, Value, mean, multiply, stdev
from vivit.sweeps import SCALES, Row, Sweep

TOP1 = "test/acc_top1"
MAX_NAME_LENGTH = 150
"""Characters of overrides in a file's name; a hash behind them keeps two settings apart."""

RECIPE_KEYS = ("epochs", "batch_size", "frames", "stride", "crop")
COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PHRASES = {
    "data": "{}", "size": "size {}", "views": "{} views", "epochs": "{} epochs", "batch_size": "batches of {}",
    "frames": "clips of {} frames", "stride": "{} apart", "crop": "{} pixels",
}  # fmt: skip
COLUMNS = (
    Column("label", ""),
    Column("k400", "paper: K400, %", 1, from_paper=True),
    Column("epic", "paper: EPIC action, %", 1, from_paper=True),
    Column("top1", "top-1, %", 1, stdev="top1_spread"),
    Column("runs", "runs"),
    Column("paper_params", "paper: params, M", 1, from_paper=True),
    Column("params", "params, M", 3),
    Column("gmac", "GMAC", 3),
    Column("gflops", "paper: GFLOPs", 1, from_paper=True),
    Column("paper_gflops", "GFLOPs, paper's count", 3),
    Column("ms", "paper: ms, TPU-v3", 1, from_paper=True),
    Column("step_ms", "step, ms", 0),
    Column("peak_mb", "peak, MB", 0),
)


def top1_by_views(results: Mapping[str, Any]) -> list[tuple[int, float]]:
    """Return top-1 in percent for every number of temporal views, with as many crops as the main one."""
    scored = results.get("metrics_by_views") or {str(results.get("views")): results["metrics"]}
    by_views = {}
    for views, metrics in scored.items():
        temporal, _, spatial = views.partition("x")
        top1 = metrics.get(TOP1, metrics.get(TOP1.removeprefix("test/")))
        if temporal.isdigit() and spatial == str(results.get("views")).partition("x")[2] and top1 is not None:
            by_views[int(temporal)] = 100 * top1
    return sorted(by_views.items())


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
            for views, top1 in top1_by_views(run.results):
                values[views].append(top1)
        return dict(sorted(values.items()))

    @property
    def accuracies(self) -> list[float]:
        """Top-1 in percent, of every seed that has one."""
        metrics = [run.results["metrics"] for run in self.done.values()]
        return [100 * values[TOP1] for values in metrics if TOP1 in values]

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


@dataclass(frozen=True, slots=True)
class SweepResult:
    """A sweep's runs at one scale and with the same extra overrides, row by row."""

    sweep: Sweep
    scale: str
    extra: tuple[str, ...]
    rows: tuple[RowResult, ...]
    unplaced: tuple[RunRecord, ...]

    @property
    def is_default(self) -> bool:
        """Whether this is the sweep at its default scale without extra overrides."""
        return self.scale == self.sweep.default_scale and not self.extra

    @property
    def name(self) -> str:
        """Name of its files."""
        name = f"{self.sweep.name}_{self.scale}"
        if not self.extra:
            return name
        readable = "_".join("".join(c if c.isalnum() or c in "._-" else "-" for c in word) for word in self.extra)
        return f"{name}_{readable[:MAX_NAME_LENGTH]}_{sha256(' '.join(self.extra).encode()).hexdigest()[:8]}"

    @property
    def title(self) -> str:
        """Title of the sweep, with the scale and the extra overrides."""
        overrides = [*self._scale, *self.extra]
        return self.sweep.title + (f" ({' '.join(overrides)})" if overrides else "")

    @property
    def command(self) -> str:
        """The command that runs what is missing."""
        return " ".join([typed("train"), f"sweep={self.sweep.name}", *self._scale, *self.extra, *self._shared])

    @property
    def _scale(self) -> list[str]:
        return [] if self.scale == SCALES[0] else [f"scale={self.scale}"]

    @property
    def _shared(self) -> list[str]:
        """Overrides of hardware and of the videos' folder that all runs have."""
        overrides = [run.overrides for run in self.done]
        first = overrides[0] if overrides else ()
        shared = [*hardware_overrides(first), *(text for text in first if override_key(text) == "data.root")]
        return [text for text in shared if text not in self.extra and all(text in run for run in overrides)]

    @property
    def done(self) -> list[RunRecord]:
        """The runs that make its numbers."""
        return [run for row in self.rows for run in row.done.values()]

    @property
    def seeds(self) -> Sequence[int]:
        """The seeds that every row needs; with extra overrides, none."""
        return range(1, 1 + (0 if self.extra else self.sweep.seeds.get(self.scale, 0)))

    @property
    def missing(self) -> int:
        """Number of its runs that are not done."""
        return sum(seed not in row.done for row in self.rows for seed in self.seeds)

    def table(self) -> Table:
        """Return the table, with notes about every run that is missing."""
        if self.done or self.extra:
            notes = [note for row in self.rows for note in row.notes(self.seeds)]
        else:
            notes = [note for row in self.rows for note in row.notes(())] + [f"not run yet: {self.command}"]
        notes += [f"{run.folder.name}: {run.status}, {run.error}" for run in self.unplaced]
        lines = tuple(row.line() for row in self.rows)
        views = sorted({n for row in self.rows for n in row.by_views})
        views_columns = [_views_column(n) for n in views] if len(views) > 1 else []
        columns = (*COLUMNS[:4], *views_columns, *COLUMNS[4:])
        caption = f"{self.sweep.caption} {self._recipe()}".strip()
        return Table(self.name, self.title, caption, columns, lines, tuple(notes))

    def _recipe(self) -> str:
        """Return what all runs have in common, as a sentence."""
        if not self.done:
            return ""
        results = [run.results for run in self.done]
        recipes = [run.get("recipe") or {} for run in results]
        facts = {key: [run.get(key) for run in results] for key in ("data", "size", "views")}
        facts |= {key: [recipe.get(key) for recipe in recipes] for key in RECIPE_KEYS}
        same = {key: of[0] for key, of in facts.items() if of[0] is not None and of == of[:1] * len(of)}
        if isinstance(crop := same.get("crop"), list):
            same["crop"] = "x".join(map(str, crop))
        phrases = [self._seeds_phrase(), *(PHRASES[key].format(value) for key, value in same.items())]
        return f"Here: {', '.join(phrases)}."

    def _seeds_phrase(self) -> str:
        """Return the number of seeds of its rows, as far as these are done."""
        counts = sorted({len(row.done) for row in self.rows if row.done})
        numbers = [COUNTS[count] if count < len(COUNTS) else str(count) for count in (counts[0], counts[-1])]
        return f"{' to '.join(dict.fromkeys(numbers))} seed{'' if counts[-1] == 1 else 's'}"


def _views_column(n: int) -> Column:
    return Column(f"top1 of {n} views", f"{n} view{'s' if n > 1 else ''}, %", 1, f"top1 of {n} views, spread")


def sweep_results(sweep: Sweep, runs: Sequence[RunRecord]) -> list[SweepResult]:
    """Return a sweep's runs sorted into rows: its default setting first, then every other scale and extra override.

    Runs on an older format of the data are a setting of their own.
    """
    of_sweep = [run for run in runs if run.sweep == sweep.name]
    latest = max((run.data_format or 0 for run in of_sweep), default=0)
    groups: dict[tuple[str, tuple[str, ...]], list[RunRecord]] = defaultdict(list)
    for run in of_sweep:
        older = run.data_format is not None and run.data_format < latest
        groups[run.scale, (*run.extra, *([f"data.dataset.format={run.data_format}"] if older else []))].append(run)
    default = (sweep.default_scale, ())
    order = [default, *sorted(key for key in groups if key != default)]
    return [_sweep_result(sweep, scale, extra, groups.get((scale, extra), [])) for scale, extra in order]


def distinguishing(run: RunRecord) -> list[str]:
    """Return the overrides that make a run more than a repetition, sorted; the scale stands elsewhere in tables."""
    overrides = distinguishing_overrides(run.overrides, run.results.get("data"))
    return sorted(override for override in overrides if override_key(override) != "scale")


def _sweep_result(sweep: Sweep, scale: str, extra: tuple[str, ...], runs: Sequence[RunRecord]) -> SweepResult:
    unplaced = tuple(run for run in runs if run.row is None and run.status != "done")
    by_row: dict[str | None, list[RunRecord]] = defaultdict(list)
    for run in runs:
        if run not in unplaced:
            by_row[run.row].append(run)
    rows = [
        _row_result(row, row.label_at(scale), by_row.pop(row.name, []))
        for row in sweep.rows
        if row.name in by_row or not extra
    ]
    for name, others in by_row.items():  # rows that the file had once
        rows.append(_row_result(Row(name or "", name or "others", {}, {}), name or "others", others))
    return SweepResult(sweep, scale, extra, tuple(rows), unplaced)


def _row_result(row: Row, label: str, runs: Sequence[RunRecord]) -> RowResult:
    done = latest_per_seed(runs)
    rest = {run.seed: run for run in runs if run.status != "done" and run.seed not in done}
    ordered = sorted(rest, key=lambda seed: (isinstance(seed, str), seed))
    return RowResult(row, label, done, tuple(rest[seed] for seed in ordered))
