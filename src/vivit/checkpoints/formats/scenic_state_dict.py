"""Scenic's names and layouts, as views of a network's parameters.

What is read through a view is scenic's array, what is written through it is in the network. Import and export are
therefore one table, and cannot disagree. Dense kernels are (in, out) in scenic, (out, in) in PyTorch; query, key and
value have an axis for the head in scenic, and are concatenated in one matrix here.
"""

from collections.abc import Iterator

from einops import rearrange
from torch import Tensor, nn

from vivit.errors import ConfigError
from vivit.models import (
    FactorisedDotProduct,
    FactorisedEncoder,
    FactorisedSelfAttention,
    SpatioTemporal,
    ViViT,
)
from vivit.models.attention import Attention
from vivit.models.blocks import Block
from vivit.models.encoder import Encoder
from vivit.models.factorised_self_attention import FactorisedSelfAttentionBlock
from vivit.models.head import Head
from vivit.models.tokenisers import Tokeniser, Tubelets

SCENIC_MODELS = (SpatioTemporal, FactorisedEncoder, FactorisedSelfAttention, FactorisedDotProduct)
"""The models of the authors' code. A class that derives from one of them may compute something else."""
NamedViews = Iterator[tuple[str, Tensor]]


def state_dict_views(net: nn.Module) -> dict[str, Tensor]:
    """Return every parameter by scenic's name, in scenic's layout, sharing the network's memory (on any device).

    Raises ConfigError for a network that is none of the four, or has parameters that scenic's has not.
    """
    if type(net) not in SCENIC_MODELS or not isinstance(net, ViViT):
        raise ConfigError("model", type(net).__name__, "scenic has only the four models", "convert one of those")
    if any(isinstance(part, Encoder) and part.pooling == "mean_then_norm" for part in net.modules()):
        raise ConfigError("model.pool", "mean_then_norm", "scenic's normalises every token", "convert a cls or mean")
    named = dict([*_tokeniser(net.tokeniser), *_encoders(net), *_head(net.head)])
    size = sum(tensor.numel() for tensor in (*net.parameters(), *net.buffers()))
    scenic_size = sum(tensor.numel() for tensor in named.values())
    if size != scenic_size:
        raise ConfigError(
            "model",
            type(net).__name__,
            f"scenic's has {scenic_size:,} parameters, this network {size:,}",
            "convert one of the four models",
        )
    return named


def _encoders(net: ViViT) -> NamedViews:
    if isinstance(net, FactorisedEncoder):
        yield from encoder_views("SpatialTransformer", "cls_SpatialTransformer", net.spatial)
        if isinstance(net.temporal, Encoder):
            yield from encoder_views("TemporalTransformer", "cls_TemporalTransformer", net.temporal)
    elif isinstance(net.encoder, Encoder):
        yield from encoder_views("Transformer", "cls", net.encoder)


def encoder_views(name: str, cls: str, encoder: Encoder) -> NamedViews:
    """Yield the parameters of one encoder; positions that are not learned are none."""
    if encoder.cls is not None:
        yield cls, rearrange(encoder.cls.detach(), "d -> 1 1 d")
    if isinstance(encoder.positions, nn.Parameter):
        yield f"{name}/posembed_input/pos_embedding", rearrange(encoder.positions.detach(), "n d -> 1 n d")
    for i, block in enumerate(encoder.blocks):
        if isinstance(block, FactorisedSelfAttentionBlock):
            yield from _factorised_block(f"{name}/encoderblock_{i}", block)
        elif isinstance(block, Block):
            yield from _block(f"{name}/encoderblock_{i}", block)
    yield from _norm(f"{name}/encoder_norm", encoder.norm)


def _block(name: str, block: Block) -> NamedViews:
    yield from _norm(f"{name}/LayerNorm_0", block.norm_attention)
    yield from _attention(f"{name}/MultiHeadDotProductAttention_0", block.attention)
    yield from _norm(f"{name}/LayerNorm_1", block.norm_mlp)
    yield from _mlp(f"{name}/MlpBlock_0", block.mlp)


def _factorised_block(name: str, block: FactorisedSelfAttentionBlock) -> NamedViews:
    for axis, branch in (("space", block.space), ("time", block.time)):
        yield from _norm(f"{name}/LayerNorm_{axis}", branch.norm)
        yield from _attention(f"{name}/MultiHeadDotProductAttention_{axis}", branch.attention)
    yield from _norm(f"{name}/LayerNorm_mlp", block.norm_mlp)
    yield from _mlp(f"{name}/MlpBlock", block.mlp)


def _attention(name: str, attention: Attention) -> NamedViews:
    kernels = rearrange(attention.qkv.weight.detach(), "(qkv a e) d -> qkv d a e", qkv=3, a=attention.heads)
    biases = rearrange(attention.qkv.bias.detach(), "(qkv a e) -> qkv a e", qkv=3, a=attention.heads)
    for part, kernel, bias in zip(("query", "key", "value"), kernels, biases, strict=True):
        yield f"{name}/{part}/kernel", kernel
        yield f"{name}/{part}/bias", bias
    yield f"{name}/out/kernel", rearrange(attention.out.weight.detach(), "d (a e) -> a e d", a=attention.heads)
    yield f"{name}/out/bias", attention.out.bias.detach()


def _mlp(name: str, mlp: nn.Sequential) -> NamedViews:
    for i, dense in enumerate(part for part in mlp if isinstance(part, nn.Linear)):
        yield from _dense(f"{name}/Dense_{i}", dense)


def _norm(name: str, norm: nn.LayerNorm) -> NamedViews:
    yield f"{name}/scale", norm.weight.detach()
    yield f"{name}/bias", norm.bias.detach()


def _dense(name: str, dense: nn.Linear) -> NamedViews:
    yield f"{name}/kernel", rearrange(dense.weight.detach(), "o i -> i o")
    yield f"{name}/bias", dense.bias.detach()


def _tokeniser(tokeniser: Tokeniser) -> NamedViews:
    layout = "d c t h w -> t h w c d" if isinstance(tokeniser, Tubelets) else "d c h w -> h w c d"
    weight, bias = tokeniser.projection.parameters()
    yield "embedding/kernel", rearrange(weight.detach(), layout)
    yield "embedding/bias", bias.detach()


def _head(head: Head) -> NamedViews:
    for dense in (part for part in head.pre_logits if isinstance(part, nn.Linear)):
        yield from _dense("pre_logits", dense)
    yield from _dense("output_projection", head.projection)
