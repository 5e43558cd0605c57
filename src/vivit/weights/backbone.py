"""The one form into which every foreign format is read: a transformer backbone under our own names.

Names are those of Model 1 (``encoder.blocks.0.attention.qkv.weight``), with ``patches`` for the filter that cuts the
input. A video's factorised encoder has its second encoder under ``temporal``. A format is a table of names.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from einops import rearrange
from torch import Tensor

from vivit.models.blocks import Gelu
from vivit.weights.inflate import Grid, Interpolation
from vivit.weights.tensor_file import NamedTensors, check_parameter

HALF = (0.5, 0.5, 0.5)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Layout = Callable[[str, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Format:
    """How a project names its parameters, as regular expressions, and how it feeds its networks."""

    name: str
    sign: str
    """A name that this format has and no other."""
    names: Mapping[str, str]
    """Their names, to be matched whole, and ours."""
    ignored: Mapping[str, str] = field(default_factory=dict)
    """Names that have no counterpart, and why that does no harm."""
    layout: Layout = lambda name, tensor: tensor
    """Bring an axis order into PyTorch's, given our name."""
    gelu: Gelu = "erf"
    mean: Sequence[float] = HALF
    std: Sequence[float] = HALF
    interpolation: Interpolation = "bilinear"
    """How the project itself resizes positions: bilinear with aligned corners, as the reference, or bicubic."""
    told: tuple[str, ...] = ()
    """Which of ``colours`` and ``activation`` differ from network to network, so that files beside it tell them."""
    assumed: bool = False
    """Whether ``mean`` and ``std`` are only what most of its networks have."""


@dataclass(frozen=True, slots=True)
class Backbone:
    """Weights under neutral names, where each came from, and what the network that had them was like."""

    label: str
    format: Format
    tensors: Mapping[str, Tensor]
    origins: Mapping[str, tuple[str, ...]]
    """The names in the source that each tensor was made of."""
    ignored: Mapping[str, str]
    heads: Mapping[str, int] = field(default_factory=dict)
    """Heads of ``encoder`` and ``temporal``, where the source tells."""
    grid: Grid | None = None
    """Tokens over time, rows and columns, where the source tells."""
    notes: tuple[str, ...] = ()
    """What is to be said of how they were found in the source, and of what had to be assumed."""

    @property
    def is_video(self) -> bool:
        """Whether it has looked along time."""
        kernel, grid = self.tensors.get("patches.weight"), self.grid or (1, 0, 0)
        along = any(re.match(r"temporal\.|.*\.time\.", name) for name in self.tensors)
        return along or grid[0] > 1 or (kernel is not None and kernel.ndim == 5)

    def names(self, *neutral: str) -> tuple[str, ...]:
        """Say what the source calls them."""
        return tuple(origin for name in neutral for origin in self.origins[name])


def blocks(block: str, parts: Mapping[str, str], end: str = r"\.(weight|bias)") -> dict[str, str]:
    """Table of every weight and bias of a block; ``block`` captures its number, ``parts`` maps theirs to ours."""
    return {rf"{block}{theirs}{end}": rf"encoder.blocks.\1.{ours}.\2" for theirs, ours in parts.items()}


def adapt(source: NamedTensors, form: Format) -> Backbone:
    """Bring a source into the neutral form. Raises ValueError naming each key that the format does not explain."""
    tensors: dict[str, Tensor] = {}
    origins: dict[str, tuple[str, ...]] = {}
    ignored = dict(source.ignored)
    heads: dict[str, int] = {}
    for key, tensor in source.tensors.items():
        name = source.called.get(key, key)
        if (ours := _neutral(key, form.names)) is None:
            ignored[name] = _reason(key, name, form, source.label)
            continue
        if ours in tensors:
            raise ValueError(f"{source.label}: {name!r} and {origins[ours][0]!r} are both {ours}")
        try:
            check_parameter(name, tensor)
        except ValueError as error:
            raise ValueError(f"{source.label}: {error}") from None
        if ours.endswith("attention.q.weight") and tensor.ndim == 3:
            heads[ours.split(".")[0]] = tensor.shape[1]
        try:
            tensors[ours] = form.layout(ours, tensor.float())
        except Exception:  # einops has an error of its own
            raise ValueError(
                f"{source.label}: {name!r} has the shape {tuple(tensor.shape)}, which does not fit"
            ) from None
        origins[ours] = (name,)
    found = Backbone(source.label, form, tensors, origins, ignored, heads, notes=source.notes)
    return _squeezed(_scaled(_fused(found)))


def _neutral(name: str, table: Mapping[str, str]) -> str | None:
    for theirs, ours in table.items():
        if match := re.fullmatch(theirs, name):
            return re.sub(r"\.(kernel|scale)$", ".weight", match.expand(ours))
    return None


def _reason(key: str, name: str, form: Format, label: str) -> str:
    for pattern, reason in form.ignored.items():
        if re.fullmatch(pattern, key):
            return reason
    raise ValueError(
        f"{label}: {name!r} is unexplained: {form.name} has it, but the networks here have nothing like it"
    )


def _fused(found: Backbone) -> Backbone:
    """Put query, key and value behind one another, as our attention has them."""
    tensors, origins = dict(found.tensors), dict(found.origins)
    for name in found.tensors:
        if not (match := re.fullmatch(r"(.*attention\.)q\.(weight|bias)", name)):
            continue
        parts = [f"{match[1]}{part}.{match[2]}" for part in "qkv"]
        if missing := [part for part in parts if part not in tensors]:
            raise ValueError(
                f"{found.label}: {origins[name][0]!r} is there, but its {missing[0].split('.')[-2]} is not"
            )
        fused = f"{match[1]}qkv.{match[2]}"
        origins[fused] = tuple(origin for part in parts for origin in origins.pop(part))
        tensors[fused] = torch.cat([tensors.pop(part) for part in parts])
    return replace(found, tensors=tensors, origins=origins)


def _scaled(found: Backbone) -> Backbone:
    """Multiply LayerScale (Touvron et al. 2021) into the projection before it: the same function, without it."""
    tensors, origins = dict(found.tensors), dict(found.origins)
    for name in found.tensors:
        if not name.endswith(".layer_scale"):
            continue
        scale, scale_origin = tensors.pop(name).double(), origins.pop(name)
        last = name.replace("attention.layer_scale", "attention.out").replace("mlp.layer_scale", "mlp.3")
        for part in (f"{last}.weight", f"{last}.bias"):
            if part not in tensors or len(tensors[part]) != len(scale):
                raise ValueError(f"{found.label}: {scale_origin[0]!r} finds no projection of {len(scale)} to scale")
            tensors[part] = (scale.view(-1, *[1] * (tensors[part].ndim - 1)) * tensors[part].double()).float()
            origins[part] += scale_origin if part.endswith("weight") else ()
    return replace(found, tensors=tensors, origins=origins)


def _squeezed(found: Backbone) -> Backbone:
    """Drop the axes of length 1: of the batch, and a tubelet's time where it is one frame."""
    tensors = dict(found.tensors)
    for name, tensor in found.tensors.items():
        if name.endswith((".cls", ".positions")):
            tensors[name] = tensor.flatten() if name.endswith("cls") else tensor.flatten(0, -2)
        elif name == "patches.weight" and tensor.ndim == 5 and tensor.shape[2] == 1:
            tensors[name] = rearrange(tensor, "d c 1 h w -> d c h w")
    return replace(found, tensors=tensors)
