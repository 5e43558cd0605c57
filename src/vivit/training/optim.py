"""Optimiser and learning rate: linear warm-up, then a cosine to zero as the released code does."""

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lightning import Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

log = logging.getLogger(__name__)

LARGEST_RATE = 1e36
"""Largest learning rate: beyond it the step of AdamW overflows float32, which torch answers with a traceback."""

Group = dict[str, Any]
"""Parameters of one group of an optimiser, and what differs in it; ``scale`` multiplies the rate."""


def alike(network: nn.Module) -> list[Group]:
    """All parameters that learn, in one group, as the paper's runs have it."""
    return [{"params": [p for p in network.parameters() if p.requires_grad], "scale": 1.0}]


@dataclass(frozen=True)
class LayerDecay:
    """The closer to the input, the smaller the rate: a block keeps ``decay`` of the next one's (Clark et al. 2020).

    For fine-tuning. The head learns at the full rate, the tokeniser at the smallest; what stands between two encoders
    belongs to the last block of the first. Biases, norms, class tokens and positions are not decayed by the optimiser,
    as is usual for image transformers (BEiT, MAE).
    """

    decay: float = 0.75

    def __post_init__(self) -> None:
        if not 0 < self.decay <= 1:
            raise ValueError(
                f"decay={self.decay} must lie in (0, 1]: it is what a block's rate keeps of the next one's"
            )

    def __call__(self, network: nn.Module) -> list[Group]:
        """Sort the parameters that learn by layer, and by whether they are decayed."""
        layers = layers_of(name for name, _ in network.named_parameters())
        top = max(layers.values())
        groups: dict[tuple[int, bool], Group] = {}
        for name, parameter in network.named_parameters():
            if not parameter.requires_grad:
                continue
            spared = is_spared(name)
            group = groups.setdefault(
                (layers[name], spared), {"params": [], "scale": self.decay ** (top - layers[name])}
            )
            group["params"].append(parameter)
            if spared:
                group["weight_decay"] = 0.0
        return list(groups.values())


def is_spared(name: str) -> bool:
    """Whether a parameter is a bias, a norm's, a class token or positions: by its name, since shards are flat."""
    *_, module, own = ("", *name.split("."))
    return own in ("bias", "cls", "positions") or module.startswith("norm")


def layers_of(names: Iterable[str]) -> dict[str, int]:
    """Number the layer of every parameter by its name: tokeniser 0, blocks 1 to L over all encoders, then the rest."""
    layers: dict[str, int] = {}
    block, before = 0, ""
    for name in names:
        encoder, _, inside = name.partition(".blocks.")
        here = f"{encoder}.{inside.split('.')[0]}" if inside else ""
        block += bool(inside) and here != before
        before = here or before
        layers[name] = block
    last = [name for name, layer in layers.items() if layer == block and ".blocks." not in name]
    return layers | dict.fromkeys(last, block + 1)


@dataclass(frozen=True)
class Recipe:
    """An optimiser, partial but for its parameters; its warm-up in epochs; how the parameters are grouped."""

    optimiser: Callable[..., Optimizer]
    warmup_epochs: float = 2.5
    groups: Callable[[nn.Module], list[Group]] = alike

    def __call__(self, network: nn.Module, *, steps: int, of_an_epoch: int) -> tuple[Optimizer, LambdaLR]:
        """Make both for a run of ``steps`` steps, ``of_an_epoch`` of them an epoch."""
        warmup = self.warmup(steps=steps, of_an_epoch=of_an_epoch)
        if warmup != int(self.warmup_epochs * of_an_epoch):
            rank_zero_only(log.warning)(
                "optim.warmup_epochs=%s would leave nothing of a run of %d steps, %d of them an epoch: the rate warms "
                "up in a tenth of them, %d",
                *(self.warmup_epochs, steps, of_an_epoch, warmup),
            )
        groups = self.groups(network)

        def factor(scale: float) -> Callable[[int], float]:
            return lambda step: scale * warmup_cosine(step, warmup, steps)

        scales = [group["scale"] for group in groups]
        optimiser = self.optimiser(groups)
        if (rate := optimiser.defaults["lr"]) > LARGEST_RATE:
            raise ValueError(f"optim.optimiser.lr={rate}: is more than {LARGEST_RATE:g}; set one such as 1e-3")
        return optimiser, LambdaLR(optimiser, [factor(scale) for scale in scales])

    def warmup(self, *, steps: int, of_an_epoch: int) -> int:
        """Count the steps of the warm-up: one that would not end before the run does becomes a tenth of the run."""
        planned = int(self.warmup_epochs * of_an_epoch)
        return planned if planned < steps else steps // 10


def steps_of(trainer: Trainer) -> dict[str, int]:
    """Count the steps of a whole run and ``of_an_epoch``, however the run is limited; ValueError where it has no end.

    Whether ``max_epochs`` or ``max_steps`` ends it, an epoch is as long as its data.
    """
    if trainer.max_epochs == trainer.max_steps == -1:
        raise ValueError(
            "neither trainer.max_epochs nor trainer.max_steps ends this run, and the learning rate falls towards its "
            "end: set trainer.max_epochs or +trainer.max_steps, beside trainer.max_time too"
        )
    if trainer.limit_train_batches == 0:
        raise ValueError("trainer.limit_train_batches=0 leaves nothing to train on; src/eval.py tests a checkpoint")
    trainer.fit_loop.setup_data()
    of_an_epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
    return {"steps": int(trainer.estimated_stepping_batches), "of_an_epoch": of_an_epoch}


def warmup_cosine(step: int, warmup: int, steps: int) -> float:
    """Factor of the base rate at ``step``, counted from 0: min(1, s / w) (1 + cos(pi max(0, s - w) / (S - w))) / 2.

    With a warm-up the first step's rate is 0, as in the reference. Its last step is S - 1; behind it the rate stays 0.
    """
    progress = min(max(0, step - warmup) / (steps - warmup), 1.0)
    return min(1.0, step / warmup if warmup else 1.0) * 0.5 * (1 + math.cos(math.pi * progress))
