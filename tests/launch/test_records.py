"""A finished job of a row leaves a small record, and one that has a record need not run; a folder holds one job."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from vivit.errors import ConfigError
from vivit.io import write_json
from vivit.launch.job import Job
from vivit.launch.job_identity import identity
from vivit.launch.records import check_same_job, read_record, write_job_file, write_record
from vivit.run_folder import write_status
from vivit.sweeps import read_sweeps

SWEEP = read_sweeps()["pooling"]
OVERRIDES = ["sweep=pooling", "row=cls", *SWEEP.job_overrides(SWEEP.rows[0], "laptop"), "seed=1"]
RESULTS = {"metrics": {"test/acc_top1": 0.5}, "config": {"seed": 1}, "commit": "abc", "overrides": OVERRIDES}


def asked(folder: Path, skip: bool = True, **more: object) -> DictConfig:
    return OmegaConf.create({"records": str(folder), "skip_recorded": skip, "paths": {}, "seed": 1, **more})


def job_of(logs: Path, *typed: str, data_format: int | None = None) -> Job:
    own = identity(SWEEP, SWEEP.rows[0], "laptop", [*OVERRIDES, *typed], data_format)
    return Job(logs / "pooling" / own.name, {}, [*OVERRIDES, *typed], "pooling", identity=own)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job that is done."""
    done = job_of(tmp_path / "logs")
    done.folder.mkdir(parents=True)
    write_json(done.folder / "results.json", RESULTS)
    write_status(done.folder, "done")
    return done


def test_a_record_has_all_but_the_configuration(job: Job, tmp_path: Path) -> None:
    write_record(asked(tmp_path / "kept"), job)
    file = tmp_path / "kept" / "pooling" / "cls_seed-1.json"
    kept = json.loads(file.read_text())
    assert kept.pop("finished") == json.loads((job.folder / "status.json").read_text())["time"]
    assert kept == {key: value for key, value in RESULTS.items() if key != "config"}
    assert read_record(asked(tmp_path / "kept"), job) == json.loads(file.read_text())
    assert read_record(asked(tmp_path / "kept", skip=False), job) is None
    assert read_record(asked(tmp_path / "elsewhere"), job) is None


@pytest.mark.parametrize(
    "typed", ["trainer=gpu", "data.num_workers=7", "paths.logs=/x", "data.root=/x", "ckpt_path=auto"]
)
def test_where_and_how_fast_a_job_runs_makes_no_other_job(typed: str, job: Job, tmp_path: Path) -> None:
    write_record(asked(tmp_path), job)
    assert read_record(asked(tmp_path), job_of(tmp_path, typed)) is not None


@pytest.mark.parametrize("typed", ["optim.optimizer.lr=1e-4", "trainer.precision=bf16-mixed", "model.depth=3"])
def test_what_decides_the_result_makes_another_job(typed: str, job: Job, tmp_path: Path) -> None:
    write_record(asked(tmp_path), job)
    other = job_of(tmp_path, typed)
    assert other.folder.name != job.folder.name
    assert read_record(asked(tmp_path), other) is None


def test_a_record_of_other_settings_or_data_is_replaced(job: Job, tmp_path: Path) -> None:
    """Of the same row and seed: its file was changed since, or the videos are drawn otherwise."""
    write_record(asked(tmp_path), job)
    newer = job_of(tmp_path / "logs", data_format=3)
    assert newer.folder == job.folder
    assert read_record(asked(tmp_path), newer) is None
    assert job.identity is not None
    changed = replace(job, identity=replace(job.identity, overrides=("model.pool=cls", "trainer.max_epochs=5")))
    assert read_record(asked(tmp_path), changed) is None
    write_json(job.folder / "results.json", RESULTS | {"data_format": 3, "metrics": {"test/acc_top1": 0.7}})
    write_record(asked(tmp_path), newer)
    record = read_record(asked(tmp_path), newer)
    assert record is not None
    assert record["metrics"] == {"test/acc_top1": 0.7}


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_what_is_not_done_leaves_none(status: str, job: Job, tmp_path: Path) -> None:
    write_status(job.folder, status, "why")
    write_record(asked(tmp_path / "kept"), job)
    assert not (tmp_path / "kept").exists()


def test_what_is_no_row_leaves_none(job: Job, tmp_path: Path) -> None:
    write_record(asked(tmp_path / "kept"), Job(job.folder, {}, [], None))
    write_record(OmegaConf.create({"records": None, "skip_recorded": True}), job)
    assert not (tmp_path / "kept").exists()


def test_a_broken_record_is_named(job: Job, tmp_path: Path) -> None:
    file = tmp_path / "pooling" / "cls_seed-1.json"
    file.parent.mkdir()
    file.write_text("{")
    with pytest.raises(ConfigError) as refused:
        read_record(asked(tmp_path), job)
    assert (refused.value.key, refused.value.value) == ("records", file)


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_a_damaged_job_file_is_named(text: str, job: Job, tmp_path: Path) -> None:
    (job.folder / "job.json").write_text(text)
    with pytest.raises(ConfigError) as refused:
        check_same_job(asked(tmp_path), job)
    assert refused.value.value == job.folder / "job.json"


def test_a_folder_holds_its_job_with_its_settings(job: Job, tmp_path: Path) -> None:
    cfg = asked(tmp_path, trainer={"max_epochs": 4, "accelerator": "cpu"}, optim={"lr": 0.1})
    write_job_file(cfg, job)
    check_same_job(cfg, job)
    check_same_job(asked(tmp_path, trainer={"max_epochs": 4, "accelerator": "gpu"}, optim={"lr": 0.1, "new": 1}), job)
    for changed in ({"trainer": {"max_epochs": 6}, "optim": {"lr": 0.1}}, {"optim": {"lr": 0.2}}):
        with pytest.raises(ConfigError) as refused:
            check_same_job(asked(tmp_path, **changed), job)
        assert (refused.value.key, refused.value.value) == ("hydra.sweep.dir", job.folder)
    (job.folder / "results.json").unlink()
    check_same_job(asked(tmp_path, optim={"lr": 0.2}), job)  # which failed before its first checkpoint
