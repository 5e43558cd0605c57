"""The report: every table and figure of the paper beside our runs, in four formats."""

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from vivit.reporting.best import best_tables
from vivit.reporting.drawing import write_picture
from vivit.reporting.figures import pictures
from vivit.reporting.findings import findings_table, summary
from vivit.reporting.formats import comma_separated, latex, markdown
from vivit.reporting.others import others_table
from vivit.reporting.page import Section, page
from vivit.reporting.paper import BY_NAME, SWEEPS
from vivit.reporting.provenance import commands_table, commits_table, place, runs_table
from vivit.reporting.runs import RunRecord, read_runs
from vivit.reporting.sweeps import Answer, answers
from vivit.reporting.tables import Table
from vivit.run_folder import git_commit

TITLE = "ViViT: the paper's tables and figures, and ours"
EMPTY = "No run with results yet: `make train` makes one, `make sweep` all of the paper's tables, in hours."
BEST = "Table 6: beside the best of their time"
PROVENANCE = "Where the numbers come from"


def make_report(logs: str, records: str | None, folder: Path) -> str:
    """Read the runs below ``logs`` and the records below ``records``, and write the report into ``folder``."""
    runs = read_runs(Path(logs), Path(records) if records else None)
    return write_report(runs, Path(logs), folder, made_with())


def made_with() -> dict[str, str]:
    """Say what makes this report: the command, the commit of this code, and when."""
    command = " ".join(["python", *sys.argv])
    time = datetime.now(UTC).isoformat(timespec="seconds")
    return {"command": command, "commit": git_commit() or "unknown", "time": time}


def write_report(runs: Sequence[RunRecord], logs: Path, folder: Path, about: Mapping[str, str]) -> str:
    """Write ``index.html``, ``report.md``, ``report.tex``, ``tables/*.csv`` and ``figures/*``; give the Markdown.

    ``about`` says what the report itself is made with, by name: command, commit, time.
    """
    answered = [answer for sweep in SWEEPS for answer in answers(sweep, runs)]
    loose = [run for run in runs if run.sweep not in BY_NAME]
    own = {answer.sweep.name: answer for answer in answered if answer.is_own}
    drawn = _draw(own, folder)
    findings = findings_table(own)
    sections = [Section(findings.title, summary(findings), [findings])]
    sections += [_section(answer, drawn) for answer in answered]
    sections.append(_best(runs))
    if (others := others_table(loose)).lines or any(run.status != "done" for run in loose):
        sections.append(
            Section(others.title, _counted(len(others.lines), "setting"), [_with_rest(others, loose, logs)])
        )
    origin = [table for table in (commits_table(runs), commands_table(answered), runs_table(runs, logs)) if table.lines]
    sections.append(Section(PROVENANCE, "", origin))
    lead = _lead(runs, logs, about)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.html").write_text(page(TITLE, lead, sections), encoding="utf-8", errors="backslashreplace")
    tables = [table for section in sections for table in section.tables]
    _write_tables(tables, folder)
    figures = [f"![{caption}](figures/{name}.png)\n" for name, (_, _, caption) in drawn.items()]
    text = "\n".join(
        [f"# {TITLE}\n", *(f"{line}\n" for line in lead), markdown(findings), *figures, *map(markdown, tables[1:])]
    )
    (folder / "report.md").write_text(text, encoding="utf-8", errors="backslashreplace")
    return text


def _lead(runs: Sequence[RunRecord], logs: Path, about: Mapping[str, str]) -> list[str]:
    """Say how many runs there are and what made this page."""
    counts = {
        status: sum(run.status == status for run in runs) for status in ("done", "running", "interrupted", "failed")
    }
    counts["unreadable"] = sum(run.status == "unreadable" for run in runs)
    said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    recorded = sum(run.is_record for run in runs)
    kept = f", {recorded} of them known by their records" if recorded else ""
    lead = [f"Runs in {logs}: {said}{kept}." if runs else f"Runs in {logs}: none."]
    if not counts["done"]:
        lead.append(EMPTY)
    lead.append(
        "Ours are means over seeds, with the sample standard deviation, of small networks on the embedded data set "
        "unless a title says otherwise; the paper's are of large ones on real videos, so that rows compare and not "
        "numbers. Parameters and FLOPs are of one clip."
    )
    return [*lead, "Made by " + ", ".join(f"{name} `{value}`" for name, value in about.items()) + "."]


def _draw(own: Mapping[str, Answer], folder: Path) -> dict[str, tuple[str, str, str]]:
    return {
        picture.name: (*write_picture(picture.draw, picture.name, folder / "figures"), picture.caption)
        for picture in pictures(own)
    }


def _section(answer: Answer, drawn: Mapping[str, tuple[str, str, str]]) -> Section:
    names = [answer.sweep.name, *(["accuracy_flops"] if answer.sweep.name == "model_variants" else [])]
    shown = [drawn[name] for name in names if answer.is_own and name in drawn]
    rows = sum(bool(cell.done) for cell in answer.cells)
    begun = any(cell.rest for cell in answer.cells)
    state = f"{rows} of {len(answer.cells)} rows" if answer.done or begun else "not run yet"
    if (answer.done or begun) and answer.missing:
        state += f", {_counted(answer.missing, 'run')} missing"
    return Section(answer.title, state, [answer.table()], shown)


def _best(runs: Sequence[RunRecord]) -> Section:
    tables = best_tables(runs)
    ours = sum(line.get("by") == "ours" for table in tables for line in table.lines)
    return Section(BEST, _counted(ours, "experiment") if ours else "not run yet", tables)


def _with_rest(table: Table, runs: Sequence[RunRecord], logs: Path) -> Table:
    """Name below a table the runs that came to nothing."""
    notes = tuple(
        f"{place(run, logs)}: {run.status}" + (f", {run.error}" if run.error else "")
        for run in runs
        if run.status != "done"
    )
    return Table(table.name, table.title, table.caption, table.columns, table.lines, notes)


def _write_tables(tables: Sequence[Table], folder: Path) -> None:
    (folder / "tables").mkdir(exist_ok=True)
    for table in tables:
        (folder / "tables" / f"{table.name}.csv").write_text(
            comma_separated(table), encoding="utf-8", errors="backslashreplace"
        )
    packages = "% needs \\usepackage{booktabs,graphicx}\n"
    (folder / "report.tex").write_text(
        packages + "\n".join(map(latex, tables)), encoding="utf-8", errors="backslashreplace"
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
