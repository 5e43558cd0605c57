"""Runs come into the paper's rows, with numbers that a hand can check, and what is missing is said by name."""

import json
from pathlib import Path

import pytest
from made_up import TIME, results, run_folder, scored

from vivit.overrides import distinguishing_overrides
from vivit.reporting.load_runs import read_runs
from vivit.reporting.other_runs import other_runs_table
from vivit.reporting.report import make_report
from vivit.reporting.sweep_results import SweepResult, sweep_results
from vivit.reporting.table6 import table6
from vivit.reporting.writers import to_csv, to_markdown
from vivit.sweeps import read_sweeps

MODEL_1, MODEL_2 = ("Model 1, spatio-temporal", "Model 2, factorised encoder")


def answered(logs: Path, sweep: str, records: Path | None = None) -> list[SweepResult]:
    return sweep_results(read_sweeps()[sweep], read_runs(logs, records))


def lines(answer: SweepResult) -> dict[str, dict]:
    return {str(line["label"]): dict(line) for line in answer.table().lines}


def variant(logs: Path, job: str, model: str, seed: int, *more: str, **found: object) -> Path:
    overrides = (f"model={model}", f"seed={seed}", "sweep=model_variants", *more)
    return run_folder(logs, "model_variants", job, *overrides, **found)


def test_numbers_are_means_and_sample_deviations_over_seeds(tmp_path: Path) -> None:
    for seed, top1, step, peak in ((1, 0.70, 0.1, 500.0), (2, 0.80, 0.2, 900.0), (3, 0.84, 0.6, 700.0)):
        variant(tmp_path, f"a{seed}", "spatiotemporal", seed, metrics=scored(top1), step_seconds=step, peak_mb=peak)
    (answer,) = answered(tmp_path, "model_variants")
    line = lines(answer)[MODEL_1]
    assert line["top1"] == pytest.approx((70 + 80 + 84) / 3)
    assert line["top1_spread"] == pytest.approx(((8**2 + 2**2 + 6**2) / 2) ** 0.5)
    assert (line["runs"], line["params"], line["gmac"], line["paper_gflops"]) == (3, 1.234567, 0.5, 0.505)
    assert (line["step_ms"], line["peak_mb"]) == (pytest.approx(300), 900)
    assert (line["k400"], line["epic"], line["gflops"], line["paper_params"], line["ms"]) == (
        80,
        43.1,
        455.2,
        88.9,
        58.9,
    )
    assert [row["label"] for row in answer.table().lines][:2] == [MODEL_1, MODEL_2]


def test_a_single_run_has_the_interval_of_its_accuracy_and_several_their_spread(tmp_path: Path) -> None:
    """By Wilson from the number of videos, whatever interval a record of an older version holds."""
    all_right = {"videos": 480, "confidence_95": {"test/acc_top1": [1.0, 1.0]}}
    variant(tmp_path, "a", "spatiotemporal", 1, metrics=scored(1.0), **all_right)
    for seed in (1, 2):
        variant(tmp_path, f"b{seed}", "factorised_encoder", seed, metrics=scored(seed / 4), **all_right)
    variant(tmp_path, "c", "average_pool", 1, metrics=scored(0.5))
    run_folder(tmp_path, None, "d", "seed=1", metrics=scored(0.875), **all_right)
    (answer,) = answered(tmp_path, "model_variants")
    column = next(column for column in answer.table().columns if column.key == "top1")
    cells = {label: column.format(line) for label, line in lines(answer).items()}
    assert cells[MODEL_1] == "100.0 [99.2, 100.0]"
    assert cells[MODEL_2] == "37.5 ± 17.7"
    assert cells["Model 2, average pooling"] == "50.0", "of an unknown number of videos"
    text = to_markdown(other_runs_table([run for run in read_runs(tmp_path) if run.sweep is None]))
    assert "| 87.5 [84.2, 90.2] |" in text
    head, first, *_ = to_csv(answer.table()).splitlines()
    assert "top1,top1_spread,top1_low,top1_high" in head
    assert ",100.0,,99.2" in first


def test_what_is_missing_failed_running_or_corrupt_is_said_by_name(tmp_path: Path) -> None:
    variant(tmp_path, "a", "spatiotemporal", 1, metrics=scored(0.5))
    variant(tmp_path, "b", "spatiotemporal", 2, status="failed", error="the loss is nan")
    variant(tmp_path, "c", "factorised_encoder", 1, status="running")
    corrupt = variant(tmp_path, "d", "factorised_encoder", 2, metrics=scored(0.5))
    (corrupt / "results.json").write_text('{"metrics"')
    silent = variant(tmp_path, "e", "factorised_encoder", 3, metrics={"test/acc_top1": "high"})
    assert silent.is_dir()
    (answer,) = answered(tmp_path, "model_variants")
    notes = answer.table().notes
    assert f"{MODEL_1}, seed 2: failed, the loss is nan" in notes
    assert f"{MODEL_1}: seeds 3, 4, 5 not run" in notes
    assert f"{MODEL_2}, seed 1: running since {TIME}" in notes
    assert any(note.startswith(f"{MODEL_2}, seed 2: unreadable, JSONDecodeError") for note in notes)
    assert f"{MODEL_2}, seed 3: unreadable, ValueError: the metrics are not numbers" in notes
    assert "Model 2, average pooling: seeds 1, 2, 3, 4, 5 not run" in notes
    assert lines(answer)[MODEL_2]["runs"] == 0
    assert lines(answer)[MODEL_1]["top1_spread"] is None, "of a single run"


def test_a_job_that_lost_everything_is_named_too(tmp_path: Path) -> None:
    folder = tmp_path / "train" / "multiruns" / "model_variants" / "lost"
    (folder / ".hydra").mkdir(parents=True)
    (answer,) = answered(tmp_path, "model_variants")
    assert any(note.startswith("lost: unreadable, FileNotFoundError") for note in answer.table().notes)


def test_another_setting_is_another_table(tmp_path: Path) -> None:
    variant(tmp_path, "a", "spatiotemporal", 1, "data.num_workers=3", "paths.logs=x", metrics=scored(0.5))
    variant(tmp_path, "b", "spatiotemporal", 1, "trainer.max_epochs=1", metrics=scored(0.3))
    own, other = answered(tmp_path, "model_variants")
    assert (own.extra, other.extra) == ((), ("trainer.max_epochs=1",))
    assert lines(own)[MODEL_1]["top1"] == 50
    assert lines(other)[MODEL_1]["top1"] == 30
    assert "trainer.max_epochs=1" in other.table().title
    assert list(lines(other)) == [MODEL_1]
    assert other.command == "python src/train.py sweep=model_variants trainer.max_epochs=1"


@pytest.mark.parametrize(
    "override",
    ["trainer=gpu", "trainer.accelerator=mps", "trainer.devices=1", "ckpt_path=auto", "logger=wandb",
     "logger.wandb.offline=true", "paths.logs=x", "data.root=/videos", "data.prefetch_factor=4",
     "+callbacks.progress.x=1", "~callbacks.curves", "records=docs/results"],
)  # fmt: skip
def test_where_something_ran_is_no_other_setting(override: str, tmp_path: Path) -> None:
    variant(tmp_path, "a", "spatiotemporal", 1, metrics=scored(0.5))
    variant(tmp_path, "b", "spatiotemporal", 2, override, metrics=scored(0.7))
    (answer,) = answered(tmp_path, "model_variants")
    assert (lines(answer)[MODEL_1]["runs"], lines(answer)[MODEL_1]["top1"]) == (2, pytest.approx(60))


@pytest.mark.parametrize(
    "override",
    ["trainer=ddp", "trainer.devices=2", "trainer.num_nodes=4", "trainer=fsdp", "weights.source=other.npz",
     "init_from.image=other.npz", "init_from.video=other.ckpt", "trainer.precision=bf16-mixed",
     "callbacks=[default,ema]", "callbacks.checkpoint_best.mode=min", "ckpt_path=a.ckpt"],
)  # fmt: skip
def test_another_start_or_recipe_is_another_setting(override: str, tmp_path: Path) -> None:
    variant(tmp_path, "a", "spatiotemporal", 1, metrics=scored(0.5))
    variant(tmp_path, "b", "spatiotemporal", 2, override, metrics=scored(0.7))
    own, other = answered(tmp_path, "model_variants")
    assert (lines(own)[MODEL_1]["top1"], lines(other)[MODEL_1]["top1"]) == (50, pytest.approx(70))
    assert other.extra == (override,)


def test_several_devices_are_no_other_setting_where_an_experiment_shares_the_clips_of_a_step_out() -> None:
    said, machine = ["experiment=k400_huge"], ["trainer=ddp", "trainer.devices=8", "trainer.num_nodes=2"]
    assert distinguishing_overrides([*said, *machine]) == said
    assert distinguishing_overrides([*said, *machine, "data.batch_size=8"]) == [*said, *machine, "data.batch_size=8"]
    assert distinguishing_overrides([*said, "trainer=fsdp", "trainer.devices=8"]) == said


@pytest.mark.parametrize(
    ("sweep", "scale", "override", "own"),
    [
        ("regularisation", ("row=mixup",), "size=base", False),
        ("regularisation", ("row=mixup", "scale=paper"), "size=base", True),
        ("regularisation", ("row=mixup",), "data.train_share=0.04", True),
        ("temporal_depth", ("row=1_layer",), "experiment=k400_base_factorised_encoder", False),
        ("temporal_depth", ("row=1_layer", "scale=paper"), "experiment=k400_base_factorised_encoder", True),
        ("temporal_depth", ("row=1_layer", "scale=paper"), "views=4x1", True),
    ],
)
def test_what_a_sweep_sets_at_one_scale_is_another_setting_at_the_other(
    sweep: str, scale: tuple[str, ...], override: str, own: bool, tmp_path: Path
) -> None:
    run_folder(tmp_path, sweep, "a", "seed=1", *scale, override, metrics=scored(0.5))
    (answer,) = (found for found in answered(tmp_path, sweep) if found.done)
    assert len(answer.done) == 1
    assert answer.extra == (() if own else (override,))


def test_the_command_that_goes_on_says_where_the_done_runs_found_machine_and_videos(tmp_path: Path) -> None:
    where = ("trainer=ddp", "trainer.devices=8", "data.root=/kinetics")
    for depth in ("1", "4"):
        said = (f"model.temporal_depth={depth}", "experiment=k400_base_factorised_encoder", "scale=paper", "views=4x1")
        run_folder(tmp_path, "temporal_depth", depth, *said, *where, f"paths.logs=/{depth}", metrics=scored(0.7))
    _, answer = answered(tmp_path, "temporal_depth")
    assert answer.command == " ".join(["python src/train.py sweep=temporal_depth scale=paper", *where])


@pytest.mark.parametrize("long", ["", "very/" * 60])
def test_two_settings_have_files_of_two_short_names(long: str, tmp_path: Path) -> None:
    for place in ("a/b", "a-b"):
        said = f"weights.source=/{long}{place}.npz"
        run_folder(tmp_path, "pooling", place.replace("/", ""), "model.pool=cls", said, metrics=scored(0.5))
    _, first, second = (answer.name for answer in answered(tmp_path, "pooling"))
    assert first != second
    assert max(len(first), len(second)) < 200


def test_numbers_of_views_are_means_over_seeds_too(tmp_path: Path) -> None:
    for seed, top1 in ((1, 0.5), (2, 0.7)):
        found = {"1x1": {"acc_top1": top1 - 0.2}, "4x1": {"acc_top1": top1}}
        said = ("data.frames=4", f"seed={seed}")
        run_folder(tmp_path, "frames_views", str(seed), *said, metrics=scored(top1), metrics_by_views=found)
    (answer,) = answered(tmp_path, "frames_views")
    line = answer.table().lines[0]
    assert [line[f"top1 of {n} views"] for n in (1, 4)] == pytest.approx([40, 60])
    assert line["top1 of 1 views, spread"] == pytest.approx(200**0.5)


def test_two_folders_of_videos_are_two_data_sets(tmp_path: Path) -> None:
    """Of ``data=folder`` nothing but the root says which videos these are."""
    for root, top1 in (("/mine", 0.5), ("/yours", 0.7)):
        said = ("data=folder", f"data.root={root}")
        variant(tmp_path, root[1:], "spatiotemporal", 1, *said, metrics=scored(top1), data="folder")
        run_folder(tmp_path, None, root[1:], *said, "trainer=cpu", metrics=scored(top1), data="folder")
    _, mine, yours = answered(tmp_path, "model_variants")
    assert [lines(answer)[MODEL_1]["top1"] for answer in (mine, yours)] == [50, pytest.approx(70)]
    others = other_runs_table([run for run in read_runs(tmp_path) if run.sweep is None])
    assert [line["other"] for line in others.lines] == ["data.root=/mine", "data.root=/yours"]


def test_a_row_that_the_file_had_once_is_a_row_still(tmp_path: Path) -> None:
    run_folder(tmp_path, "temporal_depth", "a", "row=2_layers", "model.temporal_depth=2", "seed=1", metrics=scored(0.5))
    (answer,) = answered(tmp_path, "temporal_depth")
    assert lines(answer)["2_layers"]["top1"] == 50
    assert [line["label"] for line in answer.table().lines][:5] == [
        f"{n} layers".replace("1 layers", "1 layer") for n in (0, 1, 4, 8, 12)
    ]


def test_of_two_runs_of_a_seed_the_folder_counts_before_the_record_and_then_the_later(tmp_path: Path) -> None:
    records = tmp_path / "records" / "model_variants"
    records.mkdir(parents=True)

    def record(job: str, model: str, top1: float) -> None:
        found = results("model_variants", job, (f"model={model}", "seed=1"), {"metrics": scored(top1)})
        (records / f"{job}.json").write_text(json.dumps(found | {"finished": "2027"}))

    variant(tmp_path, "old", "spatiotemporal", 1, metrics=scored(0.1))
    newer = variant(tmp_path, "new", "spatiotemporal", 1, metrics=scored(0.2))
    (newer / "status.json").write_text(json.dumps({"status": "done", "time": "2026-02", "error": None}))
    record("other", "spatiotemporal", 0.3)
    record("elsewhere", "factorised_encoder", 0.4)
    (records / "broken.json").write_text("{}")
    (answer,) = answered(tmp_path, "model_variants", tmp_path / "records")
    assert lines(answer)[MODEL_1]["top1"] == 20
    assert lines(answer)[MODEL_2]["top1"] == 40
    assert any(
        note.startswith("broken.json: unreadable, ValueError: the results have no") for note in answer.table().notes
    )


def test_the_paper_s_numbers_are_the_paper_s() -> None:
    def column(sweep: str, key: str) -> list[float | None]:
        return [row.printed.get(key) for row in read_sweeps()[sweep].rows]

    assert column("input_encoding", "k400") == [78.5, None, 73.2, 77.6, 79.2]
    assert column("model_variants", "k400") == [80.0, 78.8, 77.4, 76.3, 75.8]
    assert column("model_variants", "epic") == [43.1, 43.7, 39.1, 39.5, 38.8]
    assert column("model_variants", "gflops") == [455.2, 284.4, 372.3, 277.1, 283.9]
    assert column("model_variants", "params") == [88.9, 115.1, 117.3, 88.9, 86.7]
    assert column("model_variants", "ms") == [58.9, 17.4, 31.7, 22.9, 17.3]
    assert column("temporal_depth", "k400") == [75.8, 78.6, 78.8, 78.8, 78.9]
    assert column("regularisation", "epic") == [38.4, 39.6, 40.2, 41.1, 43.1, 43.7]
    assert column("resolution", "k400") == [80.3, 80.7, 81.0]
    assert column("resolution", "gflops") == [1446, 2919, 3992]
    assert column("resolution", "ms") == [58.9, 147.6, 238.8]
    for plotted in ("backbone", "tokens", "attention_order", "pooling", "temporal_init"):
        assert not any(row.printed for row in read_sweeps()[plotted].rows), "the paper prints no numbers"


def test_table_6_has_the_paper_s_rows_and_then_ours(tmp_path: Path) -> None:
    name = "k400_base_factorised_encoder"
    found = {"experiment": name, "data": "kinetics400", "views": "4x3", "paper_gflops": 284.4}
    run_folder(
        tmp_path, None, "x", f"experiment={name}", metrics={"test/acc_top1": 0.789, "test/acc_top5": 0.93}, **found
    )
    first, *rest = table6(read_runs(tmp_path))
    ours = first.lines[-1]
    assert (ours["method"], ours["by"], ours["views"]) == (name, "ours", "4x3")
    assert (ours["test/acc_top1"], ours["test/acc_top5"]) == (pytest.approx(78.9), pytest.approx(93))
    assert ours["tflops"] == pytest.approx(284.4 * 12 / 1000)
    assert [len(table.lines) for table in rest] == [8, 6, 6, 8]
    assert all("no experiment on data=" in table.notes[0] for table in rest)
    theirs = {
        (line["method"], line["test/acc_top1"], line["tflops"]) for line in first.lines if line["by"] == "the paper"
    }
    assert ("ViViT-H/14x2 (JFT)", 84.9, 47.77) in theirs
    assert ("ViViT-L/16x2 FE", 81.7, 11.94) in theirs
    epic = rest[2].lines[-1]
    assert [epic[f"test/{what}_acc_top1"] for what in ("action", "verb", "noun")] == [44.0, 66.4, 56.8]


def test_table_6_and_the_other_runs_count_one_run_a_seed_the_newest(tmp_path: Path) -> None:
    found = {"experiment": "k400_huge", "data": "kinetics400", "views": "4x3"}
    for job, seed, time, top1 in (("b", 1, "2026-03", 0.8), ("a", 1, "2026-02", 0.1), ("c", 2, "2026-01", 0.9)):
        said = ("experiment=k400_huge", f"seed={seed}", f"data.root=/{job}")
        folder = run_folder(tmp_path, None, job, *said, metrics=scored(top1), **found)
        (folder / "status.json").write_text(json.dumps({"status": "done", "time": time, "error": None}))
    runs = read_runs(tmp_path)
    ours = table6(runs)[0].lines[-1]
    (other,) = other_runs_table(runs).lines
    assert (ours["runs"], ours["test/acc_top1"]) == (2, pytest.approx(85))
    assert (other["runs"], other["top1"]) == (2, pytest.approx(85))


def test_table_6_keeps_a_sweep_s_runs_apart_because_it_sets_more_than_their_overrides_say(tmp_path: Path) -> None:
    name = "k400_base_factorised_encoder"
    said = (f"experiment={name}", "data.frames=64", "views=4x1")
    for sweep in (None, "frames_constant_tokens"):
        found = {"experiment": name, "data": "kinetics400", "metrics": scored(0.7)}
        run_folder(tmp_path, sweep, "a", *said, *(["row=64_frames", "scale=paper"] if sweep else []), **found)
    ours = [line["method"] for line in table6(read_runs(tmp_path))[0].lines if line["by"] == "ours"]
    assert ours == [f"{name} data.frames=64 views=4x1", f"{name} sweep=frames_constant_tokens row=64_frames"]


def test_the_latest_run_of_a_setting_is_named_and_linked(tmp_path: Path) -> None:
    for name, seed, time in (("old", 1, "02"), ("new", 2, "04"), ("between", 3, "03")):
        folder = run_folder(tmp_path, None, name, f"seed={seed}", metrics=scored(0.5), data="folder")
        status = json.loads((folder / "status.json").read_text())
        (folder / "status.json").write_text(json.dumps(status | {"time": f"2026-01-{time}T03:04:05+00:00"}))
    table = other_runs_table(read_runs(tmp_path))
    assert [line["run"] for line in table.lines] == ["new"]
    assert [Path(link).name for link in table.links] == ["new"]


def test_records_need_no_log_folder(tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    found = results("seeds", "a", ("seed=1",), {"metrics": scored(0.5)})
    (tmp_path / "seeds" / "a.json").write_text(json.dumps(found))
    assert [(run.is_record, run.status, run.sweep) for run in read_runs(None, tmp_path)] == [(True, "done", "seeds")]
    assert read_runs(None) == []
    text = make_report(str(tmp_path / "none"), str(tmp_path), tmp_path / "report").text
    assert "none. Recorded runs of the tables beside them: 1." in text


def test_the_rows_of_tables_and_of_dashboards_are_told_apart_by_the_same_overrides() -> None:
    said = ["model=average_pool", "weights.source=a.npz", "trainer=gpu", "seed=2", "data.root=/videos"]
    assert distinguishing_overrides(said) == distinguishing_overrides(said, "kinetics400") == said[:2]
    assert distinguishing_overrides(["data=csv", *said]) == ["data=csv", *said[:2], "data.root=/videos"]
    assert distinguishing_overrides(said, "folder") == [*said[:2], "data.root=/videos"]
