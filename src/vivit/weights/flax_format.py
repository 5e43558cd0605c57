"""Google's ViTs (vision_transformer's ``.npz``, big_vision's, scenic's) and scenic's ViViTs: one table of names."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from einops import rearrange
from torch import Tensor

from vivit.weights.backbone import Format
from vivit.weights.scenic import renumbered
from vivit.weights.tensor_file import NamedTensors

PREFIXES = ("opt/target/", "optimizer/target/", "params/")
"""Where a snapshot of a training run has its parameters."""


def without_prefix(source: NamedTensors) -> NamedTensors:
    """Leave the parameters alone, with the numbers that Linen gives to submodules."""
    names, prefix = list(source.tensors), ""
    while found := next((more for more in PREFIXES if any(name.startswith(prefix + more) for name in names)), None):
        prefix += found
    inside = [name for name in names if name.startswith(prefix)]
    if not any(name.startswith((f"{prefix}Transformer/", f"{prefix}SpatialTransformer/")) for name in inside):
        return source
    called = dict(_flat(renumbered(_tree({name.removeprefix(prefix): name for name in inside}))))
    return replace(
        source,
        tensors={new: source.tensors[name] for new, name in called.items()},
        called=called,
        ignored={**source.ignored, **dict.fromkeys((name for name in names if name not in inside), "not a parameter")},
    )


def _tree(names: Mapping[str, str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, name in names.items():
        *above, last = path.split("/")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ValueError(f"{name!r} lies below another array")
        node[last] = name
    return tree


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def layout(name: str, tensor: Tensor) -> Tensor:
    """Bring a flax array into PyTorch's order of axes: outputs first, colours before pixels, heads flat."""
    if name == "patches.weight":
        return rearrange(tensor, "h w c d -> d c h w" if tensor.ndim == 4 else "t h w c d -> d c t h w")
    if name.endswith((".q.weight", ".k.weight", ".v.weight")):
        return rearrange(tensor, "d a e -> (a e) d")
    if name.endswith((".q.bias", ".k.bias", ".v.bias")):
        return rearrange(tensor, "a e -> (a e)")
    if name.endswith("attention.out.weight"):
        return rearrange(tensor, "a e d -> d (a e)")
    return rearrange(tensor, "i o -> o i") if tensor.ndim == 2 and name.endswith(".weight") else tensor


_ATTENTION = {"query": "q", "key": "k", "value": "v", "out": "out"}
_BLOCK = {
    "LayerNorm_0": "norm_attention",
    "LayerNorm_1": "norm_mlp",
    **{f"MultiHeadDotProductAttention_0/{theirs}": f"attention.{ours}" for theirs, ours in _ATTENTION.items()},
    "MlpBlock_0/Dense_0": "mlp.0",
    "MlpBlock_0/Dense_1": "mlp.3",
    "LayerNorm_mlp": "norm_mlp",
    "MlpBlock/Dense_0": "mlp.0",
    "MlpBlock/Dense_1": "mlp.3",
    **{f"LayerNorm_{axis}": f"{axis}.norm" for axis in ("space", "time")},
    **{
        f"MultiHeadDotProductAttention_{axis}/{theirs}": f"{axis}.attention.{ours}"
        for axis in ("space", "time")
        for theirs, ours in _ATTENTION.items()
    },
}
_ENCODERS = {"(?:Spatial)?Transformer": "encoder", "TemporalTransformer": "temporal"}
_END = "(kernel|scale|bias)"

FLAX = Format(
    name="a ViT of Google's",
    sign=r"(?:Spatial)?Transformer/encoderblock_0/LayerNorm_.*",
    names={
        f"embedding/{_END}": r"patches.\1",
        "cls(?:_SpatialTransformer)?": "encoder.cls",
        "cls_TemporalTransformer": "temporal.cls",
        f"output_projection/{_END}": r"head.projection.\1",
        f"pre_logits/{_END}": r"head.pre_logits.dense.\1",
        **{f"{theirs}/posembed_input/pos_embedding": f"{ours}.positions" for theirs, ours in _ENCODERS.items()},
        **{f"{theirs}/encoder_norm/{_END}": rf"{ours}.norm.\1" for theirs, ours in _ENCODERS.items()},
        **{
            rf"{encoder}/encoderblock_(\d+)/{theirs}/{_END}": rf"{name}.blocks.\1.{ours}.\2"
            for encoder, name in _ENCODERS.items()
            for theirs, ours in _BLOCK.items()
        },
    },
    ignored={f"head/{_END}": "its classifier knows images"},
    layout=layout,
    gelu="tanh",
)
