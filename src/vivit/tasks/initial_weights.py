"""Where training starts: a checkpoint to resume from, or the weights of a network before its first step."""

import logging

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import nn

from vivit.checkpoints import resolve_weight_file
from vivit.checkpoints.vivit_checkpoint import read_record, resolve_checkpoint_file
from vivit.errors import ABSENT, ConfigError
from vivit.launch import Job
from vivit.overrides import split_override

log = logging.getLogger(__name__)

RANDOM = ("weights=null", "weights=none")
"""Overrides by which a network starts from random weights."""


def resolve_checkpoint(ckpt_path: str | None, job: Job) -> str | None:
    """Return the path of the checkpoint to resume from; None for a start at step 0.

    The last checkpoint of a resumed run has precedence over the one that the run once started from.
    """
    last = job.folder / "checkpoints" / "last.ckpt"
    if last.is_file() and (job.resumes or ckpt_path == "auto"):
        file = last
    elif ckpt_path is None or ckpt_path == "auto":
        if ckpt_path == "auto":
            log.info("no checkpoint in %s yet: a start at step 0", last.parent)
        return None
    else:
        file = resolve_checkpoint_file(ckpt_path, "last")
        if overrides := [text for text in job.cli_overrides("weights") if text not in RANDOM]:
            key, value = split_override(overrides[0])
            raise ConfigError(
                key,
                ABSENT if value is None else value,
                f"has no effect beside ckpt_path={ckpt_path}: a run that resumes has its weights from there",
                "leave one of them out",
            )
    read_record(file)
    step = torch.load(file, map_location="cpu", weights_only=True, mmap=True)["global_step"]
    log.info("resumed at step %d, from %s", step, file)
    return str(file)


def check_weights_source(cfg: DictConfig) -> None:
    """Raise ConfigError where initial weights come from a file that is not set or missing, before any other work."""
    weights = cfg.get("weights")
    if not weights:
        return
    if OmegaConf.is_missing(weights, "source"):
        raise ConfigError(
            "weights.source",
            problem="the file to start from is not set",
            remedy="docs/weights.md lists public ones; weights=imagenet21k_base|large|huge are the paper's",
        )
    if source := weights.get("source"):
        resolve_weight_file(source)


def load_initial_weights(cfg: DictConfig, network: nn.Module) -> None:
    """Load the weights that the configuration names, and log what the load did.

    Random weights are warned of, save for the embedded data set, which is made to be learnt from scratch: none of the
    paper's results starts from them.
    """
    frozen = cfg.model.get("frozen")
    if frozen is not None and not cfg.get("weights"):
        log.warning("model.frozen=%s freezes random weights: set weights= to what they are to be", frozen)
    if cfg.get("weights"):
        log.info("%s", instantiate(cfg.weights, _convert_="all")(network))
    elif cfg.data.dataset.name != "motion":
        log.warning(
            "TRAINING FROM RANDOM WEIGHTS. The paper starts every network from an image ViT, and real videos are "
            "hardly learnt without: set weights=image weights.source=FILE (docs/weights.md lists where to get files)"
        )
