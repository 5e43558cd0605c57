"""A finished job of a sweep leaves a small record, and one that has a record need not run."""

import json
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from vivit.errors import ConfigError
from vivit.io import write_json
from vivit.launch.job import Job
from vivit.launch.records import read_record, write_record
from vivit.run_folder import write_status

RESULTS = {"run_name": "seed-1_0badcafe", "metrics": {"test/acc_top1": 0.5}, "config": {"seed": 1}, "commit": "abc"}


def asked(folder: Path, skip: bool = True) -> DictConfig:
    return OmegaConf.create({"records": str(folder), "skip_recorded": skip})


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A job that is done."""
    folder = tmp_path / "logs" / "seeds" / RESULTS["run_name"]
    folder.mkdir(parents=True)
    write_json(folder / "results.json", RESULTS)
    write_status(folder, "done")
    return Job(folder, {}, [], "seeds")


def test_a_record_has_all_but_the_configuration(job: Job, tmp_path: Path) -> None:
    write_record(asked(tmp_path / "kept"), job)
    file = tmp_path / "kept" / "seeds" / "seed-1_0badcafe.json"
    kept = json.loads(file.read_text())
    assert kept.pop("finished") == json.loads((job.folder / "status.json").read_text())["time"]
    assert kept == {key: value for key, value in RESULTS.items() if key != "config"}
    assert read_record(asked(tmp_path / "kept"), job) == json.loads(file.read_text())
    assert read_record(asked(tmp_path / "kept", skip=False), job) is None
    assert read_record(asked(tmp_path / "elsewhere"), job) is None


def test_the_hash_says_which_job_it_is_and_not_the_words(job: Job, tmp_path: Path) -> None:
    write_record(asked(tmp_path / "kept"), job)
    other = tmp_path / "logs" / "seeds" / "model-tiny_seed-1_0badcafe"
    job.folder.rename(other)
    same = Job(other, {}, [], "seeds")
    kept = read_record(asked(tmp_path / "kept"), same)
    assert kept is not None
    assert kept["run_name"] == RESULTS["run_name"]
    write_record(asked(tmp_path / "kept"), same)
    assert [file.name for file in (tmp_path / "kept" / "seeds").iterdir()] == ["seed-1_0badcafe.json"]
    another = Job(other.with_name("seed-1_0badcaff"), {}, [], "seeds")
    assert read_record(asked(tmp_path / "kept"), another) is None


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_what_is_not_done_leaves_none(status: str, job: Job, tmp_path: Path) -> None:
    write_status(job.folder, status, "why")
    write_record(asked(tmp_path / "kept"), job)
    assert not (tmp_path / "kept").exists()


def test_a_single_run_leaves_none(job: Job, tmp_path: Path) -> None:
    write_record(asked(tmp_path / "kept"), Job(job.folder, {}, [], None))
    write_record(OmegaConf.create({"records": None, "skip_recorded": True}), job)
    assert not (tmp_path / "kept").exists()


def test_a_broken_record_is_named(job: Job, tmp_path: Path) -> None:
    file = tmp_path / "seeds" / "seed-1_0badcafe.json"
    file.parent.mkdir()
    file.write_text("{")
    with pytest.raises(ConfigError) as refused:
        read_record(asked(tmp_path), job)
    assert (refused.value.key, refused.value.value) == ("records", file)
