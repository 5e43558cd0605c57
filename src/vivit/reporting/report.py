"""The report: every table and figure of the paper beside our runs, as HTML, Markdown, LaTeX and CSV."""

import os
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from vivit.entry_points import typed
from vivit.reporting.claims import claims_table, judge_claims, summary
from vivit.reporting.class_tables import class_tables
from vivit.reporting.cross_validation import cross_validation_table, cross_validations
from vivit.reporting.figure_files import FigureData, write_figure
from vivit.reporting.figures import make_figures
from vivit.reporting.load_runs import RunRecord, read_runs
from vivit.reporting.other_runs import other_runs_table
from vivit.reporting.page import Section, render_page
from vivit.reporting.probes import probes_table
from vivit.reporting.remaining import progress_sentence, remaining
from vivit.reporting.repetitions import Setting
from vivit.reporting.sources import commands_table, commits_table, run_path, runs_table
from vivit.reporting.sweep_results import SweepResult, sweep_results
from vivit.reporting.table6 import table6
from vivit.reporting.tables import Table
from vivit.reporting.terminal_summary import terminal_summary
from vivit.reporting.time_battery import time_table
from vivit.reporting.writers import to_csv, to_latex, to_markdown
from vivit.run_folder import git_commit
from vivit.sweeps import read_sweeps

TITLE = "ViViT: the paper's tables and figures, and ours"
TABLE6 = "Table 6: beside the best of their time"
SETTING_TABLES = ("others", "cross_validations")
"""Tables whose rows the terminal has too."""
SOURCES = "Where the numbers come from"
ENCODING = {"encoding": "utf-8", "errors": "backslashreplace"}
"""Of every file: half a letter, as names of files may contain, must not end the report."""


class Report(NamedTuple):
    """The report as Markdown, and as a few lines for the terminal."""

    text: str
    summary: str


def make_report(logs: str, records: str | None, folder: Path) -> Report:
    """Read the runs below ``logs`` and the records below ``records``, write the report into ``folder``, and return it.

    See ``write_report``.
    """
    runs = read_runs(Path(logs), Path(records) if records else None)
    return write_report(runs, Path(logs), folder, report_metadata())


def report_metadata() -> dict[str, str]:
    """Return what makes this report: the command, the commit of this code, and the time."""
    name = Path(sys.argv[0]).name
    command = " ".join([*([name] if name.startswith("vivit-") else ["python", sys.argv[0]]), *sys.argv[1:]])
    time = datetime.now(UTC).isoformat(timespec="seconds")
    return {"command": command, "commit": git_commit() or "unknown", "time": time}


def write_report(runs: Sequence[RunRecord], logs: Path, folder: Path, metadata: Mapping[str, str]) -> Report:
    """Write ``index.html``, ``report.md``, ``report.tex``, ``tables/*.csv`` and ``figures/*``; return the report.

    ``metadata`` is about the report itself, by name: command, commit, time.
    """
    by_folds = cross_validations(runs)
    members = {run.folder for setting in by_folds for run in setting.runs}
    others = [run for run in runs if run.folder not in members]
    results = [result for sweep in read_sweeps().values() for result in sweep_results(sweep, others)]
    defaults = {result.sweep.name: result for result in results if result.is_default}
    figures = [
        (figure, write_figure(figure.draw, figure.name, figure.caption, folder / "figures"))
        for figure in make_figures(defaults)
    ]
    by_sweep: dict[str, list[FigureData]] = defaultdict(list)
    for figure, data in figures:
        by_sweep[figure.sweep].append(data)
    judgements = judge_claims(defaults)
    claims = claims_table(judgements)
    of_user = _user_sections([run for run in others if run.sweep not in read_sweeps()], by_folds, logs, folder)
    sections = [*of_user, Section(claims.title, summary(judgements), [claims])]
    sections += [_sweep_section(result, by_sweep[result.sweep.name]) for result in results]
    sections.append(_table6_section(runs))
    sources = (commits_table(runs), commands_table(results), runs_table(runs, logs))
    sections.append(Section(SOURCES, "", [table for table in sources if table.lines]))
    lead = _lead(runs, logs, metadata)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(render_page(TITLE, lead, sections), **ENCODING)
    tables = [table for section in sections for table in section.tables]
    _write_tables(tables, folder)
    images = [f"![{figure.caption}](figures/{figure.name}.png)\n" for figure, _ in figures]
    parts = [f"# {TITLE}\n", *(f"{line}\n" for line in lead), *images]
    text = "\n".join([*parts, *map(to_markdown, tables)])
    (folder / "report.md").write_text(text, **ENCODING)
    settings = [table for section in of_user for table in section.tables if table.name in SETTING_TABLES]
    rest = [section for section in sections if not {table.name for table in section.tables} & set(SETTING_TABLES)]
    return Report(text, terminal_summary(lead[:-2], settings, rest))


def _lead(runs: Sequence[RunRecord], logs: Path, metadata: Mapping[str, str]) -> list[str]:
    """Return the first sentences: how many runs there are, what the numbers are, and what made this report."""
    states = ("done", "running", "interrupted", "failed", "unreadable")
    records = sum(run.is_record and run.status == "done" for run in runs)
    counts = {state: sum(run.status == state for run in runs) for state in states}
    counts["done"] -= records
    text = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    beside = f" Recorded runs of the tables beside them: {records}." if records else ""
    lead = [f"Runs in {logs}: {text or 'none'}.{beside}"]
    if not counts["done"] and not records:
        lead.append(f"No run with results yet: `{typed('train')}` makes one, with sweep= those of a table.")
    lead.append(progress_sentence(remaining(read_sweeps().values(), runs)))
    lead.append(
        "Ours are means over seeds, with the sample standard deviation, or of a single run with its accuracy's 95 % "
        "interval (Wilson's), of small networks on the embedded data set "
        "unless a title says otherwise; the paper's are of large ones on real videos, so that rows compare and not "
        "numbers. Parameters and FLOPs are of one clip."
    )
    return [*lead, "Made by " + ", ".join(f"{name} `{value}`" for name, value in metadata.items()) + "."]


def _sweep_section(result: SweepResult, figures: Sequence[FigureData]) -> Section:
    done = sum(bool(row.done) for row in result.rows)
    begun = any(row.unfinished for row in result.rows)
    state = f"{done} of {len(result.rows)} rows" if result.done or begun else "not run yet"
    if (result.done or begun) and result.missing:
        state += f", {_count(result.missing, 'run')} missing"
    return Section(result.title, state, [result.table()], figures if result.is_default else ())


def _table6_section(runs: Sequence[RunRecord]) -> Section:
    tables = table6(runs)
    count = sum(line.get("by") == "ours" for table in tables for line in table.lines)
    return Section(TABLE6, _count(count, "experiment") if count else "not run yet", tables)


def _user_sections(runs: Sequence[RunRecord], by_folds: Sequence[Setting], logs: Path, folder: Path) -> list[Section]:
    """Return the sections of runs of no table of the paper: settings, cross-validations, classes, probes, time."""
    sections = _own_runs_section(runs, logs, folder)
    if by_folds:
        table = cross_validation_table(by_folds)
        sections.append(Section(table.title, _count(len(by_folds), "setting"), [table]))
    if tables := class_tables(runs, logs):
        sections.append(Section(tables[0].title, _count(len(tables), "head"), tables))
    if (probes := probes_table(logs)).lines or probes.notes:
        sections.append(Section(probes.title, _count(len(probes.lines), "probe"), [probes]))
    if (time := time_table(logs)).lines or time.notes:
        sections.append(Section(time.title, _count(len({line["run"] for line in time.lines}), "run"), [time]))
    return sections


def _own_runs_section(runs: Sequence[RunRecord], logs: Path, folder: Path) -> list[Section]:
    """Return the section of runs of no table, with those that are not done as notes; no section without any.

    Rows link to run folders, relative to that of the report.
    """
    table = other_runs_table(runs)
    unfinished = [run for run in runs if run.status != "done"]
    if not table.lines and not unfinished:
        return []
    notes = tuple(
        f"{run_path(run, logs)}: {run.status}" + (f", {run.error}" if run.error else "") for run in unfinished
    )
    links = tuple(quote(os.path.relpath(link, folder)) for link in table.links)
    return [Section(table.title, _count(len(table.lines), "setting"), [replace(table, notes=notes, links=links)])]


def _write_tables(tables: Sequence[Table], folder: Path) -> None:
    (folder / "tables").mkdir(exist_ok=True)
    for table in tables:
        (folder / "tables" / f"{table.name}.csv").write_text(to_csv(table), **ENCODING)
    packages = "% needs \\usepackage{booktabs,graphicx}\n"
    (folder / "report.tex").write_text(packages + "\n".join(map(to_latex, tables)), **ENCODING)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
