"""The moving average of the weights: what it is, step by step, in every precision, in parts of steps, over a resume."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from vivit.data.loader import ClipLoader, StatefulTrainLoader
from vivit.training import EMA, LastCheckpoint, VideoClassifier

Loaders = Callable[..., tuple[StatefulTrainLoader, ClipLoader]]
Module = Callable[..., VideoClassifier]
Trainers = Callable[..., Trainer]
Weights = dict[str, Tensor]


class Shadow(Callback):
    """Averages beside, in float64, what every step left; notes what was validated."""

    def __init__(self, decay: float, every: int = 1) -> None:
        self.decay, self.every = decay, every
        self.average: Weights = {}
        self.steps = 0
        self.trained: Weights = {}
        self.validated: list[tuple[Weights, Weights]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *others: Any) -> None:
        if trainer.global_step == self.steps:
            return
        now = {name: tensor.detach().double() for name, tensor in pl_module.network.state_dict().items()}
        left = min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.steps else 0.0
        self.average = {name: left * self.average.get(name, 0) + (1 - left) * tensor for name, tensor in now.items()}
        self.steps = trainer.global_step
        self.trained = now

    def on_validation_batch_start(self, trainer: Trainer, pl_module: LightningModule, *others: Any) -> None:
        seen = {name: tensor.detach().clone() for name, tensor in pl_module.network.state_dict().items()}
        self.validated.append((seen, self.average))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *others: Any) -> None:
        """See that validation has put the weights back, bit for bit."""
        now = pl_module.network.state_dict()
        assert all(torch.equal(now[name].double(), tensor) for name, tensor in self.trained.items())


def assert_near(found: Weights, expected: Weights, tolerance: float) -> None:
    for name, tensor in found.items():
        torch.testing.assert_close(tensor.double(), expected[name], atol=tolerance, rtol=tolerance, msg=name)


@pytest.mark.parametrize("decay", [0.999, 0.3])
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("precision", ["32-true", "bf16-true", "64-true"])
def test_ema_decay_warms_up(
    decay: float, parts: int, precision: str, tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """min(decay, (1 + n) / (10 + n)) of it is left behind n steps, whatever the weights are stored in."""
    shadow, last = Shadow(decay), LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=100)
    trainer(shadow, EMA(decay), last, epochs=4, precision=precision, accumulate_grad_batches=parts).fit(
        module(), *loaders()
    )
    assert shadow.steps == {1: 20, 2: 12}[parts]
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    kept = {name.removeprefix("network."): tensor for name, tensor in checkpoint["state_dict"].items()}
    assert {tensor.dtype for tensor in kept.values()} == {torch.float64 if precision == "64-true" else torch.float32}
    assert_near(kept, shadow.average, 1e-6)
    rounding = 4e-3 if precision == "bf16-true" else 1e-6
    for seen, average in shadow.validated:
        assert_near(seen, average, rounding)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
@pytest.mark.parametrize("parts", [1, 2])
def test_ema_resume_is_bit_for_bit(
    precision: str, parts: int, tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    class Cut(Callback):
        def on_train_batch_end(self, trainer: Trainer, *others: Any) -> None:
            if trainer.global_step == 8:
                raise KeyError

    def go_on(name: str, *callbacks: Callback, start: Path | None = None) -> dict[str, Any]:
        last = LastCheckpoint(dirpath=str(tmp_path / name), every_n_train_steps=2)
        options = {"epochs": 4, "precision": precision, "accumulate_grad_batches": parts}
        run = trainer(EMA(0.9), last, *callbacks, **options)
        run.fit(module(), *loaders(), ckpt_path=start, weights_only=True)
        return torch.load(tmp_path / name / "last.ckpt", weights_only=True)

    whole = go_on("whole")
    with pytest.raises(KeyError):
        go_on("cut", Cut())
    rest = go_on("cut", start=tmp_path / "cut" / "last.ckpt")
    for part in ("state_dict", "current_model_state", "averaging_state"):
        assert all(torch.equal(tensor, rest[part][name]) for name, tensor in whole[part].items()), part
