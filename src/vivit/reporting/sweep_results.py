"""Runs of a sweep as a table of the paper: our numbers and the paper's side by side, in the paper's rows."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from vivit.entry_points import typed
from vivit.overrides import distinguishing_overrides, hardware_overrides, override_key
from vivit.reporting.load_runs import RunRecord
from vivit.reporting.row_results import RowResult, row_result
from vivit.reporting.tables import Column, Table
from vivit.sweeps import SCALES, Row, Sweep

MAX_NAME_LENGTH = 150
"""Characters of overrides in a file's name; a hash behind them keeps two settings apart."""

RECIPE_KEYS = ("epochs", "batch_size", "frames", "stride", "fps", "crop")
COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PHRASES = {
    "data": "{}", "size": "size {}", "views": "{} views", "epochs": "{} epochs", "batch_size": "batches of {}",
    "frames": "clips of {} frames", "stride": "{} apart", "fps": "{} a second", "crop": "{} pixels",
}  # fmt: skip
COLUMNS = (
    Column("label", ""),
    Column("k400", "paper: K400, %", 1, from_paper=True),
    Column("epic", "paper: EPIC action, %", 1, from_paper=True),
    Column("top1", "top-1, %", 1, stdev="top1_spread", interval=("top1_low", "top1_high")),
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

    def seeds_of(self, row: RowResult) -> Sequence[int]:
        """Return the seeds that a row needs; with extra overrides, none."""
        return () if self.extra else self.sweep.seeds_of(row.row, self.scale)

    @property
    def missing(self) -> int:
        """Number of its runs that are not done."""
        return sum(seed not in row.done for row in self.rows for seed in self.seeds_of(row))

    def table(self) -> Table:
        """Return the table, with notes about every run that is missing."""
        if self.done or self.extra:
            notes = [note for row in self.rows for note in row.notes(self.seeds_of(row))]
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
        row_result(row, row.label_at(scale), by_row.pop(row.name, []))
        for row in sweep.rows
        if row.name in by_row or not extra
    ]
    for name, others in by_row.items():  # rows that the file had once
        rows.append(row_result(Row(name or "", name or "others", {}, {}), name or "others", others))
    return SweepResult(sweep, scale, extra, tuple(rows), unplaced)
