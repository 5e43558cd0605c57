"""Weights & Biases without its service: what is kept, how much of it, and that nothing breaks."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import wandb
from lightning import Trainer
from PIL import Image

from vivit.data.loader import ClipLoader, StatefulTrainLoader
from vivit.training import (
    BatchPicture,
    LastCheckpoint,
    RegularisationScheduler,
    RunMetadata,
    VideoClassifier,
    log_pictures,
    log_test_metrics,
)
from vivit.training.callbacks.wandb_media import MAX_FRAMES, MAX_SIDE, WandbMediaLogger, encode_gif, format_caption
from vivit.training.wandb_logger import ResumableWandbLogger, get_sweep_name, load_or_create_run_id

Loaders = Callable[..., tuple[StatefulTrainLoader, ClipLoader]]
Module = Callable[..., VideoClassifier]
Trainers = Callable[..., Trainer]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nobody is logged in, nothing lies outside of the test's folder, and no run is left open."""
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("NETRC", str(tmp_path / "nobody"))
    yield
    wandb.teardown()


def test_wandb_run_id_stays_with_its_folder(tmp_path: Path) -> None:
    first = load_or_create_run_id(tmp_path / "a")
    assert load_or_create_run_id(tmp_path / "a") == first
    assert load_or_create_run_id(tmp_path / "b") != first


def test_wandb_group_is_the_sweep() -> None:
    assert get_sweep_name(Path("logs/train/multiruns/seeds/seed-1_1a2b")) == "seeds"
    assert get_sweep_name(Path("logs/train/runs/2026-01-01")) is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_wandb_offline_job_is_one_run_with_curves_media_and_metadata(
    tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    folders = [tmp_path / "multiruns" / "seeds" / name for name in ("one", "two")]
    for folder in folders:
        run = ResumableWandbLogger(str(folder), offline=True)
        folder.mkdir(parents=True)
        watches = (
            WandbMediaLogger(clips=2, times=1),
            RegularisationScheduler(mixup=0.1),
            RunMetadata(str(folder), {"commit": "abc"}),
            LastCheckpoint(dirpath=str(folder), every_n_train_steps=5),
            BatchPicture(str(folder)),
        )
        net = module()
        net.record = {**net.record, "classes": {"label": ["a", "b", "c"]}}
        fit = trainer(*watches, epochs=2, log_every_n_steps=1)
        fit.loggers = [run]
        fit.fit(net, *loaders())
        fit.test(net, loaders()[1], verbose=False)
        log_test_metrics(fit, {"test/acc_top1": 0.5})
        log_pictures(fit, {"test/mistakes": folder / "batch.png", "test/gone": folder / "gone.png"})
        experiment = run.experiment
        assert experiment.id == load_or_create_run_id(folder)
        assert experiment.name == folder.name
        assert experiment.group == "seeds"
        assert experiment.config["commit"] == "abc"
        summary = dict(experiment.summary)
        assert {
            "trainer/global_step",
            "strength/mixup",
            "train/learning_rate",
            "val/acc_top1",
            "test/acc_top1",
        } <= summary.keys()
        wandb.finish()
        (kept,) = (folder / "wandb").glob("offline-run-*")
        files = [file for file in kept.rglob("*") if file.is_file()]
        assert len([file for file in files if file.suffix == ".gif"]) == 4, "two clips in training, two after the test"
        pictures = {file.name.split("_")[0] for file in files if file.suffix == ".png"}
        assert pictures == {"label", "batch", "mistakes"}, "a matrix of the validation, and those of the run folder"
        assert sum(file.stat().st_size for file in files) < 2e6
    assert load_or_create_run_id(folders[0]) != load_or_create_run_id(folders[1])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_wandb_service_that_cannot_be_reached_breaks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begin = wandb.init

    def unreachable(**settings: object) -> object:
        if settings.get("mode") != "offline":
            raise wandb.errors.CommError("no route to host")
        return begin(**settings)

    monkeypatch.setattr(wandb, "init", unreachable)
    run = ResumableWandbLogger(str(tmp_path / "run"))
    run.log_metrics({"train/loss": 0.5}, step=3)
    assert "W&B cannot be reached" in caplog.text
    assert "no route to host" in caplog.text
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))


def test_wandb_clip_is_subsampled() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (40, 130, 300, 3), np.uint8)
    with Image.open(encode_gif(frames)) as picture:
        assert picture.n_frames <= MAX_FRAMES
        assert max(picture.size) <= MAX_SIDE
        assert picture.size == (100, 44)


def test_wandb_caption_has_predicted_and_true_class() -> None:
    assert (
        format_caption(torch.tensor([0.0, np.log(3.0), -torch.inf]), 0, ["up", "down", "left"]) == "down (75 %), is up"
    )


def test_run_metadata_is_written_when_the_run_starts(
    tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    trainer(RunMetadata(str(tmp_path / "new"), {"commit": "abc"}), epochs=2, limit_train_batches=3).fit(
        module(), *loaders()
    )
    known = json.loads((tmp_path / "new" / "run_metadata.json").read_text())
    assert known["commit"] == "abc"
    assert known["videos"] == {"train": 22, "val": 6}
    assert known["steps"] == 6
    assert known["started_at_step"] == 0
    assert known["devices"] == ["cpu", 1]
    assert known["model"] == "factorised_encoder"
