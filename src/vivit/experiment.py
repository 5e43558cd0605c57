"""Build what a configuration names, and run it: the only module that reads configurations."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import DictConfig, OmegaConf
from torch import nn

from vivit.cost import cost
from vivit.data import VideoData
from vivit.jobs import Job
from vivit.runfolder import machine, print_results, print_rows, provenance, write_json
from vivit.training import Recipe, Stopwatch, Targets, VideoClassifier, described

log = logging.getLogger(__name__)

NAMED = ("callbacks", "logger")
"""Groups that hold objects by name rather than one object."""
TRAIN_KEYS = (
    *("model", "size", "tokeniser", "data", "augment", "views", "optim", "targets", "trainer", "callbacks", "logger"),
    *("paths", "seed", "ckpt_path", "test"),
)
EVAL_KEYS = ("data", "augment", "optim", "views", "trainer", "paths", "ckpt_path", "split", "batch_size", "workers")


@dataclass(frozen=True)
class Paths:
    """Where things are: the repository, data, logs, and the folder of this run."""

    root: str
    data: str
    logs: str
    run: str


def train(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Train a model, score its best checkpoint, write ``results.json``; give the metrics."""
    check_keys(cfg, TRAIN_KEYS)
    seed_everything(cfg.seed, verbose=False)
    data = build_data(cfg)
    module = build_module(cfg, data)
    trainer = build_trainer(cfg)
    one_clip = cost(module.network, frames=cfg.data.frames, height=cfg.data.crop[0], width=cfg.data.crop[1])
    log.info("%s", described(module.record))
    log.info("%.2f M parameters, %.3f G multiply-adds a clip", one_clip.params / 1e6, one_clip.gmac)
    start = cfg.ckpt_path and str(checkpoint_file(cfg.ckpt_path))
    trainer.fit(module, data, ckpt_path=start, weights_only=True)
    metrics, time = numbers(trainer.callback_metrics), timing(trainer)  # testing a checkpoint turns the stopwatch back
    if cfg.test:
        trainer.test(module, data, ckpt_path=best_checkpoint(trainer), verbose=False, weights_only=True)
        metrics |= numbers(trainer.callback_metrics)
    if trainer.is_global_zero:
        costs = {"params": one_clip.params, "gmac": one_clip.gmac, "paper_gflops": one_clip.paper_gflops}
        results = describe(cfg, job, metrics) | costs | time | provenance()
        write_json(job.folder / "results.json", results)
        print_results(results, job.folder)
    return metrics


def evaluate(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Score a checkpoint, with the network and the preprocessing that it describes; give the metrics."""
    check_keys(cfg, EVAL_KEYS)
    record = read_record(checkpoint_file(cfg.ckpt_path))
    clips = OmegaConf.create(record["data"])
    if cfg.get("data"):
        clips = OmegaConf.merge(clips, {key: cfg.data[key] for key in ("root", "catalogue")})
    if cfg.get("views"):
        clips.views = cfg.views
    clips.batch_size, clips.workers = cfg.batch_size, cfg.workers
    data: VideoData = instantiate(clips, _convert_="all")
    data.prepare_data()
    if (theirs := {head: list(names) for head, names in data.heads.items()}) != record["heads"]:
        raise ValueError(f"the checkpoint names the classes {record['heads']}, the data set {theirs}")
    network = instantiate(record["model"], classes=sum(map(len, theirs.values())), _convert_="all")
    module = VideoClassifier(
        network, heads=data.heads, targets=Targets(), recipe=Recipe(torch.optim.SGD), seed=0,
        batch_size=cfg.batch_size, record=record,
    )  # fmt: skip
    data.scored = cfg.split
    trainer = instantiate(cfg.trainer, logger=False, callbacks=[], enable_checkpointing=False)
    trainer.test(module, data, ckpt_path=cfg.ckpt_path, verbose=False, weights_only=True)
    metrics = numbers(trainer.callback_metrics)
    if trainer.is_global_zero:
        results = {"ckpt_path": cfg.ckpt_path, "views": views_name(clips.views), "metrics": metrics} | provenance()
        write_json(job.folder / "results.json", results)
        print_results(results, job.folder)
    return metrics


def check_keys(cfg: DictConfig, known: tuple[str, ...]) -> None:
    """Refuse what nobody would read: an unknown key at the root, a named object without a class."""
    if unknown := sorted(set(map(str, cfg)) - set(known)):
        raise ValueError(f"unknown key {unknown[0]!r}; the configuration has {', '.join(sorted(known))}")
    for group in NAMED:
        for name, node in (cfg.get(group) or {}).items():
            if node is not None and "_target_" not in node:
                raise ValueError(f"{group}.{name} has no _target_, the class to build; is the name misspelt?")
    for group in ("paths", "size"):
        if group in cfg:
            instantiate(cfg[group])  # so that a misspelt key is found


def build_data(cfg: DictConfig) -> VideoData:
    """Build the data set, made or checked."""
    data: VideoData = instantiate(cfg.data, _convert_="all")
    data.prepare_data()
    return data


def build_module(cfg: DictConfig, data: VideoData) -> VideoClassifier:
    """Build a network with as many outputs as the data set has classes, and what trains it."""
    network: nn.Module = instantiate(cfg.model, classes=sum(map(len, data.heads.values())), _convert_="all")
    plain = {key: OmegaConf.to_container(cfg[key], resolve=True) for key in ("model", "data")}
    return VideoClassifier(
        network,
        heads=data.heads,
        targets=instantiate(cfg.targets),
        recipe=instantiate(cfg.optim),
        seed=cfg.seed,
        batch_size=cfg.data.batch_size,
        record=plain | {"heads": {head: list(names) for head, names in data.heads.items()}},
    )


def build_trainer(cfg: DictConfig) -> Trainer:
    """Build the trainer with its callbacks and loggers; an entry set to null is left out."""
    callbacks, loggers = (
        [instantiate(node) for node in (cfg.get(group) or {}).values() if node is not None] for group in NAMED
    )
    return instantiate(cfg.trainer, callbacks=callbacks, logger=loggers or False, default_root_dir=cfg.paths.run)


def checkpoint_file(path: str) -> Path:
    """Check that a checkpoint is there."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"ckpt_path={path} is not a file; checkpoints lie in <run folder>/checkpoints")
    return Path(path)


def read_record(file: Path) -> dict[str, Any]:
    """Read what a checkpoint tells of its network and data. Only our own classes may be named in it."""
    try:
        record = torch.load(file, map_location="cpu", weights_only=True, mmap=True)["vivit"]
    except Exception as error:
        raise ValueError(f"{file} is not a checkpoint of this repository ({type(error).__name__}: {error})") from None
    for target in targets_of(record):
        if not target.startswith("vivit."):
            raise ValueError(f"{file} asks for {target}; a checkpoint may only name classes of this repository")
    return record


def targets_of(node: Any) -> list[str]:
    """List every ``_target_`` in nested plain values."""
    if isinstance(node, Mapping):
        own = [str(node["_target_"])] if "_target_" in node else []
        return own + [target for value in node.values() for target in targets_of(value)]
    return [target for value in node for target in targets_of(value)] if isinstance(node, list) else []


def best_checkpoint(trainer: Trainer) -> str | None:
    """Path of the checkpoint with the best validation; None, for the weights at hand, where none is kept."""
    kept = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor is not None]
    return kept[0].best_model_path or None if kept else None


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Plain numbers of a mapping of scalars."""
    return {name: float(value) for name, value in metrics.items()}


def views_name(views: DictConfig) -> str:
    """Name views as the paper does: temporal x spatial."""
    return f"{views.temporal}x{views.spatial}"


def describe(cfg: DictConfig, job: Job, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Say what was run and what came out."""
    chosen = {group: job.choices.get(group) for group in ("model", "size", "tokeniser", "data")}
    return chosen | {
        "sweep": job.sweep,
        "job": job.folder.name,
        "seed": cfg.seed,
        "views": views_name(cfg.views),
        "metrics": dict(metrics),
        "config": OmegaConf.to_container(cfg, resolve=True),
        "overrides": job.overrides,
    }


def timing(trainer: Trainer) -> dict[str, float | None]:
    """Say what the stopwatch measured, if there was one."""
    for watch in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it without declaring it
        if isinstance(watch, Stopwatch):
            spent = {"train_seconds": watch.train_seconds, "step_seconds": watch.step_seconds}
            return spent | {"peak_mb": watch.peak_mb}
    return {}


def benchmark(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Run one benchmark; write ``results.json`` and show its rows."""
    check_keys(cfg, ("bench", "paths"))
    rows = instantiate(cfg.bench, _convert_="all")
    results = {"bench": job.choices["bench"], "machine": machine(), "rows": rows} | provenance()
    write_json(job.folder / "results.json", results)
    print_rows(rows, job.folder)
    return {}
