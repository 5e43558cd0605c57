"""What the numbers come from: commits, versions, commands, and every run by name."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vivit.reporting.load_runs import RunRecord
from vivit.reporting.row_results import single_run_interval
from vivit.reporting.sweep_results import SweepResult
from vivit.reporting.tables import Column, Table, Value, multiply
from vivit.run_folder import top1_name


def commits_table(runs: Sequence[RunRecord]) -> Table:
    """Return a table of the code and the versions that computed the runs, with the number of runs of each."""
    counts: Counter[tuple[str, str]] = Counter()
    for run in runs:
        if run.status == "done":
            versions = ", ".join(f"{name} {value}" for name, value in (run.results.get("versions") or {}).items())
            counts[str(run.results.get("commit") or "unknown"), versions] += 1
    lines: list[dict[str, Value]] = [
        {"commit": commit, "versions": versions, "runs": count} for (commit, versions), count in sorted(counts.items())
    ]
    columns = (Column("commit", "commit"), Column("runs", "runs"), Column("versions", "versions"))
    caption = 'Code and versions that computed the runs; "-dirty" means that files were changed.'
    return Table("provenance", "Commits and versions", caption, columns, tuple(lines))


def commands_table(results: Sequence[SweepResult]) -> Table:
    """Return a table of the commands that make each table, or go on with it."""
    lines: list[dict[str, Value]] = [
        {"table": result.title, "command": result.command, "runs": len(result.done)} for result in results
    ]
    columns = (Column("table", "table"), Column("command", "command"), Column("runs", "runs done"))
    return Table("commands", "Commands", "Each can be started again: it runs what is not done.", columns, tuple(lines))


def run_path(run: RunRecord, logs: Path) -> str:
    """Return the path of a run below the log folder, or of a record below the records."""
    if run.is_record:
        return f"{run.sweep}/{run.folder.name}"
    return (run.folder.relative_to(logs) if run.folder.is_relative_to(logs) else run.folder).as_posix()


def runs_table(runs: Sequence[RunRecord], logs: Path) -> Table:
    """Return a table of every run."""
    lines = tuple(
        {
            "run": run_path(run, logs),
            "status": f"{run.status}, recorded" if run.is_record else run.status,
            "top1": multiply(run.results.get("metrics", {}).get(top1_name(run.results)), 100),
            **(single_run_interval([run.results], top1_name(run.results), "top1") if run.results else {}),
            "minutes": multiply(run.results.get("train_seconds"), 1 / 60),
            "commit": run.results.get("commit"),
            "time": run.time[:16].replace("T", " "),
            "error": run.error,
        }
        for run in runs
    )
    columns = (
        *(Column("run", "run"), Column("status", "status")),
        Column("top1", "top-1, %", 1, interval=("top1_low", "top1_high")),
        *(Column("minutes", "training, min", 1), Column("commit", "commit"), Column("time", "since, UTC")),
        Column("error", "error"),
    )
    return Table("runs", "Every run", "", columns, lines)
