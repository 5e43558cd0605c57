"""Google's ViTs (vision_transformer's ``.npz``, big_vision's, scenic's) and scenic's ViViTs: one table of names."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from einops import rearrange
from torch import Tensor

from vivit.checkpoints.formats.flax_msgpack import flatten, renumber_modules
from vivit.checkpoints.neutral_state_dict import KeyFormat
from vivit.checkpoints.weight_file import NamedTensors
from vivit.errors import CheckpointError

PREFIXES = ("opt/target/", "optimizer/target/", "params/")
"""Prefixes of the parameters in a snapshot of a training run."""


def select_parameters(source: NamedTensors) -> NamedTensors:
    """Return the parameters alone, with the numbers that Linen gives to submodules; other formats unchanged."""
    names, prefix = list(source.tensors), ""
    while more := next((each for each in PREFIXES if any(name.startswith(prefix + each) for name in names)), None):
        prefix += more
    inside = [name for name in names if name.startswith(prefix)]
    if not any(name.startswith((f"{prefix}Transformer/", f"{prefix}SpatialTransformer/")) for name in inside):
        return source
    tree = _tree({name.removeprefix(prefix): name for name in inside}, source.label)
    source_names = dict(flatten(renumber_modules(tree)))
    return replace(
        source,
        tensors={new: source.tensors[name] for new, name in source_names.items()},
        source_names=source_names,
        ignored={**source.ignored, **dict.fromkeys((name for name in names if name not in inside), "not a parameter")},
    )


def _tree(names: Mapping[str, str], label: str) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, name in names.items():
        *above, last = path.split("/")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise CheckpointError(label, "is nested in another array", key=name)
        node[last] = name
    return tree


def to_torch_layout(name: str, tensor: Tensor) -> Tensor:
    """Return a flax array in PyTorch's order of axes: outputs first, colours before pixels, heads flat."""
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
    **{f"MultiHeadDotProductAttention_0/{source}": f"attention.{target}" for source, target in _ATTENTION.items()},
    "MlpBlock_0/Dense_0": "mlp.0",
    "MlpBlock_0/Dense_1": "mlp.3",
    "LayerNorm_mlp": "norm_mlp",
    "MlpBlock/Dense_0": "mlp.0",
    "MlpBlock/Dense_1": "mlp.3",
    **{f"LayerNorm_{axis}": f"{axis}.norm" for axis in ("space", "time")},
    **{
        f"MultiHeadDotProductAttention_{axis}/{source}": f"{axis}.attention.{target}"
        for axis in ("space", "time")
        for source, target in _ATTENTION.items()
    },
}
_ENCODERS = {"(?:Spatial)?Transformer": "encoder", "TemporalTransformer": "temporal"}
_END = "(kernel|scale|bias)"

FLAX = KeyFormat(
    name="a ViT of Google's",
    signature=r"(?:Spatial)?Transformer/encoderblock_0/LayerNorm_.*",
    names={
        f"embedding/{_END}": r"patches.\1",
        "cls(?:_SpatialTransformer)?": "encoder.cls",
        "cls_TemporalTransformer": "temporal.cls",
        f"output_projection/{_END}": r"head.projection.\1",
        f"pre_logits/{_END}": r"head.pre_logits.dense.\1",
        **{f"{source}/posembed_input/pos_embedding": f"{target}.positions" for source, target in _ENCODERS.items()},
        **{f"{source}/encoder_norm/{_END}": rf"{target}.norm.\1" for source, target in _ENCODERS.items()},
        **{
            rf"{encoder}/encoderblock_(\d+)/{source}/{_END}": rf"{name}.blocks.\1.{target}.\2"
            for encoder, name in _ENCODERS.items()
            for source, target in _BLOCK.items()
        },
    },
    ignored={f"head/{_END}": "its classifier is for images"},
    layout=to_torch_layout,
    gelu="tanh",
)
