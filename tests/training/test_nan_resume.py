"""Gradients, weights or an average that are no numbers: nothing of them is saved, and fused optimizers take no step."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.plugins import MixedPrecision
from test_ranks import fit, in_two_ranks
from torch import Tensor

from vivit.data.loader import ClipLoader, StatefulTrainLoader
from vivit.training import (
    EMA,
    AtomicCheckpointIO,
    BestCheckpoint,
    LastCheckpoint,
    NaNCheck,
    OptimizerConfig,
    VideoClassifier,
)
from vivit.training.callbacks.nan_check import NonFiniteError

Loaders = Callable[..., tuple[StatefulTrainLoader, ClipLoader]]
Module = Callable[..., VideoClassifier]
Trainers = Callable[..., Trainer]
STEPS, EPOCHS = 5, 2
OPTIMIZERS: dict[str, Any] = {
    "AdamW": partial(torch.optim.AdamW, lr=0.01),
    "fused AdamW": partial(torch.optim.AdamW, lr=0.01, fused=True),
    "fused SGD": partial(torch.optim.SGD, lr=0.01, momentum=0.9, fused=True),
}


class BadGradient(Callback):
    """Makes one number of one gradient bad in step ``step``, as an overflow does, behind a finite loss."""

    def __init__(self, step: int, value: float = torch.inf, rank: int = 0) -> None:
        self.step, self.value, self.rank = step, value, rank

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == self.step and trainer.global_rank == self.rank:
            network: Any = pl_module.network
            next(network.parameters()).grad.view(-1)[0] = self.value


def weights(module: Any) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.network.state_dict().items()}


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


def with_optimizer(module: VideoClassifier, name: str) -> VideoClassifier:
    module.optimizer_config = OptimizerConfig(OPTIMIZERS[name], 0.5)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "step", "value", "options"),
    [
        ("AdamW", 0, torch.inf, {}),
        ("fused AdamW", 0, torch.nan, {}),
        ("AdamW", 6, -torch.inf, {"gradient_clip_val": None}),
        ("fused SGD", 6, torch.inf, {}),
        ("fused AdamW", 9, torch.inf, {"gradient_clip_val": None}),
        ("AdamW", 3, torch.inf, {"accumulate_grad_batches": 2, "epochs": 3}),
        ("fused AdamW", 8, torch.inf, {"accumulate_grad_batches": 2, "epochs": 3, "log_every_n_steps": 2}),
    ],
    ids=str,
)
def test_nan_gradient_ends_the_run_and_the_last_checkpoint_resumes(
    name: str, step: int, value: float, options: dict[str, Any],
    tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers,
) -> None:  # fmt: skip
    """In the first step, in the last, in a part of one; also where a fused optimizer left it out unread."""
    options = {"epochs": EPOCHS} | options
    of_an_epoch = -(-STEPS // options.get("accumulate_grad_batches", 1))
    every = 2

    def kept() -> tuple[NaNCheck, LastCheckpoint]:
        return NaNCheck(), LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=every)

    whole, cut, file = with_optimizer(module(), name), with_optimizer(module(), name), tmp_path / "last.ckpt"
    trainer(**options).fit(whole, *loaders())
    epoch = step // of_an_epoch + 1
    with pytest.raises(
        NonFiniteError, match=rf"finite, but the norm of its gradient is \w+ at step {step} \(epoch {epoch}\); .*lower"
    ):
        trainer(*kept(), BadGradient(step, value), **options).fit(cut, *loaders())
    if not step:
        assert not file.exists()
        file = None
    else:
        checkpoint = torch.load(file, weights_only=True)
        assert step - every < checkpoint["global_step"] <= step
        assert all(tensor.isfinite().all() for tensor in checkpoint["state_dict"].values())
    if name.startswith("fused"):
        assert all(tensor.isfinite().all() for tensor in weights(cut).values()), "the step was taken"
    rest = with_optimizer(module(), name)
    trainer(*kept(), **options).fit(rest, *loaders(), ckpt_path=file, weights_only=True)
    assert_same(weights(rest), weights(whole))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nan_check_does_not_change_a_good_run(name: str, module: Module, loaders: Loaders, trainer: Trainers) -> None:
    plain, watched = with_optimizer(module(), name), with_optimizer(module(), name)
    trainer(epochs=EPOCHS).fit(plain, *loaders())
    trainer(NaNCheck(), epochs=EPOCHS).fit(watched, *loaders())
    assert_same(weights(watched), weights(plain))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nan_check_is_read_in_steps_that_loggers_record_alone(
    name: str, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    read: list[int] = []

    class Counted(NaNCheck):
        def _raise_recorded(self, trainer: Trainer) -> None:
            read.append(trainer.global_step)
            super()._raise_recorded(trainer)

    trainer(Counted(), epochs=EPOCHS, log_every_n_steps=4).fit(with_optimizer(module(), name), *loaders())
    assert read == [3, 4, 7, 9, 10], "the last of each epoch is one, and once at the end"


def spoil(where: str, pl_module: Any, trainer: Trainer) -> None:
    """Make a number bad that no gradient shows."""
    with torch.no_grad():
        if where == "weights":
            list(pl_module.network.parameters())[-1].view(-1)[0] = torch.inf
        elif where == "a buffer":
            pl_module.network.running_mean[0] = torch.nan
        elif where == "the optimizer":
            next(iter(trainer.optimizers[0].state.values()))["exp_avg_sq"].view(-1)[0] = torch.inf
        else:
            (ema,) = (callback for callback in trainer.callbacks if isinstance(callback, EMA))
            next(ema._average_model.parameters()).view(-1)[0] = torch.nan


class Spoil(Callback):
    """Does it behind step ``step``."""

    def __init__(self, where: str, step: int) -> None:
        self.where, self.step = where, step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *others: Any) -> None:
        if trainer.global_step == self.step:
            spoil(self.where, pl_module, trainer)


@pytest.mark.parametrize("step", [4, 10])
@pytest.mark.parametrize("where", ["weights", "a buffer", "the optimizer", "the average"])
def test_nan_check_keeps_checkpoints_finite(
    where: str, step: int, tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """In mid-epoch, and behind the last step of all."""

    def net() -> VideoClassifier:
        made = module()
        made.network.register_buffer("running_mean", torch.zeros(3))
        return made

    def kept() -> tuple[Callback, ...]:
        best = BestCheckpoint(dirpath=str(tmp_path), monitor="val/loss", mode="min")
        return NaNCheck(), EMA(0.9), best, LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=2)

    whole, rest, file = net(), net(), tmp_path / "last.ckpt"
    trainer(*kept()[:2], epochs=EPOCHS).fit(whole, *loaders())
    with pytest.raises(
        NonFiniteError, match=rf"is not finite behind step {step} \(epoch {(step - 1) // STEPS + 1}\); it was not"
    ):
        trainer(Spoil(where, step), *kept(), epochs=EPOCHS).fit(net(), *loaders())
    assert torch.load(file, weights_only=True)["global_step"] == {4: 2, 10: 8}[step]
    if step > STEPS:
        assert torch.load(tmp_path / "best.ckpt", weights_only=True)["global_step"] == STEPS
    trainer(*kept(), epochs=EPOCHS).fit(rest, *loaders(), ckpt_path=file, weights_only=True)
    assert_same(weights(rest), weights(whole))


@pytest.mark.parametrize("where", ["weights", "a gradient"])
def test_nan_of_the_last_step_is_detected_without_a_checkpoint(
    where: str, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """Of the gradient only the optimizer would know."""
    bad = Spoil(where, 5) if where == "weights" else BadGradient(4)
    with pytest.raises(NonFiniteError, match=r"is not finite behind step 5|the norm of its gradient is inf at step 4"):
        trainer(bad, NaNCheck(), epochs=1).fit(with_optimizer(module(), "fused AdamW"), *loaders())


@pytest.mark.parametrize(("rate", "precision"), [(1e36, "32-true"), (1e12, "32-true"), (0.01, "16-true")])
def test_nan_weights_are_not_saved(
    rate: float, precision: str, tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """By a rate beyond all bounds, or by AdamW's epsilon, which is 0 in float16."""
    last = LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=100)
    with pytest.raises(NonFiniteError, match="is nan|is inf|is not finite"):
        trainer(NaNCheck(), last, epochs=1, precision=precision).fit(module(rate=rate), *loaders())
    assert not list(tmp_path.glob("*.ckpt"))


def test_nan_check_lets_the_gradient_scaler_skip_steps(module: Module, loaders: Loaders, trainer: Trainers) -> None:
    """That is how it finds its scale."""
    net = module()
    scaled = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    run = trainer(BadGradient(3), NaNCheck(), epochs=1, plugins=[scaled])
    run.fit(net, *loaders())
    assert run.global_step == STEPS
    assert run.precision_plugin.scaler.get_scale() < 65536
    assert all(tensor.isfinite().all() for tensor in weights(net).values())


def damaged(rank: int, folder: Path, parts: int, step: int) -> str:
    """Train as one of two ranks, the second of which alone meets a bad gradient; give what stopped it."""
    watches = NaNCheck(), LastCheckpoint(dirpath=str(folder / "kept"), every_n_train_steps=1)
    options = {"enable_checkpointing": True, "plugins": [AtomicCheckpointIO()], "accumulate_grad_batches": parts}
    try:
        fit("average_pool", rank, 2, BadGradient(step, rank=1), *watches, max_epochs=1, **options)
    except ValueError as error:
        assert getattr(error, "on_every_rank", False)
        return str(error)
    return "it went on"


@pytest.mark.slow
@pytest.mark.parametrize(("parts", "step"), [(1, 3), (2, 4)])
def test_nan_gradient_on_one_rank_stops_both_with_the_same_error(parts: int, step: int, tmp_path: Path) -> None:
    """As where each has its own shard of it; the second case is the very last step."""
    first, second = in_two_ranks(damaged, tmp_path, parts, step)
    assert first == second
    assert first.startswith(f"the loss is finite, but the norm of its gradient is inf at step {step} (epoch 1); ")
    checkpoint = torch.load(tmp_path / "kept" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == step
    assert all(tensor.isfinite().all() for tensor in checkpoint["state_dict"].values())


def test_nan_validation_loss_is_not_averaged_away(
    tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """Nothing is saved of an epoch one of whose batches of validation gives NaN, though training had none."""

    class Ill(Callback):
        def on_validation_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if trainer.current_epoch == 1 and batch_idx == 1:
                batch.labels.zero_()
                pl_module.network.register_forward_hook(lambda *_: _[-1] * torch.nan)

    best = BestCheckpoint(dirpath=str(tmp_path), monitor="val/loss", mode="min")
    last = LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=100)
    with pytest.raises(NonFiniteError, match=r"val/loss is not finite behind step 10 \(epoch 2\); it was not saved"):
        trainer(Ill(), NaNCheck(), best, last, epochs=2).fit(module(), *loaders())
    for name in ("best", "last"):
        assert torch.load(tmp_path / f"{name}.ckpt", weights_only=True)["global_step"] == STEPS
