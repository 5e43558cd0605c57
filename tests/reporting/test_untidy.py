"""The page of a folder in which runs failed, run, are missing or cannot be read is right and says so."""

import csv
import html
import json
import re
from pathlib import Path

import pytest
from made_up import TIME, run_folder, scored

from vivit.reporting.load_runs import read_runs
from vivit.reporting.report import make_report
from vivit.sweeps import read_sweeps

ERROR = "RuntimeError: shapes a|b <c>\n\n  of 50 % & more_"
"""With all that the formats read as their own."""


def variant(logs: Path, model: str, seed: int, **found: object) -> Path:
    said = (f"model={model}", f"seed={seed}", "sweep=model_variants")
    return run_folder(logs, "model_variants", f"{model}_{seed}", *said, **found)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    logs, folder = tmp_path_factory.mktemp("logs"), tmp_path_factory.mktemp("report")
    variant(logs, "spatiotemporal", 1, metrics=scored(0.5))
    variant(logs, "spatiotemporal", 2, metrics=scored(0.6))
    variant(logs, "spatiotemporal", 3, status="failed", error=ERROR)
    variant(logs, "factorised_encoder", 1, metrics=scored(0.7))
    variant(logs, "factorised_encoder", 2, status="running")
    variant(logs, "factorised_encoder", 3, status="interrupted", error="ended with exit code 143")
    for seed in (1, 2, 3):
        variant(logs, "factorised_self_attention", seed, metrics=scored(0.8))
    corrupt = variant(logs, "factorised_dot_product", 1, metrics=scored(0.9))
    (corrupt / "results.json").write_text('{"metrics": {"test/acc_top1"')
    (variant(logs, "factorised_dot_product", 2, metrics=scored(0.9)) / "results.json").unlink()
    run_folder(logs, "pooling", "a", "model.pool=cls", "seed=1", status="failed", error="out of memory")
    run_folder(logs, None, "alone", status="failed", error="no such file")
    records = tmp_path_factory.mktemp("records")
    (records / "seeds").mkdir()
    (records / "seeds" / "half.json").write_text(json.dumps({"metrics": {}}))
    make_report(str(logs), str(records), folder)
    return folder


def section(report: Path, anchor: str) -> str:
    """What a reader sees of a part of the page: cells apart, all else as running text."""
    text = (report / "index.html").read_text()
    found = re.search(rf'<section id="{anchor}-\d+">(.*?)</section>', text, re.DOTALL)
    assert found
    return html.unescape(re.sub(r"<[^>]+>", "", re.sub(r"</t[dh]>|</tr>|</li>", "\n", found[1])))


@pytest.mark.slow
def test_a_table_has_the_numbers_of_what_is_done_and_names_the_rest(report: Path) -> None:
    with (report / "tables" / "model_variants_laptop.csv").open() as file:
        rows = [(row["label"], row["top1"], row["runs"]) for row in csv.DictReader(file)]
    assert [(label.partition(",")[0], top1 and float(top1), runs) for label, top1, runs in rows] == [
        ("Model 1", pytest.approx(55), "2"),
        ("Model 2", pytest.approx(70), "1"),
        ("Model 3", pytest.approx(80), "3"),
        ("Model 4", "", "0"),
        ("Model 2", "", "0"),
    ]
    said = section(report, "table-2-models").splitlines()
    assert "55.0 ± 7.1" in said
    for note in (
        "Model 1, spatio-temporal, seed 3: failed, RuntimeError: shapes a|b <c> of 50 % & more_",
        f"Model 2, factorised encoder, seed 2: running since {TIME}",
        "Model 2, factorised encoder, seed 3: interrupted, ended with exit code 143",
        "Model 4, factorised dot product: seeds 3, 4, 5 not run",
        "Model 2, average pooling: seeds 1, 2, 3, 4, 5 not run",
    ):
        assert note in said
    start = "Model 4, factorised dot product, seed {}: unreadable, {}"
    for seed, why in ((1, "JSONDecodeError"), (2, "FileNotFoundError")):
        assert any(line.startswith(start.format(seed, why)) for line in said)


def test_the_head_and_the_contents_count_them(report: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (report / "index.html").read_text())
    assert ": 6 done, 1 running, 1 interrupted, 3 failed, 3 unreadable." in text
    assert "Table 2: models 3 of 5 rows, 19 runs missing" in text
    assert "Pooling 0 of 2 rows, 10 runs missing" in text
    assert "Order of attention not run yet" in text


def test_a_sweep_of_which_nothing_is_done_says_why_and_what_to_do(report: Path) -> None:
    said = section(report, "pooling")
    assert "class tokens, seed 1: failed, out of memory" in said
    assert "not run yet: python src/train.py sweep=pooling" in said


def test_what_belongs_to_no_table_is_named_too(report: Path) -> None:
    assert "half.json: unreadable, ValueError: the results have no 'overrides'" in section(report, "the-main-job")
    assert "train/runs/alone: failed, no such file" in section(report, "your-own-runs")


def test_the_claims_do_not_judge_what_is_not_done(report: Path) -> None:
    claims = sum(len(sweep.claims) for sweep in read_sweeps().values())
    assert f"0 of {claims} claims are decided" in section(report, "what-the-paper-claims-and-what-we-find")
    with (report / "tables" / "claims.csv").open() as file:
        assert {row["verdict"] for row in csv.DictReader(file)} == {"not run", "undecided"}


def test_every_run_is_listed_with_its_state_and_error(report: Path) -> None:
    with (report / "tables" / "runs.csv").open() as file:
        rows = {row["run"]: (row["status"], row["error"]) for row in csv.DictReader(file)}
    assert len(rows) == 14
    place = "train/multiruns/model_variants"
    assert rows[f"{place}/spatiotemporal_3"] == ("failed", " ".join(ERROR.split()))
    assert rows[f"{place}/factorised_encoder_2"] == ("running", "")
    assert rows["seeds/half.json"][0] == "unreadable, recorded"


def test_no_error_breaks_a_format(report: Path) -> None:
    text = (report / "report.md").read_text()
    assert r"shapes a\|b <c> of 50 % & more_" in text
    (table,) = re.findall(r"## Every run\n\n(.*?)\n\n", text + "\n", re.DOTALL)
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1
    assert r"shapes a|b $<$c$>$ of 50 \% \& more\_" in (report / "report.tex").read_text()
    assert "<c>" not in (report / "index.html").read_text()


def test_a_run_folder_that_was_named_by_hand_is_a_run_and_other_folders_are_not(tmp_path: Path) -> None:
    named = run_folder(tmp_path, None, "mine", metrics=scored(0.5)).rename(tmp_path / "mine")
    (named / "run_metadata.json").write_text("{}")
    (tmp_path / "prediction").mkdir()
    (tmp_path / "prediction" / "status.json").write_text((named / "status.json").read_text())
    assert [(run.folder, run.status) for run in read_runs(tmp_path)] == [(named, "done")]
