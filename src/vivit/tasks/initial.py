"""The weights that a network has before its first step."""

import logging

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from vivit.checkpoints import resolve_weight_file
from vivit.errors import ConfigError

log = logging.getLogger(__name__)


def check_source(cfg: DictConfig) -> None:
    """Raise where a file is to be started from that is not named or not there, before anything else takes time."""
    weights = cfg.get("weights")
    if not weights:
        return
    if OmegaConf.is_missing(weights, "source"):
        raise ConfigError(
            "weights.source",
            problem="the file to start from is not set",
            remedy="README.md lists public ones; weights=imagenet21k_base|large|huge are the paper's",
        )
    if source := weights.get("source"):
        resolve_weight_file(source)


def start_from_weights(cfg: DictConfig, network: nn.Module) -> None:
    """Load the weights that the configuration names, and log what the load did.

    Random weights are warned of, save for the embedded data set, which is made to be learnt from scratch: none of the
    paper's results starts from them.
    """
    if cfg.get("weights"):
        size = {key: cfg.model[key] for key in ("frames", "height", "width")}
        log.info("%s", instantiate(cfg.weights, _convert_="all")(network, **size))
    elif not cfg.data.catalogue._target_.endswith(".Motion"):
        log.warning(
            "TRAINING FROM RANDOM WEIGHTS. The paper starts every network from an image ViT, and real videos are "
            "hardly learnt without: set weights=image weights.source=FILE (README.md says where files are to be had)"
        )
