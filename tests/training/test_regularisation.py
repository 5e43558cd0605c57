"""Regularisers along a run: set before every step, logged, and the same after a resume."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Callback, LightningDataModule, LightningModule, Trainer
from torch import Tensor, nn

from vivit.data.loader import ClipLoader, StatefulTrainLoader
from vivit.data.transforms import RandAugment
from vivit.errors import ConfigError
from vivit.models.blocks import StochasticDepth
from vivit.training import LastCheckpoint, RegularisationScheduler, VideoClassifier
from vivit.training.regularisation import Cosine, Linear, Steps

Loaders = Callable[[], tuple[StatefulTrainLoader, ClipLoader]]
Module = Callable[..., VideoClassifier]
Trainers = Callable[..., Trainer]
STEPS, EPOCHS = 5, 2
MODELS = ["spatiotemporal", "factorised_encoder", "factorised_self_attention", "factorised_dot_product"]


class Cut(Exception):
    """The run ends early."""


class Seen(Callback):
    """Notes what every step was computed with, and ends the run before step ``until``."""

    def __init__(self, until: int | None = None) -> None:
        self.until = until
        self.steps: dict[int, dict[str, float]] = {}

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        if trainer.global_step == self.until:
            raise Cut
        parts = list(pl_module.network.modules())
        self.steps[trainer.global_step] = {
            "stochastic_depth": max(part.rate for part in parts if isinstance(part, StochasticDepth)),
            "least": min(part.rate for part in parts if isinstance(part, StochasticDepth)),
            "dropout": {part.p for part in parts if isinstance(part, nn.Dropout)}.pop(),
            "attention_dropout": {p.attention_dropout for p in parts if hasattr(p, "attention_dropout")}.pop(),
            "mixup": pl_module.loss.mixup,
            "label_smoothing": pl_module.loss.label_smoothing,
            "loss": float(loss.detach()),
        }


def strengths() -> RegularisationScheduler:
    return RegularisationScheduler(
        stochastic_depth=Linear(0.0, 0.5),
        dropout=Cosine(0.4, 0.0),
        attention_dropout=0.25,
        mixup=Steps([0.0, 0.3], at=[0.5]),
        label_smoothing=Linear(0.2, 0.0, until=0.5),
    )


@pytest.mark.parametrize("model", MODELS)
def test_regularisation_strengths_follow_their_schedules(
    model: str, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    seen = Seen()
    trainer(strengths(), seen, epochs=EPOCHS).fit(module(model=model), *loaders())
    assert sorted(seen.steps) == list(range(STEPS * EPOCHS))
    for step, found in seen.steps.items():
        assert found["stochastic_depth"] == pytest.approx(0.05 * step)
        assert found["least"] == 0, "the ramp starts at the first block"
        assert found["attention_dropout"] == 0.25
        assert found["mixup"] == (0.3 if step >= 5 else 0.0)
        assert found["label_smoothing"] == pytest.approx(max(0.2 - 0.04 * step, 0))
    assert seen.steps[0]["dropout"] == 0.4
    assert seen.steps[5]["dropout"] == pytest.approx(0.2)


def test_regularisation_without_a_schedule_stays_as_the_model_has_it(
    module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    seen = Seen()
    trainer(RegularisationScheduler(mixup=0.1), seen, epochs=1).fit(module(strength=0.3), *loaders())
    assert {step["stochastic_depth"] for step in seen.steps.values()} == {0.3}
    assert {step["dropout"] for step in seen.steps.values()} == {0.3}
    assert {step["mixup"] for step in seen.steps.values()} == {0.1}


def test_regularisation_strengths_are_logged_with_the_learning_rate(
    module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    logged: dict[str, list[float]] = {}

    class Log(Callback):
        def on_train_batch_end(self, trainer: Trainer, *others: Any) -> None:
            for name, value in trainer.callback_metrics.items():
                logged.setdefault(name, []).append(float(value))

    trainer(strengths(), Log(), epochs=1, log_every_n_steps=1).fit(module(rate=0.01), *loaders())
    assert logged["strength/mixup"] == [0, 0, 0, pytest.approx(0.3), pytest.approx(0.3)]
    assert logged["strength/stochastic_depth"] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert logged["train/learning_rate"][0] == 0
    assert max(logged["train/learning_rate"]) == pytest.approx(0.01)


def test_rand_augment_magnitude_is_logged_as_the_workers_compute_it(
    module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    logged: list[float] = []

    class Data(LightningDataModule):
        training_view = SimpleNamespace(color_transform=RandAugment(num_ops=2, magnitude=Linear(0.0, 20.0)))

        def train_dataloader(self) -> StatefulTrainLoader:
            return loaders()[0]

        def val_dataloader(self) -> ClipLoader:
            return loaders()[1]

    class Log(Callback):
        def on_train_batch_end(self, trainer: Trainer, *others: Any) -> None:
            logged.append(float(trainer.callback_metrics["strength/rand_augment"]))

    trainer(RegularisationScheduler(), Log(), epochs=EPOCHS, log_every_n_steps=1).fit(module(), Data())
    assert logged == pytest.approx([2.0 * step for step in range(STEPS * EPOCHS)])


def test_regularisation_resumes_with_the_strengths_of_an_uninterrupted_run(
    tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    whole, cut, rest = Seen(), Seen(until=7), Seen()
    kept = {"dirpath": str(tmp_path), "every_n_train_steps": 3}
    trainer(strengths(), whole, epochs=EPOCHS).fit(module(), *loaders())
    with pytest.raises(Cut):
        trainer(strengths(), cut, LastCheckpoint(**kept), epochs=EPOCHS).fit(module(), *loaders())
    trainer(strengths(), rest, LastCheckpoint(**kept), epochs=EPOCHS).fit(
        module(), *loaders(), ckpt_path=tmp_path / "last.ckpt", weights_only=True
    )
    assert min(rest.steps) == 6
    assert cut.steps | rest.steps == whole.steps


@pytest.mark.parametrize(
    ("strength", "percent", "limits"),
    [
        ({"dropout": Linear(0.5, 1.5)}, 51, "in [0, 1]"),
        ({"mixup": -0.1}, 0, "at least 0"),
        ({"label_smoothing": Steps([0.1, 1.0], at=[0.5])}, 50, "in [0, 1)"),
    ],
)
def test_regularisation_refuses_impossible_strengths_before_training(
    strength: dict[str, Any], percent: int, limits: str
) -> None:
    with pytest.raises(ConfigError) as error:
        RegularisationScheduler(**strength)
    assert error.value.key == f"callbacks.regularisation.{next(iter(strength))}"
    assert f"after {percent} %" in str(error.value)
    assert str(error.value).endswith(limits)


@pytest.mark.parametrize(
    "limits", [{"epochs": EPOCHS, "accumulate_grad_batches": 2}, {"epochs": -1, "max_steps": STEPS * EPOCHS}], ids=str
)
def test_training_progress_counts_the_batches_before_a_step_whatever_ends_the_run(
    limits: dict[str, int], module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    depths: list[float] = []

    class Note(Callback):
        def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
            rates = [part.rate for part in pl_module.network.modules() if isinstance(part, StochasticDepth)]
            depths.append(max(rates))

    run = trainer(RegularisationScheduler(stochastic_depth=Linear(0.0, 0.5)), Note(), **limits)
    run.fit(module(), *loaders())
    parts = limits.get("accumulate_grad_batches", 1)
    first = [epoch * STEPS + batch - batch % parts for epoch in range(EPOCHS) for batch in range(STEPS)]
    assert depths == pytest.approx([0.05 * batch for batch in first])
    assert torch.is_tensor(run.callback_metrics["train/loss"])
