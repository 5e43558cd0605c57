"""The task of `convert.py`."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from vivit.checkpoints import Network
from vivit.io import atomic_output, write_json
from vivit.launch import Job
from vivit.run_folder import provenance
from vivit.tasks.build import build_data, check_keys
from vivit.tasks.formats import READERS, WRITERS, Weights, format_of_source, format_of_target, given_by, given_of
from vivit.tasks.held import CUT, in_words, plain, settled

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
    weights, assumed = described(weights, cfg, job)
    if assumed:
        log.warning(
            "assumed, for neither %s nor the command line tells it: %s", source, in_words(_all(weights), assumed)
        )
    with atomic_output(target) as place:
        WRITERS[write](weights, place)
        again = READERS[write](place, given_of(weights.net))
        checked, lost = compared(weights.net, again.net), not_held(weights, again)
    results: dict[str, Any] = {
        "source": str(source),
        "target": str(target),
        "formats": [read, write],
        "report": weights.report,
    }
    results |= {"clips": plain(weights.data), "assumed": list(assumed), "not_held": lost, "check": checked}
    write_json(job.folder / "results.json", results | provenance())
    print(f"{source} ({read}) -> {target} ({write}), {checked['params']:,} parameters")
    print(
        f"Weights, on one random clip: largest logit {checked['largest_logit']:.3g}, "
        f"difference {checked['difference']:.3g}"
    )
    held = [key for key in (*CUT, "classes") if key not in lost]
    print(f"How clips are cut, read back as it was written: {in_words(_all(weights), held)}")
    if lost:
        print(f"Not in the target, so to be set by whoever reads it: {in_words(_all(weights), lost)}")
    return {}


def described(weights: Weights, cfg: DictConfig, job: Job) -> tuple[Weights, tuple[str, ...]]:
    """Add what the source does not tell: the classes, and how clips are cut; and name what was assumed of these."""
    classes = weights.net.head.projection.out_features
    assumed: tuple[str, ...] = ()
    if cfg.outputs:
        heads = {str(head): [str(i) for i in range(count)] for head, count in cfg.outputs.items()}
    elif not OmegaConf.is_missing(cfg.data, "root"):
        heads = {head: list(names) for head, names in build_data(cfg).heads.items()}
    else:
        heads = dict(weights.heads or {"label": [str(i) for i in range(classes)]})
        assumed = () if weights.heads else ("classes",)
    if (count := sum(map(len, heads.values()))) != classes:
        raise ValueError(f"{ {head: len(names) for head, names in heads.items()} } are {count} outputs, not {classes}")
    cut = settled(weights.data, cfg, job)
    return replace(weights, heads=heads, data=cut.data), (*cut.assumed, *assumed)


def not_held(weights: Weights, again: Weights) -> list[str]:
    """Name what was to be written and is not in the target. Raises ValueError where other values are."""
    lost = []
    ours, theirs = _all(weights), _all(again)
    for key, value in ours.items():
        if key not in theirs:
            lost.append(key)
        elif theirs[key] != value:
            raise ValueError(f"{key} reads back as {theirs[key]}, and {value} was to be written; nothing was written")
    return lost


def _all(weights: Weights) -> dict[str, Any]:
    """What decides an answer about a file, beside the network."""
    heads = {head: list(names) for head, names in (weights.heads or {}).items()}
    return plain(weights.data) | ({"classes": heads} if heads else {})


def compared(one: Network, other: Network) -> dict[str, Any]:
    """Compare two networks, weight by weight and on one random clip. Raises ValueError where they are not the same."""
    ours, theirs = one.state_dict(), other.state_dict()
    if ours.keys() != theirs.keys() or not all(torch.equal(ours[name], theirs[name]) for name in ours):
        raise ValueError("what was written does not read back as what was to be written; nothing was written")
    clip = torch.rand(1, 3, *one.clip_size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        first, second = one.eval()(clip), other.eval()(clip)
    if not bool(first.isfinite().all()):
        raise ValueError("the network's logits of a random clip are not all finite numbers; nothing was written")
    if not torch.equal(first, second):
        raise ValueError(
            f"what was written answers otherwise, by {(first - second).abs().max():.3g}; nothing was written"
        )
    return {
        "params": sum(parameter.numel() for parameter in one.parameters()),
        "largest_logit": first.abs().max().item(),
        "difference": (first - second).abs().max().item(),
    }
