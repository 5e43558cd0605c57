"""The report: one Markdown file, and the same on the terminal."""

from collections.abc import Sequence
from pathlib import Path

from vivit.reporting.runs import RunRecord
from vivit.reporting.tables import markdown, settings_table


def write_report(runs: Sequence[RunRecord], logs: Path, folder: Path) -> str:
    """Write ``report.md`` into ``folder`` and give its text: results first, then what failed or is not done."""
    rows = settings_table(runs)
    parts = [f"# Runs in {logs}\n"]
    parts.append(markdown(rows) if rows else "No run with test results yet: `make train` makes one.\n")
    if rest := [run for run in runs if run.status != "done"]:
        parts.append("## Not done\n")
        parts += [
            f"* {run.folder.relative_to(logs)}: {run.status}{f', {run.error}' if run.error else ''}" for run in rest
        ]
    text = "\n".join(parts) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(text, encoding="utf-8")
    return text
