"""Hugging Face's names and layouts for ViViT, as views of a network's parameters.

The names are those in files. The modules of transformers 5 have others, but it writes and expects files with these;
``file_name`` converts them. As for scenic, a view shares memory with the network, so that import and export are one
table.
"""

import re
from collections.abc import Iterator

from einops import rearrange
from torch import Tensor, nn

from vivit.errors import ConfigError
from vivit.models import SpatioTemporal, Tubelets
from vivit.models.blocks import Block

NamedViews = Iterator[tuple[str, Tensor]]

POOLER = "vivit.pooler."
"""Belongs to ``VivitModel`` alone; the authors' model has none."""
HEAD = "classifier."

MODULES = {
    "attention.q_proj": "attention.attention.query",
    "attention.k_proj": "attention.attention.key",
    "attention.v_proj": "attention.attention.value",
    "attention.o_proj": "attention.output.dense",
    "mlp.fc1": "intermediate.dense",
    "mlp.fc2": "output.dense",
}
"""Parts of a layer in transformers 5, and their names in files."""


def file_name(name: str) -> str:
    """Return the name of a parameter in a file of ``VivitForVideoClassification``.

    Takes these names, the names of modules in transformers 5, and both without the prefix, as ``VivitModel`` has them.
    """
    if not name.startswith(("vivit.", HEAD)):
        name = f"vivit.{name}"
    if not (layer := re.fullmatch(r"vivit\.layers\.(\d+)\.(.+)\.(weight|bias)", name)):
        return name
    number, part, kind = layer.groups()
    return f"vivit.encoder.layer.{number}.{MODULES.get(part, part)}.{kind}"


def state_dict_views(net: nn.Module) -> dict[str, Tensor]:
    """Return every parameter by its name in files, in their layout, sharing the network's memory (on any device).

    Raises ConfigError for a network that Hugging Face's ViViT is not: it is Model 1 with tubelets and a class token.
    """
    remedy = "convert to .msgpack"
    if not isinstance(net, SpatioTemporal):
        raise ConfigError("model", type(net).__name__, "Hugging Face's ViViT is Model 1 only", remedy)
    if not isinstance(net.tokeniser, Tubelets):
        raise ConfigError("tokeniser", type(net.tokeniser).__name__, "Hugging Face's ViViT has tubelets only", remedy)
    if net.encoder.cls is None:
        raise ConfigError("model.pool", "mean", "Hugging Face's ViViT classifies a class token only", remedy)
    named = dict([*_embeddings(net), *_layers(net), *_dense("vivit.layernorm", net.encoder.norm)])
    named |= dict(_dense("classifier", net.head.projection))
    size = sum(tensor.numel() for tensor in (*net.parameters(), *net.buffers()))
    huggingface_size = sum(tensor.numel() for tensor in named.values())
    if size != huggingface_size:
        raise ConfigError(
            "model",
            type(net).__name__,
            f"Hugging Face's ViViT has {huggingface_size:,} parameters of this size, this network {size:,}",
        )
    return named


def _embeddings(net: SpatioTemporal) -> NamedViews:
    encoder = net.encoder
    if encoder.cls is not None:
        yield "vivit.embeddings.cls_token", rearrange(encoder.cls.detach(), "d -> 1 1 d")
    if isinstance(encoder.positions, nn.Parameter):
        yield "vivit.embeddings.position_embeddings", rearrange(encoder.positions.detach(), "n d -> 1 n d")
    yield from _dense("vivit.embeddings.patch_embeddings.projection", net.tokeniser.projection)


def _layers(net: SpatioTemporal) -> NamedViews:
    for i, block in enumerate(net.encoder.blocks):
        if isinstance(block, Block):
            yield from _layer(f"vivit.encoder.layer.{i}", block)


def _layer(name: str, block: Block) -> NamedViews:
    yield from _dense(f"{name}.layernorm_before", block.norm_attention)
    weights, biases = (tensor.detach().chunk(3) for tensor in block.attention.qkv.parameters())
    for part, weight, bias in zip(("query", "key", "value"), weights, biases, strict=True):
        yield f"{name}.attention.attention.{part}.weight", weight
        yield f"{name}.attention.attention.{part}.bias", bias
    yield from _dense(f"{name}.attention.output.dense", block.attention.out)
    yield from _dense(f"{name}.layernorm_after", block.norm_mlp)
    widen, narrow = (part for part in block.mlp if isinstance(part, nn.Linear))
    yield from _dense(f"{name}.intermediate.dense", widen)
    yield from _dense(f"{name}.output.dense", narrow)


def _dense(name: str, module: nn.Module) -> NamedViews:
    weight, bias = module.parameters()
    yield f"{name}.weight", weight.detach()
    yield f"{name}.bias", bias.detach()
