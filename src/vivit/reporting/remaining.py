"""The jobs of the sweeps that are left, and about how long they take: from those that are done."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivit.errors import ConfigError
from vivit.overrides import distinguishing_overrides, override_key
from vivit.reporting.load_runs import RunRecord, read_runs
from vivit.reporting.row_results import RowResult
from vivit.reporting.sweep_results import sweep_results
from vivit.reporting.tables import Column, Table, Value, mean
from vivit.reporting.writers import to_markdown
from vivit.sweeps import SCALES, Sweep, read_sweeps

OVERHEAD = 15.0
"""Seconds of a job beside training and test: it starts Python, reads the data set, and builds the network."""


@dataclass(frozen=True, slots=True)
class Remaining:
    """A sweep's jobs at laptop scale: how many there are, are done, and are known by their record alone.

    ``seconds`` are those of the jobs that are left, one at a time, as far as anything says how long they take; of
    ``unknown`` jobs nothing does. ``spent`` are the seconds of those that are done.
    """

    sweep: str
    jobs: int
    done: int
    recorded: int
    seconds: float
    unknown: int
    spent: float = 0.0

    @property
    def left(self) -> int:
        """Number of jobs that are left."""
        return self.jobs - self.done


def remaining_table(
    logs: str, records: str | None, *, sweeps: Sequence[str] | None, jobs: int, skip_recorded: bool
) -> str:
    """Return the jobs that are left of some sweeps, or of all, with their hours for ``jobs`` side by side, as Markdown.

    Without ``skip_recorded``, jobs that only have a record are left too. Raises ConfigError for an unknown sweep.
    """
    if type(jobs) is not int or jobs < 1:
        raise ConfigError("jobs", jobs, "is no number of jobs side by side", "set a whole number, 1 or more")
    every = read_sweeps()
    for name in sweeps or ():
        if name not in every:
            raise ConfigError("sweeps", name, "is no sweep", f"set some of {', '.join(every)}")
    runs = read_runs(Path(logs), Path(records) if records else None)
    names = every if sweeps is None else dict.fromkeys(sweeps)
    rest = remaining([every[name] for name in names], runs, skip_recorded=skip_recorded)
    return to_markdown(_table(rest, jobs, skip_recorded))


def remaining(sweeps: Iterable[Sweep], runs: Sequence[RunRecord], *, skip_recorded: bool = True) -> list[Remaining]:
    """Return what is left of every sweep that has a laptop scale."""
    return [_of_sweep(sweep, runs, skip_recorded) for sweep in sweeps if SCALES[0] in sweep.seeds]


def progress_sentence(rest: Sequence[Remaining]) -> str:
    """Return how many jobs of the tables are done, and about how long the others take."""
    jobs, done = (sum(getattr(sweep, key) for sweep in rest) for key in ("jobs", "done"))
    if jobs == done:
        hours = f"{sum(sweep.spent for sweep in rest) / 3600:.1f} hours one after the other"
        return f"All {jobs} jobs of the tables on the embedded data set are done; they took {hours}."
    hours = f"take about {duration(rest)} one after the other" if _known(rest) else "take hours"
    return f"{done} of {jobs} jobs of the tables on the embedded data set are done; the others {hours}: `make sweep`."


def duration(rest: Sequence[Remaining], jobs: int = 1) -> str:
    """Return about how long the jobs that are left take, ``jobs`` at a time."""
    minutes = sum(sweep.seconds for sweep in rest) / 60 / jobs
    more = "more than " if any(sweep.unknown for sweep in rest) else ""
    return f"{more}{minutes:.0f} minutes" if minutes < 90 else f"{more}{minutes / 60:.1f} hours"


def job_seconds(results: dict[str, Any]) -> float | None:
    """Return about how long a job took that has these results; None where they do not contain it."""
    if (training := results.get("train_seconds")) is None:
        return None
    return training + (results.get("test_seconds") or 0.0) + OVERHEAD


def _of_sweep(sweep: Sweep, runs: Sequence[RunRecord], skip_recorded: bool) -> Remaining:
    scale = SCALES[0]
    of_scale = [run for run in runs if run.sweep == sweep.name and run.scale == scale and not run.extra]
    rows = [row for row in sweep_results(sweep, of_scale)[0].rows if sweep.row(row.row.name)]
    by_row = {row.row.name: _jobs_as_set_now(sweep, row) for row in rows}
    of_sweep = _mean_seconds(run for done in by_row.values() for run in done.values())
    default = sweep.minutes.get(scale)
    seconds, spent, unknown, done, recorded, jobs = 0.0, 0.0, 0, 0, 0, 0
    for row in sweep.rows:
        known = [_mean_seconds(by_row[row.name].values()), of_sweep, None if default is None else 60 * default]
        of_job = next((value for value in known if value is not None), None)
        for seed in sweep.seeds_of(row, scale):
            run = by_row[row.name].get(seed)
            jobs += 1
            recorded += run is not None and run.is_record
            if run is not None and (skip_recorded or not run.is_record):
                done += 1
                spent += job_seconds(run.results) or 0.0
            else:
                seconds += of_job or 0.0
                unknown += of_job is None
    return Remaining(sweep.name, jobs, done, recorded, seconds, unknown, spent)


def _jobs_as_set_now(sweep: Sweep, row: RowResult) -> dict[int | str, RunRecord]:
    """Return the runs of a row by seed, without those of other settings: the sweep's file was changed since."""
    now = _decisive(sweep.job_overrides(row.row, SCALES[0]))
    return {seed: run for seed, run in row.done.items() if _decisive(run.overrides) == now}


def _decisive(overrides: Sequence[str]) -> set[str]:
    texts = distinguishing_overrides(overrides)
    return {text.lstrip("+") for text in texts if override_key(text) not in ("row", "scale")}


def _mean_seconds(runs: Iterable[RunRecord]) -> float | None:
    return mean([job_seconds(run.results) for run in runs])


def _known(rest: Sequence[Remaining]) -> bool:
    return any(sweep.left > sweep.unknown for sweep in rest)


def _table(rest: Sequence[Remaining], jobs: int, skip_recorded: bool) -> Table:
    lines = [_line(sweep.sweep, [sweep], jobs) for sweep in rest]
    if len(rest) > 1:
        lines.append(_line("all", rest, jobs))
    columns = (
        *(Column("sweep", "sweep"), Column("jobs", "jobs"), Column("done", "done"), Column("left", "to run")),
        Column("duration", f"about, {jobs} side by side" if jobs > 1 else "about"),
    )
    notes = []
    if recorded := sum(sweep.recorded for sweep in rest):
        again = "count as done" if skip_recorded else "run again"
        notes.append(f"{recorded} jobs are known by their records alone; they {again} (skip_recorded)")
    if names := [sweep.sweep for sweep in rest if sweep.unknown]:
        notes.append(f"how long jobs take is unknown where none is done and no minutes are set: {', '.join(names)}")
    return Table("remaining", "Jobs of the sweeps", "", columns, tuple(lines), tuple(notes))


def _line(name: str, rest: Sequence[Remaining], jobs: int) -> dict[str, Value]:
    keys = ("jobs", "done", "left")
    left, known = sum(sweep.left for sweep in rest), _known(rest)
    text = duration(rest, jobs) if known else "unknown" if left else None
    return {"sweep": name, **{key: sum(getattr(sweep, key) for sweep in rest) for key in keys}, "duration": text}
