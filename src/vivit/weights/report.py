"""What every load of foreign weights says it did."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

FEW = 3
"""So many names that share a reason are printed each."""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Where each tensor of a source went, and where each parameter of the network came from.

    ``str()`` gives a table: names that went in unchanged are counted by their first part, exceptions stand one a line,
    or, where one reason explains more than ``FEW``, a reason a line.
    """

    source: str
    loaded: tuple[str, ...] = ()
    """Names in the source that went in as they are, save for the layout of the axes."""
    inflated: Mapping[str, str] = field(default_factory=dict)
    """Names in the source that gained the axis of time, and how."""
    resized: Mapping[str, str] = field(default_factory=dict)
    """Names in the source that were interpolated, and from what size to what size."""
    fresh: tuple[str, ...] = ()
    """Parameters of the network that keep their initial values."""
    ignored: Mapping[str, str] = field(default_factory=dict)
    """Names in the source that were passed over, and why. A whole branch of a tree counts as one name."""
    notes: tuple[str, ...] = ()
    """What else one must know, such as how the source's colours were normalised."""

    def __str__(self) -> str:
        """Print compactly."""
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
