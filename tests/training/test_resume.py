"""A run that was interrupted ends, bit for bit, where one that was not ends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from vivit.data.loader import ClipLoader, TrainingLoader
from vivit.training import Curves, LastCheckpoint, Stopwatch, VideoClassifier

STEPS, EPOCHS = 5, 3


class Interrupted(Exception):
    """The power fails."""


class Power(Callback):
    """Notes the loss of every step; fails behind ``steps`` of them if it is told to."""

    def __init__(self, steps: int | None = None) -> None:
        self.steps = steps
        self.losses: dict[int, float] = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses[trainer.global_step] = float(outputs["loss"])
        if trainer.global_step == self.steps:
            raise Interrupted


def weights(module: VideoClassifier) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.network.state_dict().items()}


@pytest.mark.parametrize(("every", "lost"), [(1, 2), (1, 6), (2, 5), (2, 6), (2, 10), (3, 14)])
def test_a_resumed_run_ends_with_the_same_weights(
    every: int,
    lost: int,
    tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[[], tuple[TrainingLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:
    """Dropout, stochastic depth, mixup, schedule, optimiser, order of the data: all go on where they stood."""
    whole, power = module(), Power()
    trainer(power, epochs=EPOCHS).fit(whole, *loaders())
    file = tmp_path / "last.ckpt"

    def last() -> LastCheckpoint:
        return LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=every)

    with pytest.raises(Interrupted):
        trainer(last(), Power(lost), epochs=EPOCHS).fit(module(), *loaders())
    resumed, again = module(), Power()
    trainer(again, last(), epochs=EPOCHS).fit(resumed, *loaders(), ckpt_path=file, weights_only=True)
    assert sorted(power.losses) == list(range(1, STEPS * EPOCHS + 1))
    assert again.losses == {step: loss for step, loss in power.losses.items() if step >= min(again.losses)}
    assert min(again.losses) <= lost + 1
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(resumed).items())


def test_watches_go_on_over_a_resume(
    tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[[], tuple[TrainingLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:
    def watch() -> tuple[Stopwatch, Curves, LastCheckpoint]:
        kept = LastCheckpoint(dirpath=str(tmp_path / "kept"), every_n_train_steps=2)
        return Stopwatch(), Curves(str(tmp_path)), kept

    first = watch()
    with pytest.raises(Interrupted):
        trainer(*first, Power(8), epochs=EPOCHS).fit(module(), *loaders())
    assert [row["epoch"] for row in first[1].epochs] == [1]
    (tmp_path / "curves.png").unlink()
    stopwatch, curves, kept = watch()
    saved = torch.load(tmp_path / "kept" / "last.ckpt", weights_only=True)["callbacks"]["Stopwatch"]["train_seconds"]
    assert 0 < saved <= first[0].train_seconds
    trainer(stopwatch, curves, kept, epochs=EPOCHS).fit(
        module(), *loaders(), ckpt_path=tmp_path / "kept" / "last.ckpt", weights_only=True
    )
    assert stopwatch.train_seconds > saved
    assert stopwatch.step_seconds is not None
    assert 0 < stopwatch.step_seconds < stopwatch.train_seconds
    assert stopwatch.peak_mb > 10
    assert [row["epoch"] for row in curves.epochs] == [1, 2, 3]
    assert curves.epochs[0] == first[1].epochs[0]
    assert set(curves.epochs[2]) == {"epoch", "train/loss", "train/acc_top1", "val/loss", "val/acc_top1"}
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
