"""What the numbers come from: commits, versions, commands, and every run by name."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vivit.reporting.runs import RunRecord
from vivit.reporting.sweeps import TOP1, Answer
from vivit.reporting.tables import Column, Table, Value, scaled


def commits_table(runs: Sequence[RunRecord]) -> Table:
    """Count runs by the code and the versions that computed them."""
    found: Counter[tuple[str, str]] = Counter()
    for run in runs:
        if run.status == "done":
            versions = ", ".join(f"{name} {what}" for name, what in (run.results.get("versions") or {}).items())
            found[str(run.results.get("commit") or "unknown"), versions] += 1
    lines: list[dict[str, Value]] = [
        {"commit": commit, "versions": versions, "runs": count} for (commit, versions), count in sorted(found.items())
    ]
    columns = (Column("commit", "commit"), Column("runs", "runs"), Column("versions", "versions"))
    said = 'Code and versions that computed the runs; "-dirty" means that files were changed.'
    return Table("provenance", "Commits and versions", said, columns, tuple(lines))


def commands_table(answers: Sequence[Answer]) -> Table:
    """Say what makes each table, or goes on with it."""
    lines: list[dict[str, Value]] = [
        {"table": answer.title, "command": answer.command, "runs": len(answer.done)} for answer in answers
    ]
    columns = (Column("table", "table"), Column("command", "command"), Column("runs", "runs done"))
    return Table("commands", "Commands", "Each can be started again: it runs what is not done.", columns, tuple(lines))


def place(run: RunRecord, logs: Path) -> str:
    """Say where a run lies below the log folder, and of a record where below the records."""
    if run.is_record:
        return f"{run.sweep}/{run.folder.name}"
    return (run.folder.relative_to(logs) if run.folder.is_relative_to(logs) else run.folder).as_posix()


def runs_table(runs: Sequence[RunRecord], logs: Path) -> Table:
    """List every run."""
    lines = tuple(
        {
            "run": place(run, logs),
            "status": f"{run.status}, recorded" if run.is_record else run.status,
            "top1": scaled(run.results.get("metrics", {}).get(TOP1), 100),
            "minutes": scaled(run.results.get("train_seconds"), 1 / 60),
            "commit": run.results.get("commit"),
            "time": run.time[:16].replace("T", " "),
            "error": run.error,
        }
        for run in runs
    )
    columns = (
        *(Column("run", "run"), Column("status", "status"), Column("top1", "top-1, %", 1)),
        *(Column("minutes", "training, min", 1), Column("commit", "commit"), Column("time", "since, UTC")),
        Column("error", "error"),
    )
    return Table("runs", "Every run", "", columns, lines)
