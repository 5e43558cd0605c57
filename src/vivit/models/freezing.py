"""Parts of a network that are not trained: they stay as they are, and nothing of them is stored for the way back.

After Model 2 with a frozen spatial encoder (Gupta et al. 2023, arXiv 2306.04822) and the usual probes.
"""

from typing import TYPE_CHECKING, Any

from torch import nn

from vivit.errors import ConfigError
from vivit.models.encoder import Encoder

if TYPE_CHECKING:
    from vivit.models.base import ViViT

Frozen = str | int | None
"""``spatial``: of Model 2 all but the temporal encoder and the head. ``all_but_head``. A number: what is before the
blocks of the (spatial) encoder, and so many first ones. None: nothing."""


def freeze(network: "ViViT", frozen: Frozen) -> list[nn.Module]:
    """Freeze parts of a network; return its modules that compute as in evaluation, without dropout, from now on.

    Raises ConfigError where the network has no such parts.
    """
    if frozen is None:
        return []
    encoder: Any = getattr(network, network.image_encoder, None)
    temporal = getattr(network, "temporal", None)
    modules: list[nn.Module] = [network.tokeniser]
    if frozen == "all_but_head":
        modules += [module for name, module in network.named_children() if name not in ("tokeniser", "head")]
    elif frozen == "spatial":
        if temporal is None or not any(True for _ in temporal.parameters()):
            remedy = "set model=factorised_encoder, all_but_head, or a number of first blocks"
            raise ConfigError(
                "model.frozen", frozen, "a temporal encoder would be what trains, and there is none", remedy
            )
        modules.append(encoder)
    elif isinstance(frozen, int) and not isinstance(frozen, bool):
        blocks = list(encoder.blocks) if isinstance(encoder, Encoder) else []
        if not 0 <= frozen <= len(blocks):
            raise ConfigError(
                "model.frozen", frozen, f"the encoder has {len(blocks)} blocks", f"set 0 to {len(blocks)}"
            )
        modules += blocks[:frozen]
        for name in ("cls", "positions"):
            if isinstance(parameter := getattr(encoder, name, None), nn.Parameter):
                parameter.requires_grad_(False)
    else:
        remedy = "set spatial, all_but_head, a number of first blocks, or null"
        raise ConfigError("model.frozen", frozen, "is no part of a network", remedy)
    for module in modules:
        module.requires_grad_(False)
    return modules


def count_trained(network: nn.Module) -> int:
    """Return the number of parameters that are trained."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
