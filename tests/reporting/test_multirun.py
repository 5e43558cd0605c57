"""The answer of a multirun: pooled over folds with an interval over groups, mean and deviation; no silent gaps."""

import csv
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_up import run_folder

from vivit.groups import bootstrap_interval
from vivit.reporting.multirun import summarize_multirun
from vivit.reporting.report import make_report

FOLDS = 3


def predictions(folder: Path, right: Sequence[int], groups: Sequence[str], paths: Sequence[str], **others: Any) -> None:
    """Leave what a test of one head answered: label 1, and class 1 where it is right."""
    columns = {"path": paths, "group": pa.array(groups, pa.string()), "label_label": [1] * len(right)}
    pq.write_table(pa.table({**columns, "pred_label": list(right), **others}), folder / "video_scores.parquet")


def leave_test(logs: Path, job: str, *overrides: str, right: Sequence[int], fold: int | None, size: int = 2) -> Path:
    """Leave a run of a test whose videos are in groups of ``size``, the fold in their names."""
    data = {"root": "/videos", "dataset": {} if fold is None else {"fold": fold, "folds": FOLDS}}
    metrics = {"test/acc_top1": sum(right) / len(right), "test/acc_top5": 1.0, "val/acc_top1": 0.5}
    dataset = "csv_folds" if "data=csv_folds" in overrides else "motion"
    folder = run_folder(logs, "cv", job, *overrides, metrics=metrics, data=dataset, config={"data": data})
    names = [f"{fold}_{number}" for number in range(len(right))]
    predictions(folder, right, [f"{fold}_g{number // size}" for number in range(len(right))], names)
    return folder


def summary(logs: Path, *order: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Summarise the multirun, and return all of it, and its rows."""
    folder = logs / "train" / "multiruns" / "cv"
    summarize_multirun(folder, [folder / name for name in order])
    content = json.loads((folder / "summary.json").read_text())
    return content, content["settings"]


RIGHT = ([1, 1, 0, 1], [1, 0, 0, 0, 1, 1], [1, 1, 1, 1])


def test_folds_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for fold, right in enumerate(RIGHT):
        leave_test(tmp_path, f"a{fold}", "data=csv_folds", f"data.dataset.fold={fold}", right=right, fold=fold)
    content, (row,) = summary(tmp_path)
    every = [value for right in RIGHT for value in right]
    assert row["pooled"] == pytest.approx(10 / 14)
    groups = [f"{fold}_g{number // 2}" for fold, right in enumerate(RIGHT) for number in range(len(right))]
    assert (row["low"], row["high"]) == pytest.approx(bootstrap_interval(np.array(every, float), groups))
    accuracies = [3 / 4, 3 / 6, 1.0]
    assert row["mean"] == pytest.approx(statistics.mean(accuracies))
    assert row["stdev"] == pytest.approx(statistics.stdev(accuracies))
    assert row["repetitions"] == {f"fold {fold}": value for fold, value in enumerate(accuracies)}
    assert (row["videos"], row["groups"], row["folds_done"], row["folds"], row["seeds"], row["runs"]) == (
        14,
        7,
        3,
        3,
        1,
        3,
    )
    assert row["minutes"] == pytest.approx(4.5)
    assert (content["jobs"], content["not_done"], content["notes"]) == (3, {}, [])
    assert content["shared"] == ["data=csv_folds"]
    with (tmp_path / "train" / "multiruns" / "cv" / "summary.csv").open() as file:
        (line,) = csv.DictReader(file)
    assert (float(line["pooled"]), line["missing"], line["metric"]) == (row["pooled"], "", "acc_top1")
    printed = capsys.readouterr().out
    assert "data=csv_folds: acc_top1" in printed
    assert "71.4 [" in printed and "75.0 ± 25.0" in printed and "3 of 3" in printed and "3 folds" in printed
    assert "3 jobs: 3 done" in printed


def test_what_failed_or_never_ran_is_named_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave_test(tmp_path, "a0", "data.dataset.fold=0", "size=mini", right=RIGHT[0], fold=0)
    run_folder(tmp_path, "cv", "a1", "data.dataset.fold=1", "size=mini", status="failed", error="no memory")
    for fold in (0, 1):
        leave_test(tmp_path, f"b{fold}", f"data.dataset.fold={fold}", right=RIGHT[fold], fold=fold)
    run_folder(tmp_path, "cv", "b2", "data.dataset.fold=2", status="interrupted", error="by hand")
    content, rows = summary(tmp_path, "b0")
    assert [(row["setting"], row["folds_done"], row["folds"]) for row in rows] == [
        ("default", 2, 3),
        ("size=mini", 1, 3),
    ]
    assert content["notes"] == [
        "default: fold 2 interrupted: by hand",
        "size=mini: fold 1 failed: no memory",
        "size=mini: fold 2 not run",
    ]
    assert rows[1]["stdev"] is None, "of a single fold"
    assert content["not_done"] == {"a1": "no memory", "b2": "by hand"}
    assert content["status"] == {"done": 3, "interrupted": 1, "failed": 1}
    assert (rows[1]["compared"], rows[1]["difference"]) == (4, 0), "over the videos of the fold that both have"
    printed = capsys.readouterr().out
    assert "\nsize=mini: fold 1 failed: no memory\n" in printed
    assert "5 jobs: 3 done, 1 failed, 1 interrupted" in printed


def test_a_setting_of_which_no_job_is_done_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for fold in (0, 1):
        leave_test(tmp_path, f"a{fold}", f"data.dataset.fold={fold}", right=RIGHT[fold], fold=fold)
    job = run_folder(tmp_path, "cv", "b0", "data.dataset.fold=0", "size=mini", status="failed", error="no memory")
    (job / ".hydra" / "config.yaml").write_text("data: {dataset: {fold: 0, folds: 3}}\n")
    _, rows = summary(tmp_path)
    assert [(row["setting"], row["metric"], row["folds_done"]) for row in rows] == [
        ("default", "acc_top1", 2),
        ("size=mini", None, 0),
    ]
    assert rows[1]["missing"] == ["fold 0 failed: no memory", "fold 1 not run", "fold 2 not run"]
    assert "0 of 3" in capsys.readouterr().out


def test_seeds_of_a_single_fold_are_no_cross_validation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, right in ((1, RIGHT[0]), (2, RIGHT[2])):
        leave_test(tmp_path, f"s{seed}", "data=csv_folds", f"seed={seed}", right=right, fold=0)
    content, (row,) = summary(tmp_path)
    assert (row["mean"], row["n"], row["over"]) == (0.875, 2, "seeds")
    assert row["stdev"] == pytest.approx(statistics.stdev([0.75, 1.0]))
    assert (row["folds_done"], row["folds"], content["notes"]) == (1, 3, [])
    printed = capsys.readouterr().out
    assert "1 of 3" in printed
    assert "2 seeds" in printed


def test_seeds_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = ([1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1])
    for seed, right in enumerate(values, 1):
        leave_test(tmp_path, f"s{seed}", f"seed={seed}", right=right, fold=None)
    _, (row,) = summary(tmp_path)
    assert (row["mean"], row["stdev"]) == pytest.approx((2 / 3, statistics.stdev([0.5, 0.75, 0.75])))
    assert (row["n"], row["seeds"], row["folds_done"], row["videos"]) == (3, 3, None, 4)
    assert row["pooled"] == pytest.approx(row["mean"])
    expected = bootstrap_interval(np.mean(values, axis=0), ["g0", "g0", "g1", "g1"])
    assert (row["low"], row["high"]) == pytest.approx(expected)
    printed = capsys.readouterr().out
    assert "3 seeds" in printed and "66.7 ± 14.4" in printed and "folds" not in printed


def test_folds_and_seeds_together(tmp_path: Path) -> None:
    for seed in (1, 2):
        for fold, right in enumerate(RIGHT):
            if (seed, fold) != (2, 2):
                flipped = right if seed == 1 else [1 - value for value in right]
                overrides = (f"data.dataset.fold={fold}", f"seed={seed}")
                leave_test(tmp_path, f"{seed}{fold}", *overrides, right=flipped, fold=fold)
    content, (row,) = summary(tmp_path)
    assert content["notes"] == ["default: fold 2, seed 2 not run"]
    assert row["repetitions"] == pytest.approx({"fold 0": 0.5, "fold 1": 0.5, "fold 2": 1.0})
    assert row["pooled"] == pytest.approx((4 * 0.5 + 6 * 0.5 + 4) / 14)
    assert (row["videos"], row["runs"], row["seeds"]) == (14, 5, 2)


def test_settings_are_compared_with_the_first_video_by_video(tmp_path: Path) -> None:
    others = ([1, 1, 1, 1], [1, 1, 1, 0, 1, 1], [1, 0, 1, 1])
    for fold in range(FOLDS):
        leave_test(tmp_path, f"a{fold}", f"data.dataset.fold={fold}", "size=mini", right=others[fold], fold=fold)
        leave_test(tmp_path, f"b{fold}", f"data.dataset.fold={fold}", "size=tiny", right=RIGHT[fold], fold=fold)
    _, rows = summary(tmp_path, "b0", "b1", "b2", "a0", "a1", "a2")
    assert [row["setting"] for row in rows] == ["size=tiny", "size=mini"], "in the order of the command"
    assert "difference" not in rows[0]
    differences = np.array(
        [b - a for fold in range(FOLDS) for a, b in zip(RIGHT[fold], others[fold], strict=True)], float
    )
    groups = [f"{fold}_g{number // 2}" for fold, right in enumerate(RIGHT) for number in range(len(right))]
    assert rows[1]["difference"] == pytest.approx(differences.mean())
    expected = bootstrap_interval(differences, groups)
    assert (rows[1]["difference_low"], rows[1]["difference_high"]) == pytest.approx(expected)
    assert rows[1]["compared"] == 14


def test_other_videos_under_the_same_names_are_not_compared(tmp_path: Path) -> None:
    for root in "ab":
        folder = leave_test(tmp_path, root, f"data.root=/{root}", "data=csv_folds", right=RIGHT[0], fold=0)
        results = json.loads((folder / "results.json").read_text())
        results["config"]["data"]["root"] = f"/{root}"
        (folder / "results.json").write_text(json.dumps(results))
    _, rows = summary(tmp_path)
    assert [row["setting"] for row in rows] == ["data.root=/a", "data.root=/b"]
    assert not any("difference" in row for row in rows)


def test_each_head_and_mean_average_precision(tmp_path: Path) -> None:
    """Of two single heads and a multi-label one."""
    values = {
        "noun_acc_top1": 0.75,
        "verb_acc_top1": 0.5,
        "action_acc_top1": 0.25,
        "acc_top1": 0.25,
        "tags_map": 0.3,
        "map": 0.3,
    }
    for fold in (0, 1):
        metrics = {f"test/{name}": value + fold / 10 for name, value in values.items()}
        data = {"dataset": {"fold": fold, "folds": 2}}
        folder = run_folder(
            tmp_path, "cv", str(fold), f"data.dataset.fold={fold}", metrics=metrics, config={"data": data}
        )
        tags = pa.FixedSizeListArray.from_arrays(pa.array([0, 1] * 4, pa.int8()), 2)
        heads = {
            "label_noun": [1, 1, 1, 1],
            "pred_noun": [1, 1, 1, 0],
            "label_verb": [2, 2, 2, 2],
            "pred_verb": [2, 0, 0, 2],
        }
        table = {"path": [f"{fold}{n}" for n in range(4)], **heads, "label_tags": tags, "pred_tags": tags}
        pq.write_table(pa.table(table), folder / "video_scores.parquet")
    _, rows = summary(tmp_path)
    assert [row["metric"] for row in rows] == ["acc_top1", "noun_acc_top1", "verb_acc_top1", "tags_map"]
    assert [row.get("pooled") for row in rows] == [0.25, 0.75, 0.5, None]
    assert [row["mean"] for row in rows] == pytest.approx([0.3, 0.8, 0.55, 0.35])
    assert rows[0]["groups"] == 8, "without a column each video is one"


def test_segments_of_one_file_are_videos_each(tmp_path: Path) -> None:
    for job, right in (("a", [1, 0, 1]), ("b", [1, 1, 1])):
        folder = leave_test(tmp_path, job, f"size={job}", right=right, fold=None)
        predictions(folder, right, ["g", "g", "h"], ["film", "film", "other"])
    _, rows = summary(tmp_path)
    assert (rows[0]["videos"], rows[1]["compared"]) == (3, 3)
    assert rows[1]["difference"] == pytest.approx(1 / 3)


@pytest.mark.parametrize("damage", ["gone", "other"])
def test_a_run_without_predictions_is_not_pooled_in_silence(tmp_path: Path, damage: str) -> None:
    for fold, right in enumerate(RIGHT):
        folder = leave_test(tmp_path, f"a{fold}", f"data.dataset.fold={fold}", right=right, fold=fold)
    if damage == "gone":
        (folder / "video_scores.parquet").unlink()
    else:
        (folder / "video_scores.parquet").write_text("no parquet")
    content, (row,) = summary(tmp_path)
    assert "pooled" not in row
    assert row["mean"] == pytest.approx(0.75)
    (note,) = content["notes"]
    assert note.startswith("default: a2 is not pooled: ")


def test_a_single_job_needs_no_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    leave_test(tmp_path, "a0", "data.dataset.fold=0", right=RIGHT[0], fold=0)
    summarize_multirun(tmp_path / "train" / "multiruns" / "cv")
    assert not list(tmp_path.rglob("summary.*"))
    assert not capsys.readouterr().out


def test_the_report_has_a_section_of_them(tmp_path: Path) -> None:
    """Of runs in several folders; single folds stay where they were."""
    for fold in (0, 1):
        overrides = ("data=csv_folds", "data.root=/my/clips", f"data.dataset.fold={fold}", "optim=sgd")
        leave_test(tmp_path, f"a{fold}", *overrides, right=RIGHT[fold], fold=fold)
    leave_test(tmp_path, "single", "data=csv_folds", "data.root=/other", right=RIGHT[0], fold=0)
    text = make_report(str(tmp_path), None, tmp_path / "report").text
    section = text.partition("## Cross-validations")[2].partition("\n## ")[0]
    assert "fold 2 not run" in section
    (line,) = [line for line in section.splitlines() if line.startswith("| ") and "clips" in line]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert {"clips", "optim=sgd", "acc_top1", "2 of 3", "62.5 ± 17.7", "3.0"} <= set(cells)
    assert any(cell.startswith("60.0 [") for cell in cells)
    others = text.partition("## Your own runs")[2].partition("\n## ")[0]
    assert "data.root=/other" in others
    assert "/my/clips" not in others
    with (tmp_path / "report" / "tables" / "cross_validations.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["pooled"]) == pytest.approx(60)
    assert "Cross-validations" in (tmp_path / "report" / "index.html").read_text()


def test_what_all_cross_validations_set_stands_above_them(tmp_path: Path) -> None:
    for size in ("mini", "small"):
        for fold in (0, 1):
            overrides = ("data=csv_folds", "data.frames=8", f"data.dataset.fold={fold}", f"optim.lr={size}")
            leave_test(tmp_path, f"{size}{fold}", *overrides, right=RIGHT[fold], fold=fold)
    text = make_report(str(tmp_path), None, tmp_path / "report").text
    section = text.partition("## Cross-validations")[2].partition("\n## ")[0]
    assert "All set data=csv_folds data.frames=8." in section
    assert "| optim.lr=mini |" in section
    assert "* optim.lr=small: fold 2 not run" in section


def test_rows_of_a_sweep_over_folds_are_a_cross_validation_and_no_table_of_the_sweep(tmp_path: Path) -> None:
    for fold in range(FOLDS):
        overrides = ("sweep=pooling", "row=cls", "model=factorised_encoder", "model.pool=cls", "data=csv_folds")
        typed = ("data.root=/v", f"data.dataset.fold={fold}", "seed=1")
        data = {"dataset": {"fold": fold, "folds": FOLDS}}
        metrics = {"test/acc_top1": 0.5}
        run_folder(
            tmp_path, "pooling", str(fold), *overrides, *typed, metrics=metrics, data="csv_folds", config={"data": data}
        )
    text = make_report(str(tmp_path), None, tmp_path / "report").text
    section = text.partition("## Cross-validations")[2].partition("\n## ")[0]
    assert "sweep=pooling row=cls" in section
    assert "50.0 ± 0.0" in section
    assert "is not pooled: it has no predictions" in section
    assert "Pooling (data" not in text
