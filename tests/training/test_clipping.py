"""Gradients are clipped as Lightning clips them, also where Lightning refuses to."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.plugins import MixedPrecision
from torch import Tensor

from vivit.data.loader import ClipLoader, StatefulTrainLoader
from vivit.errors import ConfigError
from vivit.training import NaNCheck, OptimizerConfig, VideoClassifier
from vivit.training.clipping import total_norm

Loaders = Callable[..., tuple[StatefulTrainLoader, ClipLoader]]
Module = Callable[..., VideoClassifier]
Trainers = Callable[..., Trainer]
NORM = 0.05
"""Every gradient of the small network is longer."""


class Norms(Callback):
    """Notes the norm of every step's gradient before and behind the clipping."""

    def __init__(self) -> None:
        self.before: list[float] = []
        self.behind: list[float] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        self.before.append(float(total_norm(optimizer, 2.0)))

    def on_train_batch_end(self, trainer: Trainer, *others: Any) -> None:
        self.behind.append(float(total_norm(trainer.optimizers[0], 2.0)))


def with_optimizer(module: VideoClassifier, optimizer: Any, **options: Any) -> VideoClassifier:
    module.optimizer_config = OptimizerConfig(partial(optimizer, lr=0.01), 0.5, **options)
    return module


@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD])
def test_fused_optimizers_are_clipped_in_bfloat16(
    optimizer: Any, watched: bool, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """Whether or not somebody has asked for the norm before."""
    norms = Norms()
    watches = [norms, NaNCheck()] if watched else [norms]
    run = trainer(*watches, epochs=1, precision="bf16-mixed", gradient_clip_val=NORM)
    run.fit(with_optimizer(module(), optimizer, fused=True), *loaders())
    assert run.optimizers[0].param_groups[0]["fused"]
    assert min(norms.before) > 2 * NORM
    assert norms.behind == pytest.approx([NORM] * 5, rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"gradient_clip_val": NORM},
        {"gradient_clip_val": 0.002, "gradient_clip_algorithm": "value"},
        {"gradient_clip_val": 1000.0},
        {"gradient_clip_val": None},
        {"gradient_clip_val": NORM, "precision": "bf16-true"},
    ],
    ids=str,
)
def test_clipping_equals_lightning_s_bit_for_bit(
    options: dict[str, Any], module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    def weights(net: VideoClassifier, *watches: Callback) -> dict[str, Tensor]:
        trainer(*watches, epochs=2, **options).fit(net, *loaders())
        return net.network.state_dict()

    theirs = with_optimizer(module(), torch.optim.SGD)
    theirs.configure_gradient_clipping = partial(LightningModule.configure_gradient_clipping, theirs)
    expected = weights(theirs)
    for watches in ([], [NaNCheck()]):
        clipped = weights(with_optimizer(module(), torch.optim.SGD), *watches)
        assert all(torch.equal(tensor, expected[name]) for name, tensor in clipped.items())


def test_clipping_by_a_fused_optimizer_behind_a_gradient_scaler_is_refused(
    module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    scaled = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    with pytest.raises(ConfigError) as error:
        trainer(epochs=1, plugins=[scaled]).fit(with_optimizer(module(), torch.optim.AdamW, fused=True), *loaders())
    assert (error.value.key, error.value.value) == ("optim.fused", True)
