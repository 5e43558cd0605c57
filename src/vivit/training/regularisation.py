"""Regularisation strengths: schedules over training progress, their ranges, and how each is set in a module.

Progress runs from 0 at the first step to 1 behind the last. A schedule depends on it alone, so that a resumed run and
a worker that lives through epochs see the same.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from vivit.errors import ConfigError
from vivit.models.attention import Attention
from vivit.models.encoder import Encoder

Schedule = Callable[[float], float]


@dataclass(frozen=True)
class Constant:
    """One strength throughout."""

    value: float

    def __call__(self, progress: float) -> float:
        """Return the strength at ``progress``."""
        return self.value


@dataclass(frozen=True)
class Interpolated(ABC):
    """A strength from ``start`` to ``end`` between two moments, ``begin`` and ``until``, and level outside."""

    start: float
    end: float
    begin: float = 0.0
    until: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.begin < self.until <= 1:
            raise ConfigError(
                "begin", self.begin, f"does not lie before until={self.until} within [0, 1]",
                "set both as shares of training, begin the smaller",
            )  # fmt: skip

    def __call__(self, progress: float) -> float:
        """Return the strength at ``progress``."""
        t = min(max((progress - self.begin) / (self.until - self.begin), 0.0), 1.0)
        return self.start + (self.end - self.start) * self.ease(t)

    @abstractmethod
    def ease(self, t: float) -> float:
        """Return the share of the change after a share ``t`` of the time, both in [0, 1]."""


@dataclass(frozen=True)
class Linear(Interpolated):
    """Straight from ``start`` to ``end``."""

    def ease(self, t: float) -> float:
        """Return ``t``."""
        return t


@dataclass(frozen=True)
class Cosine(Interpolated):
    """From ``start`` to ``end`` along half a cosine, level at both ends."""

    def ease(self, t: float) -> float:
        """Return (1 - cos(pi t)) / 2."""
        return (1 - math.cos(math.pi * t)) / 2


@dataclass(frozen=True)
class Steps:
    """``values[i]`` from the moment ``at[i - 1]`` on; the first from the start."""

    values: Sequence[float]
    at: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.at) + 1 or list(self.at) != sorted(self.at):
            raise ConfigError(
                "at", list(self.at), f"does not fit values={list(self.values)}",
                "set one moment, in ascending order, between every two values",
            )  # fmt: skip

    def __call__(self, progress: float) -> float:
        """Return the strength at ``progress``."""
        return self.values[sum(progress >= moment for moment in self.at)]


def set_stochastic_depth(module: Any, strength: float) -> None:
    """Set the rate of the last layer of every encoder; those below follow linearly."""
    for part in module.network.modules():
        if isinstance(part, Encoder):
            part.set_stochastic_depth(strength)


def set_dropout(module: Any, strength: float) -> None:
    """Set the rate of every dropout except that of attention weights."""
    for part in module.network.modules():
        if isinstance(part, nn.Dropout):
            part.p = strength


def set_attention_dropout(module: Any, strength: float) -> None:
    """Set the dropout of attention weights."""
    for part in module.network.modules():
        if isinstance(part, Attention):
            part.attention_dropout = strength


def set_mixup(module: Any, strength: float) -> None:
    """Set the parameter of the Beta distribution."""
    module.loss.mixup = strength


def set_label_smoothing(module: Any, strength: float) -> None:
    """Set the probability that is spread over all classes."""
    module.loss.label_smoothing = strength


SETTERS: Mapping[str, Callable[[Any, float], None]] = {
    "stochastic_depth": set_stochastic_depth,
    "dropout": set_dropout,
    "attention_dropout": set_attention_dropout,
    "mixup": set_mixup,
    "label_smoothing": set_label_smoothing,
}


def check_range(name: str, schedule: Schedule) -> None:
    """Raise ConfigError for a strength that the regulariser cannot have, at any percent of training."""
    for percent in range(101):
        strength = schedule(percent / 100)
        if strength < 0 or (name != "mixup" and strength > 1) or (name == "label_smoothing" and strength == 1):
            limits = "at least 0" if name == "mixup" else "in [0, 1]" if name != "label_smoothing" else "in [0, 1)"
            raise ConfigError(
                f"callbacks.regularisation.{name}", strength, f"is reached after {percent} % of training",
                f"set strengths {limits}",
            )  # fmt: skip


def max_strength(schedule: Schedule) -> float:
    """Return the highest strength along training, at the resolution of one percent."""
    return max(schedule(percent / 100) for percent in range(101))
