"""Write a neutral state dict into a network: planned in full, checked in full, then written, with a report."""

import logging
import math
import re
from collections import Counter
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vivit.checkpoints.inflation import Interpolation, fit_positions
from vivit.checkpoints.load_report import LoadReport
from vivit.checkpoints.neutral_state_dict import NeutralStateDict
from vivit.checkpoints.tensor_checks import check_finite, raise_problems
from vivit.errors import CheckpointError, ConfigError
from vivit.models import ViViT
from vivit.models.attention import Attention
from vivit.models.config import format_size, size_name
from vivit.models.encoder import Encoder
from vivit.models.pos_embed import Grid, time_part

log = logging.getLogger(__name__)

KNOWN_MODULES = ("tokeniser.", "encoder.", "spatial.", "temporal.", "head.")
"""Modules of a network for which a source can have weights; others are those of an architecture of one's own."""
NEUTRAL_PARTS = re.compile(
    r"norm\.(weight|bias)|blocks\.\d+\."
    r"(norm_attention|attention\.qkv|attention\.out|norm_mlp|mlp\.\d|(space|time)\.norm|(space|time)\.attention\.\w+)"
    r"\.(weight|bias)"
)
"""Names, within an encoder, of what sources have."""
Positions = Literal["auto", "tile", "resize", "resize_tile", "fresh"]


def check_size(encoder: Encoder, source: NeutralStateDict) -> None:
    """Raise ConfigError, with the sizes of both, where a source's encoder is wider or deeper than the network's."""
    counts = Counter(int(name.split(".")[2]) for name in source.tensors if name.startswith("encoder.blocks."))
    kernel = source.tensors.get("patches.weight")
    if kernel is None or not counts:
        return
    depth = sum(2 * count > max(counts.values()) for count in counts.values())  # a single tensor is no layer
    sides = (len(kernel), depth), (encoder.norm.weight.numel(), len(encoder.blocks))
    if sides[0] == sides[1]:
        return
    (source_size, name), (network_size, _) = ((format_size(*side), size_name(*side)) for side in sides)
    remedy = f"set size={name}" if name else f"set size.dim={sides[0][0]} size.depth={sides[0][1]}, and its other sizes"
    raise ConfigError(
        "size", problem=f"{source.label} has weights of {source_size}; this run has {network_size}", remedy=remedy
    )


class StateDictPlan:
    """A plan of what is written where. ``apply`` writes, and refuses a plan with gaps or leftovers.

    Raises ConfigError for a network that is no ViViT, or whose heads are not those of the source.
    """

    def __init__(self, network: nn.Module, source: NeutralStateDict) -> None:
        if not isinstance(network, ViViT):
            raise ConfigError(
                "model", type(network).__name__, "weights go into models that derive from ViViT", "set one"
            )
        self.network, self.source = network, source
        self.encoder = network.image_encoder
        encoder = getattr(network, self.encoder, None)
        if not isinstance(encoder, Encoder):
            raise ConfigError(
                "weights", problem=f"go into an Encoder, and {network.name} has none called {self.encoder}",
                remedy="set image_encoder of the class to its attribute",
            )  # fmt: skip
        self.grid = encoder.grid
        """The network's name of the encoder that an image model's is written into."""
        check_size(encoder, source)
        self.state = {name: tensor.detach() for name, tensor in network.state_dict().items()}
        self.values: dict[str, Tensor] = {}
        self.used: set[str] = set()
        self.fresh: list[str] = []
        self.ignored: dict[str, str] = {}
        self.inflated: dict[str, str] = {}
        self.resized: dict[str, str] = {}
        self.notes: list[str] = list(source.notes)
        for encoder, target, key in (
            ("encoder", self.encoder, "model.num_heads"),
            ("temporal", "temporal", "model.temporal_num_heads"),
        ):
            modules = getattr(network, target).modules() if hasattr(network, target) else ()
            heads = next((part.heads for part in modules if isinstance(part, Attention)), None)
            if heads and (expected := source.heads.get(encoder, heads)) != heads:
                raise ConfigError(key, heads, f"{source.label} has {expected} heads", f"set {key}={expected}")

    def error(self, problem: str, remedy: str = "", key: str | None = None) -> CheckpointError:
        """Return an error about a tensor of the source."""
        return CheckpointError(self.source.label, problem, remedy, key=key)

    def assign(self, target: str, value: Tensor, *neutral: str) -> None:
        """Plan to write ``value``, made of the source's tensors ``neutral``, into a parameter of the network.

        Raises CheckpointError where it has another shape.
        """
        if value.shape != (expected := self.state[target].shape):
            raise self.error(
                f"comes to the shape {tuple(value.shape)}, but {target!r} has {tuple(expected)}",
                key=", ".join(self.source.source_names(*neutral)),
            )
        self.values[target] = value
        self.used |= set(neutral)

    def get(self, neutral: str) -> Tensor:
        """Return one of the source's tensors. Raises CheckpointError where it is missing."""
        if neutral not in self.source.tensors:
            raise self.error("the source has nothing that would become this parameter", key=neutral)
        return self.source.tensors[neutral]

    def warn(self, note: str) -> None:
        """Note what the result may be wrong by, in the report and in the log."""
        self.notes.append(note)
        log.warning("%s: %s", self.source.label, note)

    def leave_initialized(self, prefix: str) -> None:
        """Leave the network's parameters whose names start like this as they are, where nothing else is planned."""
        self.fresh += [name for name in self.state if name.startswith(prefix) and name not in self.values]

    def ignore(self, prefix: str, why: str) -> None:
        """Ignore the source's tensors whose neutral names start like this."""
        self.ignored |= {n: why for n in self.source.tensors if n.startswith(prefix) and n not in self.used}

    def copy_encoder(self, target: str, source: str, rename: Callable[[str], str] = lambda name: name) -> None:
        """Copy an encoder, save for its class token and positions."""
        for name in self.state:
            part = name.removeprefix(f"{target}.")
            if part == name or part in ("cls", "positions") or name in self.values or name in self.fresh:
                continue
            neutral = f"{source}.{rename(part)}"
            if not NEUTRAL_PARTS.fullmatch(rename(part)):  # of an architecture of one's own: no source can have it
                self.fresh.append(name)
                continue
            self.assign(name, self.get(neutral), neutral)

    def assign_positions(
        self, target: str, source: str, old: Grid | None, new: Grid, how: Positions, interpolation: Interpolation
    ) -> None:
        """Resize a table of positions; a class token's row stays with it, or is the network's if the source has none.

        Where an image's are repeated over time and the network's are ``learned_time``, its time is added to them. Where
        the network's is not learned, the source's is ignored. Raises ConfigError for another ``how``, or one that does
        not fit; CheckpointError for a table that is not that of a grid.
        """
        if how not in get_args(Positions):
            raise ConfigError(
                "weights.positions", how, "there is no such way", f"set one of {', '.join(get_args(Positions))}"
            )
        name, neutral = f"{target}.positions", f"{source}.positions"
        if name not in self.state:
            return self.ignore(neutral, "the network's positions are not learned")
        if how == "fresh":
            self.ignore(neutral, "positions=fresh")
            return self.leave_initialized(name)
        table, cls = self.get(neutral), f"{source}.cls" in self.source.tensors
        (source_name,) = self.source.source_names(neutral)
        old = old or self._square_grid(len(table), cls, source_name)
        cls_rows = len(table) - math.prod(old)
        if cls_rows not in (0, 1) or cls_rows > cls:
            raise self.error(f"its {len(table)} rows are not a grid of {old}", key=source_name)
        rows = fit_positions(table[cls_rows:], old, new, interpolation)
        self._note_positions(source_name, old, new, how, interpolation)
        if old[0] == 1 < new[0] and self.network.config.positions == "learned_time":
            rows = rows + time_part(self.state[name][-len(rows) :].float(), new).to(rows)
        if f"{target}.cls" in self.state:
            initial = torch.zeros_like(table[:1]) if cls else self.state[name][:1].float()
            rows = torch.cat([table[:1] if cls_rows else initial, rows])
        return self.assign(name, rows, neutral)

    def _note_positions(self, name: str, old: Grid, new: Grid, how: Positions, interpolation: str) -> None:
        """Note what happens to a table of positions. Raises ConfigError where the configuration has another ``how``."""
        if old[0] > new[0] == 1:
            raise self.error(f"has positions for {old[0]} temporal indices, of which this network has none", key=name)
        tiled, resized = old[0] == 1 < new[0], old[1:] != new[1:] or 1 < old[0] != new[0]
        if (tiled and how == "resize") or (resized and how == "tile"):
            raise ConfigError(
                "weights.positions", how, f"{name!r} must change from a grid of {old} to {new}", "set auto"
            )
        if tiled:
            self.inflated[name] = f"repeated at {new[0]} temporal indices"
        if resized:
            self.resized[name] = f"{' x '.join(map(str, old))} -> {' x '.join(map(str, new))}, {interpolation}"

    def _square_grid(self, rows: int, cls: bool, name: str) -> Grid:
        """Return the grid of an image's positions, after the class token's or, rarely, without it."""
        for cls_rows in range(int(cls), -1, -1):
            side = math.isqrt(rows - cls_rows)
            if side and side**2 == rows - cls_rows:
                return 1, side, side
        raise self.error(f"its {rows} rows are no square of patches", "set weights.source_grid", key=name)

    def apply(self) -> LoadReport:
        """Check that every parameter and every tensor is accounted for, write, and return the report.

        Raises CheckpointError, with nothing written, for gaps, leftovers, and values that are not finite.
        """
        unexpected = [
            (self.source_names(neutral)[0], f"is unexpected: the network has no {neutral.split('.', 1)[1]!r}")
            for neutral in self.source.tensors
            if neutral not in self.used and neutral not in self.ignored
        ]
        self.fresh += [name for name in self.state if not name.startswith((*KNOWN_MODULES, f"{self.encoder}."))]
        expected = {*self.values, *self.fresh}
        missing = [(name, "has nothing in the source") for name in self.state if name not in expected]
        raise_problems(self.source.label, unexpected, missing)
        for name, value in self.values.items():
            check_finite(self.source.label, name, value)
        for name, value in self.values.items():
            self.state[name].copy_(value)
        names = dict.fromkeys(
            name for neutral in self.source.tensors if neutral in self.used for name in self.source_names(neutral)
        )
        ignored = {name: why for neutral, why in self.ignored.items() for name in self.source_names(neutral)}
        return LoadReport(
            self.source.label,
            loaded=tuple(name for name in names if name not in self.inflated and name not in self.resized),
            inflated=self.inflated,
            resized=self.resized,
            fresh=tuple(self.fresh),
            ignored={**ignored, **self.source.ignored},
            notes=tuple(self.notes),
        )

    def source_names(self, neutral: str) -> tuple[str, ...]:
        """Return the names in the source of a tensor."""
        return self.source.source_names(neutral)
