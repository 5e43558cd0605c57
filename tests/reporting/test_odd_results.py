"""One odd file is one run that cannot be read, by its path; the report is made. And seeds are counted."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from made_up import results, run_folder, scored

from vivit.reporting.load_runs import read_runs
from vivit.reporting.report import make_report
from vivit.reporting.sweep_results import sweep_results
from vivit.sweeps import read_sweeps

SAID = ("model=spatiotemporal", "sweep=model_variants")


def usual(**changes: Any) -> dict[str, Any]:
    return results("model_variants", "odd", (*SAID, "seed=2"), {"metrics": scored(0.5)} | changes)


NAN, INF = float("nan"), float("inf")
ODD: dict[str, Any] = {
    "a seed of null": usual(seed=None),
    "a seed of letters": usual(seed="abc"),
    "a seed that is true": usual(seed=True),
    "half a seed": usual(seed=1.5),
    "a metric of NaN": usual(metrics={"test/acc_top1": NAN}),
    "a metric of null": usual(metrics={"test/acc_top1": None}),
    "a NaN anywhere": usual(config={"deep": [{"in": NAN}]}),
    "an infinite cost": usual(gmac=INF),
    "a cost of words": usual(params="many"),
    "metrics in a list": usual(metrics=[1, 2]),
    "overrides in a word": usual(overrides="seed=1"),
    "overrides of numbers": usual(overrides=[1]),
    "views of a number": usual(views=4),
    "a model in a list": usual(model=["spatiotemporal"]),
    "views that are none": usual(metrics_by_views={"4x1": 0.5}),
    "epochs of words": usual(epochs=["first"]),
    "epochs without a number": usual(epochs=[{"train/loss": 1.0}]),
    "a recipe of words": usual(recipe="short"),
    "versions of numbers": usual(versions={"torch": 2}),
    "memory of words": usual(peak_mb="much"),
    "a list": [1, 2],
    "a number": 7,
    "nothing": None,
    "cut off": '{"metrics": {"test/acc_top1": 0.',
    "too large": '{"seed": 1e999}',
    "too deep": "[" * 100_000,
    "empty": "",
    "binary": b"\x80\x02\xff\x00",
}


def leave(logs: Path, name: str, content: Any) -> None:
    folder = run_folder(logs, "model_variants", name, *SAID, "seed=2", metrics=scored(0.5))
    data = content if isinstance(content, bytes) else content if isinstance(content, str) else json.dumps(content)
    (folder / "results.json").write_bytes(data if isinstance(data, bytes) else data.encode())


def test_every_odd_result_is_a_run_that_cannot_be_read(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    for number, content in enumerate(ODD.values()):
        leave(logs, f"odd_{number:02}", content)
    run_folder(logs, "model_variants", "good", *SAID, "seed=1", metrics=scored(0.75))
    records = tmp_path / "records" / "model_variants"
    records.mkdir(parents=True)
    (records / "kept.json").write_text(json.dumps(usual(seed="x")))
    text = make_report(str(logs), str(records.parent), tmp_path / "report").text
    with (tmp_path / "report" / "tables" / "runs.csv").open() as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    for number, name in enumerate(ODD):
        row = rows[f"train/multiruns/model_variants/odd_{number:02}"]
        assert row["status"] == "unreadable" and row["error"], name
    assert rows["model_variants/kept.json"]["status"] == "unreadable, recorded"
    assert rows["train/multiruns/model_variants/good"]["top1"] == "75.0"
    assert f"1 done, {len(ODD) + 1} unreadable" in text


@pytest.mark.parametrize("seed", ["null", "abc", "", "1.5", "-3"])
def test_a_run_that_failed_by_its_seed_is_told_of(seed: str, tmp_path: Path) -> None:
    run_folder(tmp_path / "logs", "seeds", "a", f"seed={seed}", "sweep=seeds", status="failed", error="seed is odd")
    run_folder(tmp_path / "logs", "seeds", "b", "seed=1", "sweep=seeds", metrics=scored(0.5))
    text = make_report(str(tmp_path / "logs"), None, tmp_path / "report").text
    assert f"main job, seed {seed}: failed, seed is odd" in text


@pytest.mark.parametrize(
    "status", [{"status": 3}, {"status": "done", "error": 5}, {"status": "gone"}, [], {"status": "failed", "time": 1}]
)
def test_an_odd_status_is_a_run_that_cannot_be_read(status: Any, tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "seeds", "a", "seed=1", "sweep=seeds", metrics=scored(0.5))
    (folder / "status.json").write_text(json.dumps(status))
    assert [run.status for run in read_runs(tmp_path)] == ["unreadable"]


@pytest.mark.parametrize(
    ("seeds", "said"), [(1, "one seed,"), (2, "two seeds,"), (3, "three seeds,"), (11, "11 seeds,"), (0, None)]
)
def test_seeds_are_counted(seeds: int, said: str | None, tmp_path: Path) -> None:
    for seed in range(1, seeds + 1):
        run_folder(tmp_path, "seeds", f"job_{seed}", f"seed={seed}", "sweep=seeds", metrics=scored(0.5))
    (answer,) = sweep_results(read_sweeps()["seeds"], read_runs(tmp_path))
    caption = answer.table().caption
    assert "three seeds;" not in caption
    assert (f"Here: {said}" in caption) if said else ("seed" not in caption)


def test_rows_of_several_numbers_of_seeds_say_so(tmp_path: Path) -> None:
    for model, seeds in (("spatiotemporal", (1, 2, 3)), ("factorised_encoder", (1,))):
        for seed in seeds:
            said = (f"model={model}", f"seed={seed}", "sweep=model_variants")
            run_folder(tmp_path, "model_variants", f"{model}_{seed}", *said, metrics=scored(0.5))
    assert (
        "Here: one to three seeds,"
        in sweep_results(read_sweeps()["model_variants"], read_runs(tmp_path))[0].table().caption
    )
