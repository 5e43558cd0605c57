"""The one form into which every foreign format is read: a transformer backbone under this repository's names.

Names are those of Model 1 (``encoder.blocks.0.attention.qkv.weight``), with ``patches`` for the filter that cuts the
input. A video's factorised encoder has its second encoder under ``temporal``. A format is a table of names.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from einops import rearrange
from torch import Tensor

from vivit.checkpoints.inflation import Interpolation
from vivit.checkpoints.tensor_checks import check_parameter
from vivit.checkpoints.weight_file import NamedTensors
from vivit.errors import CheckpointError
from vivit.models.blocks import Gelu
from vivit.models.pos_embed import Grid

HALF = (0.5, 0.5, 0.5)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLASSIFIER = "its classifier is for images"
MASK = "stands for patches that are hidden in pre-training"
Layout = Callable[[str, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class KeyFormat:
    """The names that a project gives to parameters, as regular expressions, and how it feeds its networks."""

    name: str
    signature: str
    """A name that this format has and no other."""
    names: Mapping[str, str]
    """Names in the source, to be matched in full, and neutral names."""
    ignored: Mapping[str, str] = field(default_factory=dict)
    """Names that have no counterpart, and why that does no harm."""
    layout: Layout = lambda name, tensor: tensor
    """Returns a tensor in PyTorch's order of axes, from its neutral name and the tensor in the source."""
    gelu: Gelu = "erf"
    mean: Sequence[float] = HALF
    std: Sequence[float] = HALF
    interpolation: Interpolation = "bilinear"
    """How the project resizes positions: bilinear with aligned corners, as the reference, or bicubic."""
    sidecar: tuple[str, ...] = ()
    """Which of ``colours`` and ``activation`` differ from network to network, so that files beside it contain them."""
    has_key_bias: bool = True
    """Whether keys have a bias, as queries and values do. It does not change attention: all scores shift alike."""
    colours_assumed: bool = False
    """Whether ``mean`` and ``std`` are only what most of its networks have."""


@dataclass(frozen=True, slots=True)
class NeutralStateDict:
    """Weights under neutral names, where each came from, and what the network that had them was like."""

    label: str
    key_format: KeyFormat
    tensors: Mapping[str, Tensor]
    origins: Mapping[str, tuple[str, ...]]
    """The names in the source that each tensor was made of."""
    ignored: Mapping[str, str]
    heads: Mapping[str, int] = field(default_factory=dict)
    """Heads of ``encoder`` and ``temporal``, where the source contains them."""
    grid: Grid | None = None
    """Tokens over time, rows and columns, where the source contains them."""
    notes: tuple[str, ...] = ()
    """How the weights were selected in the source, and what had to be assumed."""

    @property
    def is_video(self) -> bool:
        """Whether the weights are those of a video model."""
        kernel, grid = self.tensors.get("patches.weight"), self.grid or (1, 0, 0)
        temporal = any(re.match(r"temporal\.|.*\.time\.", name) for name in self.tensors)
        return temporal or grid[0] > 1 or (kernel is not None and kernel.ndim == 5)

    def source_names(self, *neutral: str) -> tuple[str, ...]:
        """Return the names in the source of tensors with these neutral names."""
        return tuple(origin for name in neutral for origin in self.origins[name])


def block_names(block: str, parts: Mapping[str, str], end: str = r"\.(weight|bias)") -> dict[str, str]:
    """Return the names of every weight and bias of a block.

    ``block`` captures its number, ``parts`` maps parts in the source to neutral ones.
    """
    return {rf"{block}{source}{end}": rf"encoder.blocks.\1.{target}.\2" for source, target in parts.items()}


def to_neutral(source: NamedTensors, key_format: KeyFormat) -> NeutralStateDict:
    """Return a source under neutral names. Raises CheckpointError for each key that the format does not explain."""
    tensors: dict[str, Tensor] = {}
    origins: dict[str, tuple[str, ...]] = {}
    ignored = dict(source.ignored)
    heads: dict[str, int] = {}
    for key, tensor in source.tensors.items():
        name = source.source_names.get(key, key)
        if (neutral := _neutral_name(key, key_format.names)) is None:
            ignored[name] = _reason_to_ignore(key, name, key_format, source.label)
            continue
        if neutral in tensors:
            raise CheckpointError(source.label, f"this and {origins[neutral][0]!r} are both {neutral}", key=name)
        check_parameter(source.label, name, tensor)
        if neutral.endswith("attention.q.weight") and tensor.ndim == 3:
            heads[neutral.split(".")[0]] = tensor.shape[1]
        try:
            tensors[neutral] = key_format.layout(neutral, tensor.float())
        except Exception:  # einops has an error of its own
            raise CheckpointError(source.label, f"the shape {tuple(tensor.shape)} does not fit", key=name) from None
        origins[neutral] = (name,)
    state = NeutralStateDict(source.label, key_format, tensors, origins, ignored, heads, notes=source.notes)
    return _drop_unit_axes(_fold_layer_scale(_join_qkv(_add_key_biases(state))))


def _neutral_name(name: str, table: Mapping[str, str]) -> str | None:
    for source, target in table.items():
        if match := re.fullmatch(source, name):
            return re.sub(r"\.(kernel|scale)$", ".weight", match.expand(target))
    return None


def _reason_to_ignore(key: str, name: str, key_format: KeyFormat, label: str) -> str:
    for pattern, reason in key_format.ignored.items():
        if re.fullmatch(pattern, key):
            return reason
    raise CheckpointError(
        label, f"is unexpected: {key_format.name} has it, but the networks here have no such parameter", key=name
    )


def _add_key_biases(state: NeutralStateDict) -> NeutralStateDict:
    """Add biases of zero to the keys of a format that has none. Raises CheckpointError where others lack theirs."""
    if state.key_format.has_key_bias:
        return state
    tensors, origins = dict(state.tensors), dict(state.origins)
    for name in state.tensors:
        if match := re.fullmatch(r"(.*attention\.)(?:qkv|q)\.weight", name):
            if missing := [part for part in "qv" if f"{match[1]}{part}.bias" not in tensors]:
                problem = f"exists, but the bias of its {' and '.join(missing)} is missing"
                raise CheckpointError(state.label, problem, key=origins[name][0])
            key = f"{match[1]}k.bias"
            if unexpected := next((each for each in (key, f"{match[1]}qkv.bias") if each in tensors), None):
                problem = f"is unexpected: {state.key_format.name} has no bias of keys"
                raise CheckpointError(state.label, problem, key=origins[unexpected][0])
            tensors[key], origins[key] = torch.zeros_like(tensors[f"{match[1]}q.bias"]), ()
    return replace(state, tensors=tensors, origins=origins)


def _join_qkv(state: NeutralStateDict) -> NeutralStateDict:
    """Concatenate query, key and value, as the networks here have them."""
    tensors, origins = dict(state.tensors), dict(state.origins)
    for name in state.tensors:
        if not (match := re.fullmatch(r"(.*attention\.)q\.(weight|bias)", name)):
            continue
        parts = [f"{match[1]}{part}.{match[2]}" for part in "qkv"]
        if missing := [part for part in parts if part not in tensors]:
            raise CheckpointError(
                state.label, f"exists, but its {missing[0].split('.')[-2]} is missing", key=origins[name][0]
            )
        joined = f"{match[1]}qkv.{match[2]}"
        origins[joined] = tuple(origin for part in parts for origin in origins.pop(part))
        tensors[joined] = torch.cat([tensors.pop(part) for part in parts])
    return replace(state, tensors=tensors, origins=origins)


def _fold_layer_scale(state: NeutralStateDict) -> NeutralStateDict:
    """Multiply LayerScale (Touvron et al. 2021) into the projection before it: the same function, without it."""
    tensors, origins = dict(state.tensors), dict(state.origins)
    for name in state.tensors:
        if not name.endswith(".layer_scale"):
            continue
        scale, scale_origin = tensors.pop(name).double(), origins.pop(name)
        projection = name.replace("attention.layer_scale", "attention.out").replace("mlp.layer_scale", "mlp.3")
        for part in (f"{projection}.weight", f"{projection}.bias"):
            if part not in tensors or len(tensors[part]) != len(scale):
                raise CheckpointError(
                    state.label, f"there is no projection of {len(scale)} to scale", key=scale_origin[0]
                )
            tensors[part] = (scale.view(-1, *[1] * (tensors[part].ndim - 1)) * tensors[part].double()).float()
            origins[part] += scale_origin if part.endswith("weight") else ()
    return replace(state, tensors=tensors, origins=origins)


def _drop_unit_axes(state: NeutralStateDict) -> NeutralStateDict:
    """Drop the axes of length 1: of the batch, and a tubelet's time where it is one frame."""
    tensors = dict(state.tensors)
    for name, tensor in state.tensors.items():
        if name.endswith((".cls", ".positions")):
            tensors[name] = tensor.flatten() if name.endswith("cls") else tensor.flatten(0, -2)
        elif name == "patches.weight" and tensor.ndim == 5 and tensor.shape[2] == 1:
            tensors[name] = rearrange(tensor, "d c 1 h w -> d c h w")
    return replace(state, tensors=tensors)
