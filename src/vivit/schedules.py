"""Strengths as functions of training progress, which runs from 0 at the first step to 1 behind the last.

Progress alone decides, so that a resumed run and a worker that lives through epochs see the same strength.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Schedule = Callable[[float], float]


@dataclass(frozen=True)
class Constant:
    """One strength throughout."""

    value: float

    def __call__(self, progress: float) -> float:
        """Strength at ``progress``."""
        return self.value


@dataclass(frozen=True)
class Ramp(ABC):
    """What leads from ``start`` to ``end`` between two moments, ``begin`` and ``until``, and stays level outside."""

    start: float
    end: float
    begin: float = 0.0
    until: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.begin < self.until <= 1:
            raise ValueError(
                f"a schedule runs from begin={self.begin} until={self.until}; "
                "both are shares of training in [0, 1], begin the smaller"
            )

    def __call__(self, progress: float) -> float:
        """Strength at ``progress``."""
        way = min(max((progress - self.begin) / (self.until - self.begin), 0.0), 1.0)
        return self.start + (self.end - self.start) * self.bend(way)

    @abstractmethod
    def bend(self, way: float) -> float:
        """Say which share of the climb lies behind after a share ``way`` of the time."""


@dataclass(frozen=True)
class Linear(Ramp):
    """Straight from ``start`` to ``end``."""

    def bend(self, way: float) -> float:
        """As much of the climb as of the time."""
        return way


@dataclass(frozen=True)
class Cosine(Ramp):
    """From ``start`` to ``end`` along half a cosine, level at both ends."""

    def bend(self, way: float) -> float:
        """Slow, fast, slow."""
        return (1 - math.cos(math.pi * way)) / 2


@dataclass(frozen=True)
class Steps:
    """``values[i]`` from the moment ``at[i - 1]`` on; the first from the start."""

    values: Sequence[float]
    at: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.at) + 1 or list(self.at) != sorted(self.at):
            raise ValueError(
                f"steps take one moment, in rising order, between every two values; not at={list(self.at)} for "
                f"values={list(self.values)}"
            )

    def __call__(self, progress: float) -> float:
        """Strength at ``progress``."""
        return self.values[sum(progress >= moment for moment in self.at)]
