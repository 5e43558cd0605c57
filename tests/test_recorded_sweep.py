"""Table 1 in small: an image ViT is trained, the sweep starts from it, and its records stand for its runs."""

import json
from pathlib import Path

import pytest
from forked import Command, start

from vivit.reporting.load_runs import read_runs
from vivit.reporting.sweep_results import sweep_results
from vivit.sweeps import read_sweeps

SHORT = ("debug=limit", "data.num_workers=0", "data.batch_size=4", "callbacks.progress=null", "trainer=cpu")
ROWS = "row=uniform_frames,central_frame"


def command(logs: Path, data: Path, output: Path, *words: str) -> Command:
    return start(output, "src/train.py", f"data.root={data}", f"paths.logs={logs}", *SHORT, *words)


def sweep(logs: Path, data: Path, records: Path, *words: str) -> Command:
    said = ("sweep=input_encoding", ROWS, "seed=1", f"records={records}", *words)
    return command(logs, data, records.with_suffix(".txt"), *said)


@pytest.mark.slow
def test_records_stand_for_runs(small_motion: Path, tmp_path: Path) -> None:
    logs, records = tmp_path / "logs", tmp_path / "records"
    first = command(logs, small_motion, tmp_path / "first.txt", "pretrain=image_vit")
    assert first.wait() == 0, first.said
    swept = sweep(logs, small_motion, records)
    assert swept.wait() == 0, swept.said
    assert "inflated" in swept.said
    files = sorted((records / "input_encoding").iterdir())
    folders = logs / "train" / "multiruns" / "input_encoding"
    assert len(files) == 2
    for file in files:
        kept, whole = json.loads(file.read_text()), json.loads((folders / file.stem / "results.json").read_text())
        assert file.stat().st_size < 20_000
        assert kept.keys() == (whole.keys() - {"config", "classes"}) | {"finished"}
        assert kept["metrics"] == whole["metrics"]
        assert (kept["scale"], kept["seed"], kept["recipe"]["frames"]) == ("laptop", 1, 16)
    table = read_sweeps()["input_encoding"]
    by_folder, by_record = (
        sweep_results(table, read_runs(*where))[-1].table().lines
        for where in ((logs,), (tmp_path / "no logs", records))
    )
    assert by_folder == by_record
    assert sum(line["runs"] for line in by_folder) == 2
    elsewhere = tmp_path / "elsewhere"
    again = sweep(elsewhere, small_motion, records, "skip_recorded=true")
    assert again.wait() == 0, again.said
    assert again.said.count(f"is recorded in {records}, skipped") == 2
    assert not list(elsewhere.rglob("results.json"))


@pytest.mark.slow
def test_a_start_that_is_not_there_is_one_clear_error(small_motion: Path, tmp_path: Path) -> None:
    swept = sweep(tmp_path / "logs", small_motion, tmp_path / "none", "row=random")
    assert swept.wait() == 1
    assert "pretrain_image_vit/checkpoints/best.ckpt" in swept.said
