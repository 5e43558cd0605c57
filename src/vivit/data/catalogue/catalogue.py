"""What every data set tells: its classes, what mirroring does to them, and the videos of each split."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.catalogue.columns import Videos
from vivit.data.index import with_facts

log = logging.getLogger(__name__)

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


class Census(NamedTuple):
    """How many videos a split lists, how many of them were left out, and the files that were, each with its reason."""

    listed: int
    left_out: int
    reasons: Mapping[str, str]


@dataclass(kw_only=True)
class Catalogue(ABC):
    """A data set below ``root``. Class numbers are places in ``heads``.

    ``missing`` is the share of each split's videos that may be absent or, by the index, unusable: they are counted,
    named and left out; more of them is an error. ``prepared`` is the folder that ``prepare.py`` fills, by default
    ``root/prepared``; ``copies`` asks for its copies of that short side in place of the videos. ``train_share`` keeps
    that share of every class of the training videos, always the same ones and at least one: what can few videos teach?
    """

    root: Path
    mirror_names: Mapping[str, Mapping[str, str]] | None = field(default_factory=dict)
    missing: Mapping[str, float] = field(default_factory=lambda: {"train": 0.05, "val": 0.0, "test": 0.0})
    prepared: Path | None = None
    copies: int | None = None
    train_share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.train_share <= 1:
            raise ValueError(f"data.train_share={self.train_share} must be above 0 and at most 1")
        self.root = Path(self.root)
        self.census: dict[Split, Census] = {}
        """Of every split that was listed so far, what was found."""
        self._videos: dict[Split, Videos] = {}

    def prepare(self) -> None:
        """Make sure that the data set is there; called once, on one process, before anything else."""
        if not self.root.is_dir():
            raise FileNotFoundError(f"data.root={self.root} is not a folder; set data.root to where the videos are")

    @property
    def prepared_folder(self) -> Path:
        """The folder that ``prepare.py`` fills."""
        return self.root / "prepared" if self.prepared is None else Path(self.prepared)

    @property
    @abstractmethod
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """Class names of each head, in the order of the network's outputs."""

    @abstractmethod
    def listed(self, split: Split) -> pa.Table:
        """All videos of a split, there or not, as ``columns.listing`` makes the table."""

    def official(self, split: Split) -> Mapping[str, Any] | None:
        """Tell what the official scores of a data set need beside labels, in plain values; None: it has none."""
        return None

    def videos(self, split: Split) -> Videos:
        """Give the videos of a split that can be used."""
        if split not in self._videos:
            table = with_facts(self.listed(split), self.root, self.prepared_folder, self.copies)
            usable = self._usable(split, table)
            self._videos[split] = Videos(self.root, fewer(usable, self.train_share) if split == "train" else usable)
        return self._videos[split]

    def _usable(self, split: Split, table: pa.Table) -> pa.Table:
        """Leave out what cannot be used, unless it is too much."""
        bad = table.filter(pc.is_valid(table["problem"]))
        reasons = dict(zip(bad["path"].to_pylist(), bad["problem"].to_pylist(), strict=True))
        self.census[split] = Census(len(table), len(bad), reasons)
        if len(bad):
            message = f"{len(bad)} of {len(table)} {split} videos cannot be used: {shown(reasons)}"
            if len(bad) == len(table) or len(bad) > self.missing[split] * len(table):
                raise FileNotFoundError(
                    f"{message}; data.catalogue.missing.{split} sets the share that may be left out, "
                    f"now {self.missing[split]}; are the files where {self.root} should have them?"
                )
            log.warning("%s", message)
        return table.filter(pc.is_null(table["problem"])).drop_columns("problem")

    @property
    def mirror(self) -> Mirror:
        """What a mirrored clip is called."""
        return Mirror.of_names(self.heads, self.mirror_names)


def fewer(table: pa.Table, share: float) -> pa.Table:
    """Keep a share of the rows of every class, or of every pair of classes where there are two heads."""
    if share == 1:
        return table
    order = np.random.default_rng(0).permutation(len(table))
    labels = np.stack([table[name].to_numpy()[order] for name in table.column_names if name.startswith("label_")])
    classes = np.unique(labels, axis=1, return_inverse=True)[1]
    of_classes = np.split(np.argsort(classes, kind="stable"), np.cumsum(np.bincount(classes))[:-1])
    kept = [order[rows[: max(1, round(share * len(rows)))]] for rows in of_classes]
    return table.take(np.sort(np.concatenate(kept)))


def shown(reasons: Mapping[str, str], most: int = 5) -> str:
    """Name the first few videos that were left out, and say how many there are beside them."""
    some = ", ".join(f"{path} ({why})" for path, why in islice(reasons.items(), most))
    return some + (f" and {len(reasons) - most} more" if len(reasons) > most else "")
