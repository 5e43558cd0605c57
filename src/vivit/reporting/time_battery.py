"""Whether networks need time: what ``eval.py time=true`` left in its run folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vivit.reporting.load_runs import read_lines
from vivit.reporting.tables import Column, Table, Value

COLUMNS = (
    *(Column("run", "run"), Column("head", "head"), Column("change", "videos")),
    Column("accuracy", "top-1, %", 1, interval=("low", "high")),
    Column("difference", "to the first, points", 1, interval=("difference_low", "difference_high")),
    Column("share", "right answers that turned, %", 1, interval=("share_low", "share_high")),
)
TITLE = "Does it need time?"
CAPTION = (
    "The same videos with their time changed. Intervals of 95 %: Wilson's, of differences bootstrapped over groups, "
    "video by video. Where a turned film has a class of another name: how many right answers turned with it."
)
SHARE = {"share": "share", "low": "share_low", "high": "share_high"}


def time_table(logs: Path) -> Table:
    """Return a table with a line for every change of every run of ``eval.py time=true`` below ``logs``, oldest first.

    A file that cannot be read is a note.
    """
    lines, notes = read_lines(logs, "eval", _lines)
    return Table("time", TITLE, CAPTION, COLUMNS, tuple(lines), tuple(notes))


def _lines(results: Mapping[str, Any]) -> list[dict[str, Value]]:
    """Return the lines of one run; none without changes of time. Raises for results of another form."""
    checkpoint = Path(str(results.get("ckpt_path") or ""))
    run = checkpoint.parent.parent.name or checkpoint.name
    lines: list[dict[str, Value]] = []
    for head, of_head in (results.get("time") or {}).items():
        turned = of_head["turned"]
        for row in of_head["changes"]:
            numbers = {key: 100 * float(value) for key, value in row.items() if key != "change"}
            shares = turned.get(row["change"], {})
            numbers |= {name: 100 * float(shares[key]) for key, name in SHARE.items() if key in shares}
            lines.append({"run": run, "head": head, "change": row["change"].replace("_", " ")} | numbers)
    return lines
