"""Describe a network in plain values, as the record of a checkpoint does: from them it is built again."""

from typing import Any

from torch import nn

from vivit.checkpoints import Network
from vivit.models import FactorisedEncoder, SpatioTemporal, Tokeniser, Tubelets, UniformFrames
from vivit.models.blocks import MLP, Block
from vivit.models.encoder import Encoder
from vivit.models.factorised_self_attention import FactorisedSelfAttentionBlock

MODELS = {
    "SpatioTemporal": "spatiotemporal",
    "FactorisedEncoder": "factorised_encoder",
    "FactorisedSelfAttention": "factorised_self_attention",
    "FactorisedDotProduct": "factorised_dot_product",
}
"""Every architecture's name among the configurations."""


def model_record(net: Network) -> dict[str, Any]:
    """Give the arguments that build this network, all but the number of classes. What training adds is left at zero."""
    frames, height, width = net.clip_size
    dense = [part.out_features for part in net.head.pre_logits if isinstance(part, nn.Linear)]
    record: dict[str, Any] = {
        "_target_": f"vivit.models.{type(net).__name__}",
        "tokeniser": _tokeniser(net.tokeniser),
        **{"frames": frames, "height": height, "width": width},
        "representation": dense[0] if dense else None,
        "gelu": next(part.gelu for part in net.modules() if isinstance(part, MLP)),
    }
    if isinstance(net, FactorisedEncoder):
        spatial = _encoder(net.spatial)
        temporal = _encoder(net.temporal) if isinstance(net.temporal, Encoder) else spatial | {"depth": 0}
        return record | spatial | {f"temporal_{key}": value for key, value in temporal.items()} | _pool(net.spatial)
    record |= _encoder(net.encoder)
    if isinstance(block := net.encoder.blocks[0], FactorisedSelfAttentionBlock):
        record["order"] = block.order
    return record | (_pool(net.encoder) if isinstance(net, SpatioTemporal) else {})


def model_name(net: Network) -> str:
    """Name the network as the configurations do."""
    if isinstance(net, FactorisedEncoder) and not isinstance(net.temporal, Encoder):
        return "average_pool"
    return MODELS[type(net).__name__]


def _tokeniser(tokeniser: Tokeniser) -> dict[str, Any]:
    cut: dict[str, Any] = {"_target_": f"vivit.models.{type(tokeniser).__name__}", "dim": tokeniser.dim}
    if isinstance(tokeniser, Tubelets):
        return cut | {"tubelet": list(tokeniser.tubelet)}
    if isinstance(tokeniser, UniformFrames):
        return cut | {"frames": tokeniser.frames, "patch": list(tokeniser.patch)}
    raise ValueError(f"a tokeniser of type {type(tokeniser).__name__} cannot be described in a checkpoint's record")


def _encoder(encoder: Encoder) -> dict[str, int]:
    block = encoder.blocks[0]
    if isinstance(block, FactorisedSelfAttentionBlock):
        attention, mlp = block.space.attention, block.mlp
    elif isinstance(block, Block):
        attention, mlp = block.attention, block.mlp
    else:
        raise ValueError(f"a block of type {type(block).__name__} cannot be described in a checkpoint's record")
    widen = next(part for part in mlp if isinstance(part, nn.Linear))
    return {"depth": len(encoder.blocks), "heads": attention.heads, "mlp_dim": widen.out_features}


def _pool(encoder: Encoder) -> dict[str, str]:
    return {"pool": "mean" if encoder.cls is None else "cls"}
