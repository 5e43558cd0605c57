"""The report of every load of foreign weights."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

FEW = 3
"""Names with one reason that are printed separately, at most."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Where each tensor of a source went, and where each parameter of the network came from.

    ``str()`` returns a table: names that were copied unchanged are counted by their first part, exceptions have a line
    each, or, where one reason explains more than ``FEW``, a line for the reason.
    """

    source: str
    loaded: tuple[str, ...] = ()
    """Names in the source that were copied as they are, save for the layout of the axes."""
    inflated: Mapping[str, str] = field(default_factory=dict)
    """Names in the source that gained the axis of time, and how."""
    resized: Mapping[str, str] = field(default_factory=dict)
    """Names in the source that were interpolated, and from what size to what size."""
    fresh: tuple[str, ...] = ()
    """Parameters of the network that keep their initial values."""
    ignored: Mapping[str, str] = field(default_factory=dict)
    """Names in the source that were ignored, and why. A whole branch of a tree counts as one name."""
    notes: tuple[str, ...] = ()
    """What else one must know, such as how the source's colours were normalised."""

    def __str__(self) -> str:
        """Return the table."""
        rows = [("loaded", line) for line in _grouped(self.loaded)]
        rows += [("inflated", f"{name}: {how}") for name, how in self.inflated.items()]
        rows += [("resized", f"{name}: {how}") for name, how in self.resized.items()]
        rows += [("fresh", line) for line in _grouped(self.fresh)]
        for why in dict.fromkeys(self.ignored.values()):
            names = [name for name, reason in self.ignored.items() if reason == why]
            rows += [("ignored", f"{line}: {why}") for line in (names if len(names) <= FEW else _grouped(names))]
        rows += [("note", note) for note in self.notes]
        kinds = ("loaded", "inflated", "resized", "fresh", "ignored")
        head = f"{self.source}: " + ", ".join(f"{len(getattr(self, kind))} {kind}" for kind in kinds)
        return "\n".join([head, *(f"  {kind:<9} {line}" for kind, line in rows)])


def _grouped(names: Iterable[str]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(re.split(r"[/.]", name)[0], []).append(name)
    return [group[0] if len(group) == 1 else f"{top} ({len(group)} tensors)" for top, group in groups.items()]
