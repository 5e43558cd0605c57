"""Put a backbone's tensors into a network: planned whole, checked whole, then written; and said in a report."""

import logging
import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vivit.models import FactorisedEncoder
from vivit.models.attention import Attention
from vivit.weights.backbone import Backbone
from vivit.weights.inflate import Grid, Interpolation, fit_positions
from vivit.weights.report import LoadReport
from vivit.weights.scenic_windows import Network
from vivit.weights.tensor_file import check_finite

log = logging.getLogger(__name__)

Positions = Literal["auto", "tile", "resize", "resize_tile", "fresh"]
LISTED = 5
"""A message names so many keys of a kind at most."""


class Fill:
    """A plan of what goes where. Nothing is written before ``finish``, which refuses a plan with gaps or leftovers."""

    def __init__(self, network: nn.Module, backbone: Backbone) -> None:
        if not isinstance(network, Network):
            raise ValueError(f"weights go into the four models, not into a {type(network).__name__}")
        self.network, self.backbone = network, backbone
        self.encoder = "spatial" if isinstance(network, FactorisedEncoder) else "encoder"
        """Our name of the encoder that an image's goes into."""
        self.state = {name: tensor.detach() for name, tensor in network.state_dict().items()}
        self.values: dict[str, Tensor] = {}
        self.used: set[str] = set()
        self.fresh: list[str] = []
        self.passed_over: dict[str, str] = {}
        self.inflated: dict[str, str] = {}
        self.resized: dict[str, str] = {}
        self.notes: list[str] = list(backbone.notes)
        for theirs, ours in (("encoder", self.encoder), ("temporal", "temporal")):
            modules = getattr(network, ours).modules() if hasattr(network, ours) else ()
            heads = next((part.heads for part in modules if isinstance(part, Attention)), None)
            if heads and backbone.heads.get(theirs, heads) != heads:
                raise ValueError(f"the source's {theirs} has {backbone.heads[theirs]} heads, the network's {heads}")

    def put(self, target: str, value: Tensor, *neutral: str) -> None:
        """Plan to write ``value``, made of the source's tensors ``neutral``, into one of our parameters."""
        if value.shape != (needed := self.state[target].shape):
            origin = ", ".join(map(repr, self.backbone.names(*neutral)))
            raise ValueError(f"{origin} comes to the shape {tuple(value.shape)}, but {target!r} is {tuple(needed)}")
        self.values[target] = value
        self.used |= set(neutral)

    def take(self, neutral: str) -> Tensor:
        """Give one of the source's tensors, or say that it lacks it."""
        if neutral not in self.backbone.tensors:
            raise ValueError(f"the source has nothing that would become {neutral!r}")
        return self.backbone.tensors[neutral]

    def warn(self, note: str) -> None:
        """Note what the result may be wrong by, in the report and aloud."""
        self.notes.append(note)
        log.warning("%s: %s", self.backbone.label, note)

    def keep(self, prefix: str) -> None:
        """Leave our parameters whose names start like this as they are, where nothing else is planned."""
        self.fresh += [name for name in self.state if name.startswith(prefix) and name not in self.values]

    def pass_over(self, prefix: str, why: str) -> None:
        """Do without the source's tensors whose neutral names start like this."""
        self.passed_over |= {n: why for n in self.backbone.tensors if n.startswith(prefix) and n not in self.used}

    def copy(self, ours: str, theirs: str, rename: Callable[[str], str] = lambda name: name) -> None:
        """Copy a whole encoder, save for its class token and positions."""
        for target in self.state:
            part = target.removeprefix(f"{ours}.")
            if part == target or part in ("cls", "positions") or target in self.values or target in self.fresh:
                continue
            neutral = f"{theirs}.{rename(part)}"
            self.put(target, self.take(neutral), neutral)

    def positions(
        self, ours: str, theirs: str, old: Grid | None, new: Grid, how: Positions, interpolation: Interpolation
    ) -> None:
        """Fit a table of positions; a class token's row stays with it, and without a counterpart stays ours.

        Where ours is not learned, the source's is passed over.
        """
        if how not in get_args(Positions):
            raise ValueError(f"positions={how!r} is none of {', '.join(get_args(Positions))}")
        target, neutral = f"{ours}.positions", f"{theirs}.positions"
        if target not in self.state:
            return self.pass_over(neutral, "the network's positions are not learned")
        if how == "fresh":
            self.pass_over(neutral, "positions=fresh")
            return self.keep(target)
        table, cls = self.take(neutral), f"{theirs}.cls" in self.backbone.tensors
        old = old or _square(len(table), cls, self.backbone.names(neutral)[0])
        places = len(table) - math.prod(old)
        if places not in (0, 1) or places > cls:
            raise ValueError(
                f"{self.backbone.names(neutral)[0]!r} has {len(table)} rows, which are not a grid of {old}"
            )
        rows = fit_positions(table[places:], old, new, interpolation)
        self._say(neutral, old, new, how, interpolation)
        if f"{ours}.cls" in self.state:
            own = torch.zeros_like(table[:1]) if cls else self.state[target][:1].float()
            rows = torch.cat([table[:1] if places else own, rows])
        self.put(target, rows, neutral)

    def _say(self, neutral: str, old: Grid, new: Grid, how: Positions, interpolation: str) -> None:
        """Write down what happens to a table of positions, and refuse it where another thing was asked for."""
        (name,) = self.backbone.names(neutral)
        if old[0] > new[0] == 1:
            raise ValueError(f"{name!r} has positions for {old[0]} temporal indices, of which this network has none")
        tiled, resized = old[0] == 1 < new[0], old[1:] != new[1:] or 1 < old[0] != new[0]
        if (tiled and how == "resize") or (resized and how == "tile"):
            raise ValueError(f"positions={how}, but {name!r} must go from a grid of {old} to {new}: leave it at auto")
        if tiled:
            self.inflated[name] = f"repeated at {new[0]} temporal indices"
        if resized:
            self.resized[name] = f"{' x '.join(map(str, old))} -> {' x '.join(map(str, new))}, {interpolation}"

    def finish(self) -> LoadReport:
        """Check that every parameter and every tensor is accounted for, write, and report."""
        problems = [
            f"{self.backbone.names(neutral)[0]!r} is unexplained: the network has no {neutral.split('.', 1)[1]!r}"
            for neutral in self.backbone.tensors
            if neutral not in self.used and neutral not in self.passed_over
        ]
        problems += [f"nothing goes into {name!r}" for name in self.state if name not in {*self.values, *self.fresh}]
        if problems:
            more = len(problems) - LISTED
            raise ValueError("; ".join(problems[:LISTED]) + (f"; and {more} more" if more > 0 else ""))
        for name, value in self.values.items():
            check_finite(name, value)
        for name, value in self.values.items():
            self.state[name].copy_(value)
        names = {
            name: None for neutral in self.backbone.tensors if neutral in self.used for name in self.origin(neutral)
        }
        over = {name: why for neutral, why in self.passed_over.items() for name in self.origin(neutral)}
        return LoadReport(
            self.backbone.label,
            loaded=tuple(name for name in names if name not in self.inflated and name not in self.resized),
            inflated=self.inflated,
            resized=self.resized,
            fresh=tuple(self.fresh),
            ignored={**over, **self.backbone.ignored},
            notes=tuple(self.notes),
        )

    def origin(self, neutral: str) -> tuple[str, ...]:
        """Say what the source calls a tensor."""
        return self.backbone.names(neutral)


def _square(rows: int, cls: bool, name: str) -> Grid:
    """Grid of an image's positions, with the class token's in front or, rarely, without."""
    for places in range(int(cls), -1, -1):
        side = math.isqrt(rows - places)
        if side and side**2 == rows - places:
            return 1, side, side
    raise ValueError(f"{name!r} has {rows} rows, which are no square of patches: say which with source_grid")
