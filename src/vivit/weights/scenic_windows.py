"""Scenic's names and layouts, as windows on a network's own parameters.

A window is a view: what is read through it is scenic's array, what is written through it is in the network. Import and
export are therefore the same table, and cannot disagree. Dense kernels are (in, out) in scenic, (out, in) in PyTorch;
query, key and value have an axis for the head, and ours lie behind one another in one matrix.
"""

from collections.abc import Iterator

from einops import rearrange
from torch import Tensor, nn

from vivit.models import FactorisedDotProduct, FactorisedEncoder, FactorisedSelfAttention, SpatioTemporal
from vivit.models.attention import Attention
from vivit.models.blocks import Block
from vivit.models.embedding import Tokeniser, Tubelets
from vivit.models.encoder import Encoder
from vivit.models.factorised_self_attention import FactorisedSelfAttentionBlock
from vivit.models.head import Head

Network = SpatioTemporal | FactorisedEncoder | FactorisedSelfAttention | FactorisedDotProduct
Named = Iterator[tuple[str, Tensor]]


def windows(net: nn.Module) -> dict[str, Tensor]:
    """Name every parameter as scenic does, in scenic's layout, sharing the network's memory (on any device).

    Raises ValueError for a network that is none of the four, or has parameters that scenic's has not.
    """
    if not isinstance(net, Network):
        raise ValueError(f"scenic has no counterpart of {type(net).__name__}, only of the four models")
    named = dict([*_tokeniser(net.tokeniser), *_encoders(net), *_head(net.head)])
    ours = sum(tensor.numel() for tensor in (*net.parameters(), *net.buffers()))
    theirs = sum(tensor.numel() for tensor in named.values())
    if ours != theirs:
        raise ValueError(f"scenic's {type(net).__name__} has {theirs:,} parameters of this size, this network {ours:,}")
    return named


def _encoders(net: Network) -> Named:
    if not isinstance(net, FactorisedEncoder):
        yield from encoder_windows("Transformer", "cls", net.encoder)
        return
    yield from encoder_windows("SpatialTransformer", "cls_SpatialTransformer", net.spatial)
    if isinstance(net.temporal, Encoder):
        yield from encoder_windows("TemporalTransformer", "cls_TemporalTransformer", net.temporal)


def encoder_windows(name: str, cls: str, encoder: Encoder) -> Named:
    """Name the parameters of one encoder; positions that are not learned are none."""
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


def _block(name: str, block: Block) -> Named:
    yield from _norm(f"{name}/LayerNorm_0", block.norm_attention)
    yield from _attention(f"{name}/MultiHeadDotProductAttention_0", block.attention)
    yield from _norm(f"{name}/LayerNorm_1", block.norm_mlp)
    yield from _mlp(f"{name}/MlpBlock_0", block.mlp)


def _factorised_block(name: str, block: FactorisedSelfAttentionBlock) -> Named:
    for axis, branch in (("space", block.space), ("time", block.time)):
        yield from _norm(f"{name}/LayerNorm_{axis}", branch.norm)
        yield from _attention(f"{name}/MultiHeadDotProductAttention_{axis}", branch.attention)
    yield from _norm(f"{name}/LayerNorm_mlp", block.norm_mlp)
    yield from _mlp(f"{name}/MlpBlock", block.mlp)


def _attention(name: str, attention: Attention) -> Named:
    kernels = rearrange(attention.qkv.weight.detach(), "(qkv a e) d -> qkv d a e", qkv=3, a=attention.heads)
    biases = rearrange(attention.qkv.bias.detach(), "(qkv a e) -> qkv a e", qkv=3, a=attention.heads)
    for part, kernel, bias in zip(("query", "key", "value"), kernels, biases, strict=True):
        yield f"{name}/{part}/kernel", kernel
        yield f"{name}/{part}/bias", bias
    yield f"{name}/out/kernel", rearrange(attention.out.weight.detach(), "d (a e) -> a e d", a=attention.heads)
    yield f"{name}/out/bias", attention.out.bias.detach()


def _mlp(name: str, mlp: nn.Sequential) -> Named:
    for i, dense in enumerate(part for part in mlp if isinstance(part, nn.Linear)):
        yield from _dense(f"{name}/Dense_{i}", dense)


def _norm(name: str, norm: nn.LayerNorm) -> Named:
    yield f"{name}/scale", norm.weight.detach()
    yield f"{name}/bias", norm.bias.detach()


def _dense(name: str, dense: nn.Linear) -> Named:
    yield f"{name}/kernel", rearrange(dense.weight.detach(), "o i -> i o")
    yield f"{name}/bias", dense.bias.detach()


def _tokeniser(tokeniser: Tokeniser) -> Named:
    layout = "d c t h w -> t h w c d" if isinstance(tokeniser, Tubelets) else "d c h w -> h w c d"
    weight, bias = tokeniser.projection.parameters()
    yield "embedding/kernel", rearrange(weight.detach(), layout)
    yield "embedding/bias", bias.detach()


def _head(head: Head) -> Named:
    for dense in (part for part in head.pre_logits if isinstance(part, nn.Linear)):
        yield from _dense("pre_logits", dense)
    yield from _dense("output_projection", head.projection)
