"""Probes in the report: a line each, percentages, and a note where a file is none of ours."""

import json
from pathlib import Path
from typing import Any

from vivit.reporting.probes import probes_table
from vivit.reporting.report import write_report

ROW = {"head": "verb", "probe": "knn", "accuracy": 0.5, "low": 0.25, "high": 0.75, "difference": 0.0}
ROW |= {"difference_low": -0.1, "difference_high": 0.1, "videos": 24, "groups": 6, "folds": 3, "settings": "k=5"}
FEATURES = {"model": "spatiotemporal(tubelet(dim=8))", "weights": "/a/vit.npz", "data": {"root": "/videos/mine"}}


def write(logs: Path, run: str, results: Any) -> None:
    folder = logs / "features" / "runs" / run
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(results))


def test_every_probe_is_a_line_and_an_odd_file_a_note(tmp_path: Path) -> None:
    write(tmp_path, "1", {"features": FEATURES, "probes": [ROW | {"seconds": 1.0}]})
    write(tmp_path, "2", {"features": FEATURES, "probes": []})
    write(tmp_path, "3", {"features": FEATURES, "probes": [ROW | {"best": 1}]})
    write(tmp_path, "4", [1])
    write(tmp_path, "5", {"features": 5, "probes": "no"})
    table = probes_table(tmp_path)
    (line,) = table.lines
    assert (line["features"], line["data"]) == ("spatiotemporal, vit.npz", "mine")
    assert (line["accuracy"], line["low"], line["difference_low"], line["videos"]) == (50, 25, -10, 24)
    assert [note.split(":")[0] for note in table.notes] == [f"features/runs/{run}/results.json" for run in "345"]
    report = write_report([], tmp_path, tmp_path / "report", {}).text
    assert "| spatiotemporal, vit.npz | mine | verb | knn | 50.0 [25.0, 75.0] | 0.0 [-10.0, 10.0] |" in report
    assert "Probes on frozen features" in (tmp_path / "report" / "index.html").read_text()


def test_a_report_without_probes_says_nothing_of_them(tmp_path: Path) -> None:
    assert "Probes" not in write_report([], tmp_path, tmp_path / "report", {}).text
