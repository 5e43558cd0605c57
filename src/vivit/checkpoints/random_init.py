"""Random weights for networks that have no image model to start from and little time."""

from torch import nn

from vivit.checkpoints.load_report import LoadReport
from vivit.errors import ConfigError


def init_pos_embed(network: nn.Module, *, std: float) -> LoadReport:
    """Fill every table of learned positions from N(0, std^2); all other weights keep their initial values.

    The reference draws from N(0, 0.02^2), next to nothing beside tokens whose entries are about 1 after the first
    LayerNorm: fine for a network that inherits an image model's positions, but one that starts from nothing first has
    to learn that positions exist.

    Raises ConfigError where std is not positive.
    """
    if std <= 0:
        raise ConfigError("weights.std", std, "is no standard deviation", "set a number above 0")
    for name, parameter in network.named_parameters():
        if name.endswith("positions"):
            nn.init.normal_(parameter, std=std)
    return LoadReport("random numbers", fresh=tuple(name for name, _ in network.named_parameters()))
