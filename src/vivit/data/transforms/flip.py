"""Horizontal flips: of frames, and of the labels that name left and right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import UInt8

from vivit.errors import ConfigError


def flip_frames(frames: UInt8[np.ndarray, "v f h w 3"]) -> UInt8[np.ndarray, "v f h w 3"]:
    """Return frames with left and right swapped."""
    return torch.from_numpy(frames).flip(3).numpy()  # a sixth of the time of frames[..., ::-1, :]


@dataclass(frozen=True, slots=True)
class FlipLabelMap:
    """What swapping left and right does to the labels of a data set.

    Flips are forbidden (``allowed=False``), harmless (no ``swaps``), or map class numbers, one map for each head.
    """

    allowed: bool = True
    swaps: tuple[Mapping[int, int], ...] = ()

    def __call__(self, labels: tuple[int, ...]) -> tuple[int, ...]:
        """Return the labels of the flipped clip."""
        if not self.swaps:
            return labels
        return tuple(swap.get(label, label) for swap, label in zip(self.swaps, labels, strict=True))

    @classmethod
    def of_names(
        cls, heads: Mapping[str, Sequence[str]], names: Mapping[str, Mapping[str, str]] | None
    ) -> "FlipLabelMap":
        """Return the map of class numbers for maps of class names, ``{"verb": {"left": "right", "right": "left"}}``.

        None forbids flips, an empty map makes them harmless. Raises ``ConfigError`` where a class or a head does not
        exist, or where flipping twice would not give back the class.
        """
        if names is None:
            return cls(allowed=False)
        if unknown := sorted(set(names) - set(heads)):
            raise _error(f"this data set has no head {', '.join(unknown)}", f"its heads are {', '.join(heads)}")
        swaps = []
        for head, classes in heads.items():
            swap = names.get(head, {})
            for a, b in swap.items():
                if a not in classes or b not in classes:
                    raise _error(f"{head} maps {a!r} to {b!r}", f"both must be classes of {head!r}")
                if swap.get(b) != a:
                    raise _error(f"{head} maps {a!r} to {b!r} but not {b!r} back to {a!r}", "map both ways")
            swaps.append({classes.index(a): classes.index(b) for a, b in swap.items()})
        return cls(swaps=tuple(swaps) if any(swaps) else ())


def _error(problem: str, remedy: str) -> ConfigError:
    return ConfigError("data.catalogue.mirror_names", problem=problem, remedy=remedy)
