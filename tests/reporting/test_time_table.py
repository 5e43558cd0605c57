"""What changes of time cost, in the report: a line each, percentages, and a note where a file is none of ours."""

import json
from pathlib import Path
from typing import Any

from vivit.reporting.report import write_report
from vivit.reporting.time_battery import time_table

FORWARD = {"change": "forward", "accuracy": 0.9, "low": 0.85, "high": 0.95}
DIFFERENCE = {"difference": -0.85, "difference_low": -0.875, "difference_high": -0.825}
REVERSED = {"change": "half_speed", "accuracy": 0.05, "low": 0.025, "high": 0.075} | DIFFERENCE
TURNED = {"half_speed": {"turned": 90, "videos": 100, "share": 0.9, "low": 0.825, "high": 0.945}}
TIME = {"verb": {"changes": [FORWARD, REVERSED], "turned": TURNED}}


def write(logs: Path, run: str, results: Any) -> None:
    folder = logs / "eval" / "runs" / run
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results))


def test_every_change_is_a_line_and_an_odd_file_a_note(tmp_path: Path) -> None:
    write(tmp_path, "1", {"ckpt_path": "/logs/mine/checkpoints/best.ckpt", "time": TIME})
    write(tmp_path, "2", {"ckpt_path": "/logs/mine/checkpoints/best.ckpt"})
    write(tmp_path, "3", {"time": {"verb": {"changes": []}}})
    write(tmp_path, "4", [1])
    table = time_table(tmp_path)
    assert [(line["run"], line["head"], line["change"]) for line in table.lines] == [
        ("mine", "verb", "forward"), ("mine", "verb", "half speed")
    ]  # fmt: skip
    assert [note.split(":")[0] for note in table.notes] == [f"eval/runs/{run}/results.json" for run in "34"]
    report = write_report([], tmp_path, tmp_path / "report", {}).text
    row = "| mine | verb | half speed | 5.0 [2.5, 7.5] | -85.0 [-87.5, -82.5] | 90.0 [82.5, 94.5] |"
    assert row in report
    assert "Does it need time?" in (tmp_path / "report" / "index.html").read_text()


def test_a_report_without_such_runs_says_nothing_of_them(tmp_path: Path) -> None:
    assert "need time" not in write_report([], tmp_path, tmp_path / "report", {}).text
