"""What one key switches on does what it says, on all four models, and leaves plain checkpoints."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from torch import Tensor, nn

from vivit.data.loader import ClipLoader, StatefulTrainLoader
from vivit.errors import ConfigError
from vivit.models.blocks import MLP
from vivit.training import EMA, LRFinder, OptimizerConfig, VideoClassifier

Loaders = Callable[..., tuple[StatefulTrainLoader, ClipLoader]]
Module = Callable[..., VideoClassifier]
Trainers = Callable[..., Trainer]
Weights = dict[str, Tensor]

every_model = pytest.mark.parametrize(
    "model", ["spatiotemporal", "factorised_encoder", "factorised_self_attention", "factorised_dot_product"]
)


class Losses(Callback):
    """Notes the loss and the weights of every step."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.weights: list[Weights] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, outputs: Any, *others: Any) -> None:
        self.losses.append(float(outputs["loss"]))
        self.weights.append(weights(pl_module))


def weights(module: Any) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in module.network.state_dict().items()}


def assert_same(found: Weights, expected: Weights, tolerance: float = 0.0) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, expected[name], atol=tolerance, rtol=0, msg=name)


def steady(module: VideoClassifier, depth: float) -> VideoClassifier:
    """Let rounding stay rounding: SGD, where AdamW makes steps of gradients that are zero but for it."""
    module.optimizer_config = OptimizerConfig(partial(torch.optim.SGD, lr=0.3, momentum=0.9), 0.5)
    for part in module.network.modules():
        if hasattr(part, "set_stochastic_depth"):
            part.set_stochastic_depth(depth)
    return module


@every_model
def test_mixed_precision_computes_in_bfloat16_and_keeps_weights_in_float32(
    model: str, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    plain, mixed, seen = Losses(), Losses(), set()
    trainer(plain, epochs=1).fit(module(model=model), *loaders())
    net = module(model=model)
    for part in net.network.modules():
        if isinstance(part, nn.Linear):
            part.register_forward_hook(lambda part, args, out: seen.add(out.dtype))
    trainer(mixed, epochs=1, precision="bf16-mixed").fit(net, *loaders())
    assert seen == {torch.bfloat16}
    assert {tensor.dtype for tensor in mixed.weights[-1].values()} == {torch.float32}
    assert mixed.losses == pytest.approx(plain.losses, rel=0.05)
    assert mixed.losses != plain.losses


@every_model
def test_accumulation_equals_the_full_batch(model: str, module: Module, loaders: Loaders, trainer: Trainers) -> None:
    """With stochastic depth on: what is dropped belongs to the clip's place in the batch that the parts make up."""
    whole, parts = Losses(), Losses()

    def net() -> VideoClassifier:
        return steady(module(model=model, mixup=0.0, strength=0.0), depth=0.5)

    trainer(whole, epochs=2).fit(net(), *loaders(8))
    trainer(parts, epochs=2, accumulate_grad_batches=2, limit_train_batches=4).fit(net(), *loaders(4))
    assert len(whole.losses) == 4
    assert len(parts.losses) == 8
    assert_same(parts.weights[-1], whole.weights[-1], 1e-5)


@every_model
def test_gradient_checkpointing_saves_memory_and_learns_the_same(
    model: str, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """Bit for bit, with dropout and stochastic depth on: a block's inside is computed again with the same draws."""
    kept: dict[bool, int] = {}
    passes: dict[bool, int] = {}
    runs = {}
    for checkpointing in (False, True):
        seen: dict[int, bool] = {}
        sizes: list[int] = []
        losses = Losses()
        net = module(model=model, checkpointing=checkpointing)
        mlps = [part for part in net.network.modules() if isinstance(part, MLP)]
        for mlp in mlps:
            mlp.register_forward_pre_hook(lambda mlp, args, seen=seen: seen.update({len(seen): mlp.training}))
        with torch.autograd.graph.saved_tensors_hooks(lambda x, sizes=sizes: sizes.append(x.numel()) or x, lambda x: x):
            trainer(losses, epochs=1).fit(net, *loaders())
        kept[checkpointing], runs[checkpointing] = sum(sizes), losses
        passes[checkpointing] = sum(seen.values())
    assert kept[True] < 0.6 * kept[False]
    assert passes[True] == 2 * passes[False] > 0
    assert runs[True].losses == runs[False].losses
    assert_same(runs[True].weights[-1], runs[False].weights[-1])


@pytest.mark.slow
def test_a_compiled_network_learns_the_same_and_keeps_its_names() -> None:
    """In a process of its own: torch.compile cannot follow the shape and type checks of this one."""
    plain = ("-o", "addopts=", "-o", "filterwarnings=", "-p", "no:cacheprovider")
    cases = Path(__file__).with_name("compiled.py")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *plain, str(cases)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@every_model
def test_ema_is_validated_saved_and_tested(
    model: str, tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    losses, net, seen = Losses(), module(model=model), {}
    best = ModelCheckpoint(dirpath=tmp_path, filename="best", monitor="val/loss")

    class Look(Callback):
        def on_validation_batch_start(self, trainer: Trainer, pl_module: LightningModule, *others: Any) -> None:
            seen["val"] = weights(pl_module)

        def on_test_batch_start(self, trainer: Trainer, pl_module: LightningModule, *others: Any) -> None:
            seen["test"] = weights(pl_module)

    run = trainer(losses, EMA(decay=0.8), best, Look(), epochs=1)
    run.fit(net, *loaders())
    average = losses.weights[0]
    for n, later in enumerate(losses.weights[1:], 1):
        left = min(0.8, (1 + n) / (10 + n))
        average = {name: left * average[name] + (1 - left) * tensor for name, tensor in later.items()}
    checkpoint = torch.load(tmp_path / "best.ckpt", weights_only=True)
    run.test(net, loaders()[1], ckpt_path=str(tmp_path / "best.ckpt"), verbose=False, weights_only=True)
    kept = {name.removeprefix("network."): tensor for name, tensor in checkpoint["state_dict"].items()}
    for found in (seen["val"], kept, seen["test"], weights(net)):
        assert_same(found, average, 1e-6)
    trained = {name.removeprefix("network."): tensor for name, tensor in checkpoint["current_model_state"].items()}
    assert_same(trained, losses.weights[-1])


@every_model
def test_early_stopping_stops(model: str, module: Module, loaders: Loaders, trainer: Trainers) -> None:
    """At a rate of zero nothing improves."""
    run = trainer(EarlyStopping("val/acc_top1", mode="max", patience=2), epochs=9)
    run.fit(module(model=model, rate=0.0), *loaders())
    assert run.current_epoch == 3


@pytest.mark.slow
@every_model
def test_lr_finder_restores_everything_but_the_rate(
    model: str, module: Module, loaders: Loaders, trainer: Trainers, tmp_path: Path
) -> None:
    """What follows is the run that starts with the rate it found."""
    found, told = Losses(), Losses()
    finder = LRFinder(min_lr=1e-5, max_lr=0.5, num_training_steps=20)
    run = trainer(finder, found, epochs=5)
    run.fit(module(model=model, rate=123.0), *loaders())
    rate = finder.optimal_lr.suggestion()
    assert 1e-5 < rate < 0.5
    trainer(told, epochs=5).fit(module(model=model, rate=rate), *loaders())
    assert found.losses == told.losses
    assert_same(found.weights[-1], told.weights[-1])
    assert not list(tmp_path.glob(".lr_find*"))


def test_ema_refuses_a_decay_of_one() -> None:
    with pytest.raises(ConfigError) as error:
        EMA(1.0)
    assert (error.value.key, error.value.value) == ("callbacks.ema.decay", 1.0)
