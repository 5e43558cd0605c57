"""Optimiser and learning rate: linear warm-up, then a cosine to zero as the released code does."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class Recipe:
    """An optimiser, partial but for its parameters, and how long its rate warms up, in epochs."""

    optimiser: Callable[..., Optimizer]
    warmup_epochs: float = 2.5

    def __call__(self, network: nn.Module, *, steps: int, epochs: int) -> tuple[Optimizer, LambdaLR]:
        """Make both for a run of ``steps`` steps in ``epochs`` epochs."""
        optimiser = self.optimiser([p for p in network.parameters() if p.requires_grad])
        warmup = int(self.warmup_epochs * steps / epochs)
        if warmup >= steps:
            raise ValueError(
                f"optim.warmup_epochs={self.warmup_epochs} leaves nothing of a run of {epochs} epochs; make it smaller"
            )
        return optimiser, LambdaLR(optimiser, lambda step: warmup_cosine(step, warmup, steps))


def warmup_cosine(step: int, warmup: int, steps: int) -> float:
    """Factor of the base rate at ``step``, counted from 0: min(1, s / w) (1 + cos(pi max(0, s - w) / (S - w))) / 2.

    With a warm-up the first step's rate is 0, as in the reference. Its last step is S - 1; behind it the rate stays 0.
    """
    progress = min(max(0, step - warmup) / (steps - warmup), 1.0)
    return min(1.0, step / warmup if warmup else 1.0) * 0.5 * (1 + math.cos(math.pi * progress))
