"""What is counted along an epoch goes on over a resume, or begins anew with the start, as it should."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from test_ranks import fit, in_two_ranks

from vivit.data.loader import ClipLoader, StatefulTrainLoader
from vivit.structures import Batch, DecodeFailure
from vivit.training import EMA, AtomicCheckpointIO, LastCheckpoint, LRFinder, ThroughputMonitor, VideoClassifier

Loaders = Callable[..., tuple[StatefulTrainLoader, ClipLoader]]
Module = Callable[..., VideoClassifier]
Trainers = Callable[..., Trainer]
STEPS = 5


class Cut(Callback):
    """The power fails when step ``step`` would begin."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, *others: Any) -> None:
        if trainer.global_step == self.step:
            raise KeyError


class Counted(Callback):
    """Notes, behind every epoch, how many videos were bad."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if "train/bad_videos" in trainer.callback_metrics:
            self.found.append(float(trainer.callback_metrics["train/bad_videos"]))

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.found.append(float(trainer.callback_metrics["train/bad_videos"]))


def with_bad_ones(module: VideoClassifier, rank: int = 0) -> VideoClassifier:
    """Have batch ``i`` of every epoch tell of ``i`` videos that could not be read, one more on each further rank."""
    step = module.training_step

    def training_step(batch: Batch, batch_idx: int) -> Any:
        bad = (DecodeFailure(0, "0.mp4: cannot be read"),) * (batch_idx + rank)
        return step(batch._replace(bad=bad), batch_idx)

    module.training_step = training_step  # type: ignore[method-assign]
    return module


@pytest.mark.parametrize("cut", [2, 5, 8])
def test_bad_videos_are_counted_over_a_resume(
    cut: int, tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    def last() -> LastCheckpoint:
        return LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=1)

    with pytest.raises(KeyError):
        trainer(last(), Cut(cut), epochs=2).fit(with_bad_ones(module()), *loaders())
    counted = Counted()
    run = trainer(counted, last(), epochs=2)
    run.fit(with_bad_ones(module()), *loaders(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert counted.found == ([10, 10] if cut < STEPS else [10])[: len(counted.found)]
    assert float(run.callback_metrics["train/bad_videos"]) == 0 + 1 + 2 + 3 + 4


def counted_by_ranks(rank: int, folder: Path) -> float:
    """Train two epochs of ten steps as one of two ranks, cut within the first; give what the last counted."""

    class Bad(Callback):
        def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
            with_bad_ones(pl_module, rank)

    options: dict[str, Any] = {"enable_checkpointing": True, "plugins": [AtomicCheckpointIO()], "max_epochs": 1}

    def last() -> LastCheckpoint:
        return LastCheckpoint(dirpath=str(folder / "kept"), every_n_train_steps=1)

    try:
        fit("average_pool", rank, 2, Bad(), last(), Cut(6), **options)
    except KeyError:
        torch.distributed.destroy_process_group()
    run, _ = fit("average_pool", rank, 2, Bad(), last(), start=folder / "kept" / "last.ckpt", **options)
    return float(run.callback_metrics["train/bad_videos"])


@pytest.mark.slow
def test_bad_videos_of_two_ranks_are_summed(tmp_path: Path) -> None:
    assert in_two_ranks(counted_by_ranks, tmp_path) == [45 + 55, 45 + 55]


def test_throughput_counts_from_the_resume_on(
    tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """Nothing between the machine's start and the run's is a wait for data."""

    def watch() -> tuple[ThroughputMonitor, LastCheckpoint]:
        return ThroughputMonitor(), LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=1)

    with pytest.raises(KeyError):
        trainer(*watch(), Cut(7), epochs=2).fit(module(), *loaders())
    stopwatch, last = watch()
    began = time.perf_counter()
    trainer(stopwatch, last, epochs=2).fit(module(), *loaders(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    passed = time.perf_counter() - began
    assert stopwatch._total.clips == 4 * 3, "three steps were left"
    assert 0 < stopwatch._total.wait + stopwatch._total.work < passed
    assert stopwatch.speed()["clips_per_second"] > 4 * 3 / passed


@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`")
def test_ema_checkpoint_resumes_without_ema(
    tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """Bit for bit as without the average from the start."""
    whole, rest = module(), module()
    trainer(epochs=2).fit(whole, *loaders())
    last = LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=1)
    with pytest.raises(KeyError):
        trainer(EMA(), last, Cut(7), epochs=2).fit(module(), *loaders())
    trainer(epochs=2).fit(rest, *loaders(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    expected = whole.network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in rest.network.state_dict().items())


def test_lr_finder_leaves_the_ema_in_place(
    module: Module, loaders: Loaders, trainer: Trainers, caplog: pytest.LogCaptureFixture
) -> None:
    """It puts everything back from a checkpoint of its own, while nobody else is there."""
    finder = LRFinder(min_lr=1e-5, max_lr=0.5, num_training_steps=20)
    trainer(finder, EMA(), epochs=5).fit(module(), *loaders())
    assert "is ignored" not in caplog.text
    assert "from here on" not in caplog.text
