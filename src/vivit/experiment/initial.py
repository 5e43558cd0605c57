"""The weights that a network has before its first step."""

import logging

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

log = logging.getLogger(__name__)


def start_from_weights(cfg: DictConfig, network: nn.Module) -> None:
    """Load the weights that the configuration names, and log what the load did.

    Random weights are warned of, save for the embedded data set, which is made to be learnt from scratch: none of the
    paper's results starts from them.
    """
    if cfg.get("weights"):
        size = {key: cfg.model[key] for key in ("frames", "height", "width")}
        OmegaConf.to_container(cfg.weights, resolve=True, throw_on_missing=True)  # names a source that is not given
        log.info("%s", instantiate(cfg.weights, _convert_="all")(network, **size))
    elif not cfg.data.catalogue._target_.endswith(".Motion"):
        log.warning(
            "TRAINING FROM RANDOM WEIGHTS. The paper starts every network from an image ViT, and real videos are "
            "hardly learnt without: set weights=image weights.source=FILE (README.md says where files are to be had)"
        )
