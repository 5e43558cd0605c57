"""Random numbers of a step as a function of (seed, step, position in the global batch)."""

from typing import Literal

import numpy as np
import torch
from torch import nn

from vivit.models.blocks import StochasticDepth

USES = ("dropout", "stochastic depth", "mixup")


def step_generator(
    seed: int, step: int, use: Literal["dropout", "stochastic depth", "mixup"], part: int = 0
) -> np.random.Generator:
    """Return the generator of one use in one step; different uses never share numbers."""
    return np.random.default_rng([seed, step, USES.index(use), part])


def draw_stochastic_depth(network: nn.Module, rng: np.random.Generator, clips: int, part: int, parts: int) -> None:
    """Set ``uniforms`` of every StochasticDepth to those of one part of the global batch, which has ``parts``."""
    rows = slice(part * clips, (part + 1) * clips)
    for module in network.modules():
        if isinstance(module, StochasticDepth):
            module.uniforms = torch.from_numpy(rng.random(clips * parts, np.float32)[rows])
