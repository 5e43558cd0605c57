"""A run that is resumed is its own configuration's, in its own folder."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from vivit.errors import ConfigError
from vivit.launch.job import Job
from vivit.launch.resume import check_resume, load_resumed_config

Compose = Callable[..., DictConfig]


@pytest.fixture
def folder(tmp_path: Path, composed: Compose) -> Path:
    """Folder of a run of two devices, as Hydra leaves it."""
    cfg = composed("seed=7", "trainer=ddp_cpu", "data.batch_size=6", "model=spatiotemporal", hydra=True)
    record = tmp_path / "mine" / ".hydra"
    record.mkdir(parents=True)
    hydra = OmegaConf.masked_copy(cfg, ["hydra"])
    hydra.hydra.sweep.dir = str(tmp_path)
    OmegaConf.save(hydra, record / "hydra.yaml")
    OmegaConf.save(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"]), record / "config.yaml")
    return tmp_path / "mine"


def resumed(folder: Path, composed: Compose, *overrides: str) -> tuple[DictConfig, Job]:
    said = [f"resume={folder}", *overrides]
    return load_resumed_config(composed(*said), Job(folder, {"model": "factorised_encoder"}, said, None))


def test_it_has_its_own_configuration_choices_and_overrides(folder: Path, composed: Compose) -> None:
    cfg, job = resumed(folder, composed)
    assert (cfg.seed, cfg.data.batch_size, cfg.trainer.devices) == (7, 6, 2)
    assert job.choices["model"] == "spatiotemporal"
    assert job.overrides == ["seed=7", "trainer=ddp_cpu", "data.batch_size=6", "model=spatiotemporal"]
    assert job.resumes
    assert job.folder == folder
    assert job.sweep == folder.parent.name, "it lies in a sweep's folder"


def test_where_and_how_fast_it_runs_may_be_said_anew(folder: Path, composed: Compose) -> None:
    cfg, job = resumed(folder, composed, "trainer.devices=3", "data.num_workers=5", "logger=tensorboard")
    assert (cfg.trainer.devices, cfg.data.batch_size) == (3, 6), "its task shares the step"
    assert cfg.data.num_workers == 5
    assert "tensorboard" in cfg.logger
    assert job.overrides[-3:] == ["trainer.devices=3", "data.num_workers=5", "logger=tensorboard"]


@pytest.mark.parametrize(
    ("override", "value"), [("='00:02:00:00'", "00:02:00:00"), (".hours=2", {"hours": 2}), ("=null", None)]
)
def test_more_time_may_be_given(override: str, value: object, folder: Path, composed: Compose) -> None:
    record = folder / ".hydra" / "config.yaml"
    config = OmegaConf.load(record)
    config.trainer.max_time = {"minutes": 1}
    OmegaConf.save(config, record)
    check_resume(folder, [f"resume={folder}", f"+trainer.max_time{override}"])
    cfg, _ = resumed(folder, composed, f"+trainer.max_time{override}")
    assert cfg.trainer.max_time == value
    assert resumed(folder, composed)[0].trainer.max_time == {"minutes": 1}


@pytest.mark.parametrize(
    "override", ["seed=2", "model=spatiotemporal", "+loggers.x=1", "trainer=cpu", "ckpt_path=auto"]
)
def test_all_else_is_refused(override: str, folder: Path) -> None:
    with pytest.raises(
        ConfigError, match=rf"{re.escape(override)} is refused; only trainer.devices, trainer.num_nodes,"
    ):
        check_resume(folder, [f"resume={folder}", override])
    check_resume(folder, [f"resume={folder}", "trainer.devices=2", "data.num_workers=1", "logger.csv=null"])


def test_a_run_of_another_command_is_refused(tmp_path: Path, composed: Compose) -> None:
    (tmp_path / ".hydra").mkdir()
    cfg = composed("ckpt_path=x", name="eval", hydra=True)
    OmegaConf.save(OmegaConf.masked_copy(cfg, ["hydra"]), tmp_path / ".hydra" / "hydra.yaml")
    OmegaConf.save(OmegaConf.masked_copy(cfg, [key for key in cfg if key != "hydra"]), tmp_path / ".hydra/config.yaml")
    with pytest.raises(ConfigError, match="is not a training run"):
        check_resume(tmp_path, [f"resume={tmp_path}"])


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a run folder, it has no .hydra/config.yaml"):
        check_resume(tmp_path, [])
