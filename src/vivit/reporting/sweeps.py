"""From runs to the paper's tables: ours and the paper's columns side by side, in the paper's rows."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from vivit.overrides import distinguishing_overrides, hardware_overrides, override_key
from vivit.reporting.paper import Row, Sweep
from vivit.reporting.runs import RunRecord, newest
from vivit.reporting.tables import Column, Table, Value, mean, scaled, spread

TOP1 = "test/acc_top1"
LONGEST = 150
"""Characters of overrides in a file's name; a hash tells those apart that look the same in it."""

COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PHRASES = {
    "data": "{}", "size": "size {}", "views": "{} views", "epochs": "{} epochs", "batch_size": "batches of {}",
    "frames": "clips of {} frames", "stride": "{} apart", "crop": "{} pixels",
}  # fmt: skip
COLUMNS = (
    Column("label", ""),
    Column("k400", "paper: K400, %", 1, by_paper=True),
    Column("epic", "paper: EPIC action, %", 1, by_paper=True),
    Column("top1", "top-1, %", 1, spread="top1_spread"),
    Column("runs", "runs"),
    Column("paper_params", "paper: params, M", 1, by_paper=True),
    Column("params", "params, M", 3),
    Column("gmac", "GMAC", 3),
    Column("gflops", "paper: GFLOPs", 1, by_paper=True),
    Column("paper_gflops", "GFLOPs, paper's count", 3),
    Column("ms", "paper: ms, TPU-v3", 1, by_paper=True),
    Column("step_ms", "step, ms", 0),
    Column("peak_mb", "peak, MB", 0),
)


def by_views(results: Mapping[str, Any]) -> list[tuple[int, float]]:
    """Give accuracy in per cent for every number of temporal views that was scored, with as many crops as the first."""
    scored = results.get("by_views") or {str(results.get("views")): results["metrics"]}
    found = {}
    for views, metrics in scored.items():
        temporal, _, spatial = views.partition("x")
        top1 = metrics.get(TOP1, metrics.get(TOP1.removeprefix("test/")))
        if temporal.isdigit() and spatial == str(results.get("views")).partition("x")[2] and top1 is not None:
            found[int(temporal)] = 100 * top1
    return sorted(found.items())


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of a table and the runs that make it: by seed those that count, and those that came to nothing."""

    row: Row
    label: str
    done: Mapping[int | str, RunRecord]
    rest: tuple[RunRecord, ...]

    @property
    def by_views(self) -> dict[int, list[float]]:
        """Top-1 in per cent, of every seed, by the number of temporal views."""
        found: dict[int, list[float]] = defaultdict(list)
        for run in self.done.values():
            for views, top1 in by_views(run.results):
                found[views].append(top1)
        return dict(sorted(found.items()))

    @property
    def accuracies(self) -> list[float]:
        """Top-1 in per cent, of every seed that has one."""
        metrics = [run.results["metrics"] for run in self.done.values()]
        return [100 * found[TOP1] for found in metrics if TOP1 in found]

    def line(self) -> dict[str, Value]:
        """Numbers of this row, ours over its seeds."""
        paper = {"paper_params" if key == "params" else key: value for key, value in self.row.paper.items()}
        line: dict[str, Value] = {"label": self.label, "runs": len(self.done), **paper}
        if not (runs := [run.results for run in self.done.values()]):
            return line
        peaks = [run["peak_mb"] for run in runs if run.get("peak_mb") is not None]
        for views, top1 in self.by_views.items():
            line |= {f"top1 of {views} views": mean(top1), f"top1 of {views} views, spread": spread(top1)}
        return line | {
            "top1": mean(self.accuracies),
            "top1_spread": spread(self.accuracies),
            "params": runs[-1]["params"] / 1e6,
            "gmac": runs[-1]["gmac"],
            "paper_gflops": runs[-1]["paper_gflops"],
            "step_ms": scaled(mean([run.get("step_seconds") for run in runs]), 1e3),
            "peak_mb": max(peaks) if peaks else None,
        }

    def notes(self, seeds: Sequence[int]) -> Iterator[str]:
        """Name what is missing, failed, running or corrupt."""
        told = {run.seed for run in self.rest}
        for run in self.rest:
            since = f" since {run.time}" if run.status == "running" and run.time else ""
            yield f"{self.label}, seed {run.seed}: {run.status}{since}{f', {run.error}' if run.error else ''}"
        if missing := [str(seed) for seed in seeds if seed not in self.done and seed not in told]:
            yield f"{self.label}: seed{'s' if len(missing) > 1 else ''} {', '.join(missing)} not run"


@dataclass(frozen=True, slots=True)
class Answer:
    """A sweep's runs at one scale and in one setting, row by row."""

    sweep: Sweep
    scale: str
    extra: tuple[str, ...]
    cells: tuple[Cell, ...]
    unplaced: tuple[RunRecord, ...]

    @property
    def is_own(self) -> bool:
        """Whether this is the sweep as it is, on a laptop."""
        return self.scale == "laptop" and not self.extra

    @property
    def name(self) -> str:
        """Name of its files."""
        name = f"{self.sweep.name}_{self.scale}"
        if not self.extra:
            return name
        said = "_".join("".join(c if c.isalnum() or c in "._-" else "-" for c in word) for word in self.extra)
        return f"{name}_{said[:LONGEST]}_{sha256(' '.join(self.extra).encode()).hexdigest()[:8]}"

    @property
    def title(self) -> str:
        """Title, with whatever makes this another setting than the sweep's own."""
        said = ([f"scale={self.scale}"] if self.scale != "laptop" else []) + list(self.extra)
        return self.sweep.title + (f" ({' '.join(said)})" if said else "")

    @property
    def command(self) -> str:
        """The command that runs what is missing."""
        scale = [] if self.scale == "laptop" else [f"scale={self.scale}"]
        return " ".join(["python src/train.py", f"sweep={self.sweep.name}", *scale, *self.extra, *self._where])

    @property
    def _where(self) -> list[str]:
        """What all of its runs say of their machine and of the place of the videos: by these too, jobs are known."""
        said = [run.overrides for run in self.done]
        first = said[0] if said else ()
        where = [*hardware_overrides(first), *(override for override in first if override_key(override) == "data.root")]
        return [override for override in where if override not in self.extra and all(override in of for of in said)]

    @property
    def done(self) -> list[RunRecord]:
        """The runs that make its numbers."""
        return [run for cell in self.cells for run in cell.done.values()]

    @property
    def wanted(self) -> Sequence[int]:
        """The seeds that every row takes; a setting of the user's own takes any."""
        return range(1, 1 + (0 if self.extra else self.sweep.seeds if self.scale == "laptop" else 1))

    @property
    def missing(self) -> int:
        """How many of its runs are not done."""
        return sum(seed not in cell.done for cell in self.cells for seed in self.wanted)

    def table(self) -> Table:
        """Make the table."""
        if self.done or self.extra:
            notes = [note for cell in self.cells for note in cell.notes(self.wanted)]
        else:
            notes = [note for cell in self.cells for note in cell.notes(())] + [f"not run yet: {self.command}"]
        notes += [f"{run.folder.name}: {run.status}, {run.error}" for run in self.unplaced]
        lines = tuple(cell.line() for cell in self.cells)
        views = sorted({n for cell in self.cells for n in cell.by_views})
        several = [_of_views(n) for n in views] if len(views) > 1 else []
        columns = (*COLUMNS[:4], *several, *COLUMNS[4:])
        return Table(self.name, self.title, f"{self.sweep.caption} {self._ran()}".strip(), columns, lines, tuple(notes))

    def _ran(self) -> str:
        """Say what was run here, where all runs have it in common."""
        if not self.done:
            return ""
        results = [run.results for run in self.done]
        recipe = [run.get("recipe") or {} for run in results]
        facts = {key: [run.get(key) for run in results] for key in ("data", "size", "views")}
        facts |= {key: [of.get(key) for of in recipe] for key in ("epochs", "batch_size", "frames", "stride", "crop")}
        same = {key: of[0] for key, of in facts.items() if of[0] is not None and of == of[:1] * len(of)}
        if isinstance(crop := same.get("crop"), list):
            same["crop"] = "x".join(map(str, crop))
        said = [self._seeds, *(PHRASES[key].format(value) for key, value in same.items())]
        return f"Here: {', '.join(said)}."

    @property
    def _seeds(self) -> str:
        """Count the seeds of its rows, as far as these are done."""
        counts = sorted({len(cell.done) for cell in self.cells if cell.done})
        words = [COUNTS[count] if count < len(COUNTS) else str(count) for count in (counts[0], counts[-1])]
        return f"{' to '.join(dict.fromkeys(words))} seed{'' if counts[-1] == 1 else 's'}"


def _of_views(n: int) -> Column:
    return Column(f"top1 of {n} views", f"{n} view{'s' if n > 1 else ''}, %", 1, f"top1 of {n} views, spread")


def answers(sweep: Sweep, runs: Sequence[RunRecord]) -> list[Answer]:
    """Sort a sweep's runs into its rows: the sweep as it is, on a laptop; then every other scale and setting."""
    groups: dict[tuple[str, tuple[str, ...]], list[RunRecord]] = defaultdict(list)
    for run in runs:
        if run.sweep == sweep.name:
            groups[setting(sweep, run)].append(run)
    own = ("laptop", ())
    order = [own, *sorted(key for key in groups if key != own)]
    return [_answer(sweep, scale, extra, groups.get((scale, extra), [])) for scale, extra in order]


def setting(sweep: Sweep, run: RunRecord) -> tuple[str, tuple[str, ...]]:
    """Scale and overrides of a run that are neither of a row of its sweep, nor the sweep's own, nor indifferent."""
    scale = run.settings.get("scale", "laptop")
    axes = {key for row in sweep.rows for key in row.choice_at(scale)}
    return scale, tuple(o for o in decisive(run) if override_key(o) not in axes and o not in sweep.own_at(scale))


def decisive(run: RunRecord) -> list[str]:
    """Give, in order of the alphabet, what tells a run from others; tables say the scale elsewhere."""
    overrides = distinguishing_overrides(run.overrides, run.results.get("data"))
    return sorted(override for override in overrides if override_key(override) != "scale")


def _answer(sweep: Sweep, scale: str, extra: tuple[str, ...], runs: Sequence[RunRecord]) -> Answer:
    unplaced = tuple(run for run in runs if not run.overrides and run.status != "done")
    left = [run for run in runs if run not in unplaced]
    cells = []
    for row in sweep.rows:
        choice = row.choice_at(scale).items()
        mine = [run for run in left if choice <= run.settings.items()]
        left = [run for run in left if run not in mine]
        if mine or not extra:
            cells.append(_cell(row, row.label_at(scale), mine))
    axes = list(sweep.rows[0].choice_at(scale))
    for label, others in _by_label(left, axes).items():
        cells.append(_cell(Row(label, {}), label, others))
    return Answer(sweep, scale, extra, tuple(cells), unplaced)


def _by_label(runs: Sequence[RunRecord], axes: Sequence[str]) -> dict[str, list[RunRecord]]:
    """Group runs of values that the paper has no row for."""
    groups: dict[str, list[RunRecord]] = defaultdict(list)
    for run in runs:
        if run.overrides:
            label = " ".join(f"{key}={run.settings[key]}" for key in axes if key in run.settings)
            groups[label or "others"].append(run)
    return groups


def _cell(row: Row, label: str, runs: Sequence[RunRecord]) -> Cell:
    done = newest(runs)
    rest = {run.seed: run for run in runs if run.status != "done" and run.seed not in done}
    return Cell(
        row, label, done, tuple(rest[seed] for seed in sorted(rest, key=lambda seed: (isinstance(seed, str), seed)))
    )
