"""The task of `convert.py`."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from vivit.checkpoints.run_checkpoint import checkpoint_of_run
from vivit.checkpoints.vivit_checkpoint import check_weights
from vivit.data.datasets.video_list import named_heads
from vivit.errors import ConfigError, UserError
from vivit.inference.load import READERS, LoadedModel, detect_source_format
from vivit.io import atomic_output, write_json
from vivit.launch import Job
from vivit.models import ViViT
from vivit.run_folder import provenance
from vivit.structures import Heads
from vivit.tasks.clip_settings import CLIP_KEYS, data_record, format_clip_settings, merge_clip_settings, to_plain
from vivit.tasks.config_checks import check_keys
from vivit.tasks.dataset import build_dataset
from vivit.tasks.weight_formats import (
    WRITERS,
    detect_target_format,
    multi_label_settings,
    network_options,
    stored_settings,
    typed_options,
)

log = logging.getLogger(__name__)


def convert(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Write ``source`` anew as ``target``, read that back, and compare both networks on random input."""
    check_keys(cfg, "convert")
    source, target = Path(cfg.source), Path(cfg.target)
    if not source.exists():
        raise ConfigError("source", source, "there is no such file", "set a file or folder of weights")
    if source.is_dir() and not (source / "config.json").is_file():
        source = checkpoint_of_run(source, "source") or source
    if target.exists():
        raise ConfigError("target", target, "exists and is not overwritten", "set another file")
    source_format = cfg.source_format or detect_source_format(source)
    target_format = cfg.target_format or detect_target_format(target)
    for key, value, known in (("source_format", source_format, READERS), ("target_format", target_format, WRITERS)):
        if value not in known:
            raise ConfigError(key, value, "is unknown", f"set one of {', '.join(known)}")
    loaded = READERS[source_format](source, typed_options(cfg, job.choices.get("model")))
    check_weights(loaded.net, source, "nothing was written")
    log.info("%s", loaded.report)
    loaded, assumed = add_missing_settings(loaded, cfg, job)
    settings = plain_settings(loaded)
    if assumed:
        log.warning(
            "assumed, for it is neither in %s nor on the command line: %s",
            source,
            format_clip_settings(settings, assumed),
        )
    with atomic_output(target) as output:
        WRITERS[target_format](loaded, output)
        reread = READERS[target_format](output, network_options(loaded.net))
        check, lost = compare_networks(loaded.net, reread.net), lost_settings(loaded, reread)
    results: dict[str, Any] = {
        "source": str(source),
        "target": str(target),
        "formats": [source_format, target_format],
        "report": loaded.report,
        "clips": stored_settings(loaded),
        "assumed": list(assumed),
        "not_held": lost,
        "check": check,
    }
    write_json(job.folder / "results.json", results | provenance())
    print(f"{source} ({source_format}) -> {target} ({target_format}), {check['params']:,} parameters")
    print(
        f"Weights, on one random clip: largest logit {check['largest_logit']:.3g}, difference {check['difference']:.3g}"
    )
    stored = [key for key in (*CLIP_KEYS, "classes") if key not in lost]
    print(f"Clip settings, read back as written: {format_clip_settings(settings, stored)}")
    if lost:
        print(f"Not in the target, so to be set by whoever reads it: {format_clip_settings(settings, lost)}")
    return {}


def add_missing_settings(loaded: LoadedModel, cfg: DictConfig, job: Job) -> tuple[LoadedModel, tuple[str, ...]]:
    """Return the model with the classes and clip settings that its source does not have, and which are assumed."""
    outputs, complete = loaded.net.head.projection.out_features, bool(loaded.data)
    assumed: tuple[str, ...] = ()
    if cfg.head_sizes:
        check_outputs(cfg.head_sizes)
        heads: Heads = {str(head): [str(i) for i in range(count)] for head, count in cfg.head_sizes.items()}
    elif not OmegaConf.is_missing(cfg.data, "root"):
        dataset = build_dataset(cfg)
        dataset.prepare()
        heads = named_heads(dataset.heads, type(dataset).__name__)
        loaded = replace(loaded, data=data_record(to_plain(cfg.data))["data"])
    else:
        heads = loaded.classes or {"label": [str(i) for i in range(outputs)]}
        assumed = () if loaded.classes else ("classes",)
    sizes = {head: len(names) for head, names in heads.items()}
    if (count := sum(sizes.values())) != outputs:
        raise ConfigError(
            "head_sizes" if cfg.head_sizes else "data.root",
            format_sizes(sizes) if cfg.head_sizes else cfg.data.root,
            f"has {count} classes ({format_sizes(sizes)}), and the network {outputs} outputs",
            "set head_sizes={<head>:<count>,...}",
        )
    settings, unset = merge_clip_settings(loaded.preprocessing, cfg, job, complete=complete)
    return replace(loaded, classes=heads, preprocessing=settings), (*unset, *assumed)


def check_outputs(outputs: Any) -> None:
    """Raise ConfigError unless ``outputs`` is a number of classes, 1 or more, for every head."""
    counts = OmegaConf.to_container(outputs) if OmegaConf.is_dict(outputs) else None
    if not isinstance(counts, dict) or not all(type(count) is int and count > 0 for count in counts.values()):
        raise ConfigError(
            "head_sizes",
            outputs,
            "is not a number of classes for each head",
            "set head_sizes={noun:300,verb:97} or alike",
        )


def format_sizes(sizes: Mapping[str, int]) -> str:
    """Return the number of classes of each head as it would be typed."""
    return "{" + ",".join(f"{head}:{size}" for head, size in sizes.items()) + "}"


def lost_settings(loaded: LoadedModel, reread: LoadedModel) -> list[str]:
    """Return the settings that the target does not store. Raises UserError where it stores other values."""
    lost = []
    expected, actual = plain_settings(loaded), plain_settings(reread)
    for key, value in expected.items():
        if key not in actual:
            lost.append(key)
        elif actual[key] != value:
            raise UserError(f"{key} reads back as {actual[key]}, and {value} was to be written; nothing was written")
    return lost


def plain_settings(loaded: LoadedModel) -> dict[str, Any]:
    """Return in plain values what defines a prediction of a file, beside the network."""
    heads = {head: list(names) for head, names in (loaded.classes or {}).items()}
    return stored_settings(loaded) | ({"classes": heads} if heads else {}) | multi_label_settings(loaded)


def compare_networks(expected: ViViT, actual: ViViT) -> dict[str, Any]:
    """Return size, largest logit and difference of two networks, on one random clip.

    Raises UserError where their weights or logits differ at all, or are not finite.
    """
    weights, other = expected.state_dict(), actual.state_dict()
    if weights.keys() != other.keys() or not all(torch.equal(weights[name], other[name]) for name in weights):
        raise UserError("the weights read back are not those that were to be written; nothing was written")
    clip = torch.rand(1, 3, *expected.clip_size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        logits, reread = expected.eval()(clip), actual.eval()(clip)
    if not bool(logits.isfinite().all()):
        raise UserError("the network's logits of a random clip are not all finite numbers; nothing was written")
    difference = (logits - reread).abs().max().item()
    if not torch.equal(logits, reread):
        raise UserError(f"the logits of what was written differ by {difference:.3g}; nothing was written")
    return {
        "params": sum(parameter.numel() for parameter in expected.parameters()),
        "largest_logit": logits.abs().max().item(),
        "difference": difference,
    }
