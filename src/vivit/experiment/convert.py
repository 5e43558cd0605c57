"""The task of `convert.py`."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from vivit.experiment.build import build_data, check_keys
from vivit.experiment.formats import READERS, WRITERS, Weights, format_of_source, format_of_target, given_by, given_of
from vivit.jobs import Job
from vivit.runfolder import provenance, write_json
from vivit.weights import Network

log = logging.getLogger(__name__)

CONVERT_KEYS = (
    *("source", "target", "source_format", "target_format", "outputs"),
    *("model", "frames", "height", "width", "sampled_frames", "attention_heads"),
    *("data", "augment", "resampling", "views", "loader", "optim", "trainer", "paths", "seed"),
)


def convert(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Write ``source`` anew as ``target``, read that back, and compare both networks on random input."""
    check_keys(cfg, CONVERT_KEYS)
    source, target = Path(cfg.source), Path(cfg.target)
    if not source.exists():
        raise FileNotFoundError(f"source={source} is not there")
    if target.exists():
        raise FileExistsError(f"target={target} is there already, and is not written over")
    read, write = cfg.source_format or format_of_source(source), cfg.target_format or format_of_target(target)
    for key, chosen in (("source_format", read), ("target_format", write)):
        if chosen not in READERS:
            raise ValueError(f"{key}={chosen} is not one of {', '.join(READERS)}")
    weights = READERS[read](source, given_by(cfg, job.choices.get("model")))
    log.info("%s", weights.report)
    target.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[write](described(weights, cfg), target)
    again = READERS[write](target, given_of(weights.net)).net
    checked = compared(weights.net, again)
    print(f"{source} ({read}) -> {target} ({write}), {checked['params']:,} parameters")
    print(f"On random input: largest logit {checked['largest_logit']:.3g}, difference {checked['difference']:.3g}")
    results = {"source": str(source), "target": str(target), "formats": [read, write], "report": weights.report}
    write_json(job.folder / "results.json", results | {"check": checked} | provenance())
    return {}


def described(weights: Weights, cfg: DictConfig) -> Weights:
    """Add what the source does not tell and the configuration does: the classes, and how clips are cut."""
    classes = weights.net.head.projection.out_features
    if cfg.outputs:
        heads = {str(head): [str(i) for i in range(count)] for head, count in cfg.outputs.items()}
    elif not OmegaConf.is_missing(cfg.data, "root"):
        heads = {head: list(names) for head, names in build_data(cfg).heads.items()}
    else:
        heads = dict(weights.heads or {"label": [str(i) for i in range(classes)]})
    if (count := sum(map(len, heads.values()))) != classes:
        raise ValueError(f"{ {head: len(names) for head, names in heads.items()} } are {count} outputs, not {classes}")
    data: Any = weights.data or OmegaConf.to_container(cfg.data, resolve=True)
    return replace(weights, heads=heads, data=data)


def compared(one: Network, other: Network) -> dict[str, Any]:
    """Compare two networks, weight by weight and on one random clip. Raises ValueError where they are not the same."""
    ours, theirs = one.state_dict(), other.state_dict()
    if ours.keys() != theirs.keys() or not all(torch.equal(ours[name], theirs[name]) for name in ours):
        raise ValueError("what was written does not read back as what was to be written; do not use it")
    clip = torch.rand(1, 3, *one.clip, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        first, second = one.eval()(clip), other.eval()(clip)
    return {
        "params": sum(parameter.numel() for parameter in one.parameters()),
        "largest_logit": first.abs().max().item(),
        "difference": (first - second).abs().max().item(),
    }
