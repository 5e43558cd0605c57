"""RandAugment as the reference runs it on video."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from vivit.data.transforms.randaugment_ops import OPERATIONS
from vivit.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class RandAugment:
    """Draws ``layers`` of twelve operations, with repeats, and applies each to all frames alike.

    ``magnitude`` is a number, 15 and 20 in the paper's Table 7, or a function of the progress of training in [0, 1]. No
    operation moves pixels, and none is skipped at random: the reference draws a probability for each, and does not use
    it. Beyond a magnitude of 20 its Posterize is undefined; here it changes nothing from that magnitude on.
    """

    layers: int
    magnitude: int | float | Callable[[float], float]

    def __post_init__(self) -> None:
        if self.layers < 0:
            raise ConfigError("augment.colours.layers", self.layers, "must not be negative", "set 0 or more operations")
        if not callable(self.magnitude) and self.magnitude < 0:
            raise ConfigError("augment.colours.magnitude", self.magnitude, "must not be negative", "set 0 to 20")

    def __call__(
        self, clip: UInt8[np.ndarray, "f h w 3"], rng: np.random.Generator, progress: float = 0.0
    ) -> UInt8[np.ndarray, "f h w 3"]:
        """Return the clip after ``layers`` operations drawn from ``rng``."""
        magnitude = self.magnitude(progress) if callable(self.magnitude) else self.magnitude
        for number in rng.integers(len(OPERATIONS), size=self.layers):
            clip = OPERATIONS[number](clip, float(magnitude), rng)
        return clip
