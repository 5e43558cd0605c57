"""What every data set tells: its classes, what mirroring does to them, and the videos of each split."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vivit.shapes import Video

Split = Literal["train", "val", "test"]


@dataclass(frozen=True, slots=True)
class Mirror:
    """What swapping left and right does to the classes of a data set.

    Forbidden (``allowed=False``), harmless (no swaps), or a map of class numbers for each head.
    """

    allowed: bool = True
    swaps: tuple[Mapping[int, int], ...] = ()

    def __call__(self, labels: tuple[int, ...]) -> tuple[int, ...]:
        """Labels of the mirrored clip."""
        if not self.swaps:
            return labels
        return tuple(swap.get(label, label) for swap, label in zip(self.swaps, labels, strict=True))

    @classmethod
    def of_names(cls, heads: Mapping[str, Sequence[str]], names: Mapping[str, Mapping[str, str]] | None) -> "Mirror":
        """Read a map of class names for each head, ``{"verb": {"left": "right", "right": "left"}}``.

        None forbids mirroring, an empty map says that it is harmless. Raises where a class or a head does not exist,
        or where mirroring twice would not give back the class.
        """
        if names is None:
            return cls(allowed=False)
        if unknown := set(names) - set(heads):
            raise ValueError(f"mirror names the heads {sorted(unknown)}; this data set has {list(heads)}")
        swaps = []
        for head, classes in heads.items():
            swap = names.get(head, {})
            for a, b in swap.items():
                if a not in classes or b not in classes:
                    raise ValueError(f"mirror maps {a!r} to {b!r}, but both must be classes of {head!r}")
                if swap.get(b) != a:
                    raise ValueError(f"mirror maps {a!r} to {b!r} but not {b!r} back to {a!r}")
            swaps.append({classes.index(a): classes.index(b) for a, b in swap.items()})
        return cls(swaps=tuple(swaps) if any(swaps) else ())


@dataclass(kw_only=True)
class Catalogue(ABC):
    """A data set below ``root``. Class numbers are places in ``heads``."""

    root: Path
    mirror_names: Mapping[str, Mapping[str, str]] | None = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = Path(self.root)

    def prepare(self) -> None:
        """Make sure that the data set is there; called once, on one process, before anything else."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"data.root={self.root} is not a folder; set data.root to where the videos are")

    @property
    @abstractmethod
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """Class names of each head, in the order of the network's outputs."""

    @abstractmethod
    def videos(self, split: Split) -> Sequence[Video]:
        """List the labelled videos of a split."""

    @property
    def mirror(self) -> Mirror:
        """What a mirrored clip is called."""
        return Mirror.of_names(self.heads, self.mirror_names)
