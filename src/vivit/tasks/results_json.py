"""What ``results.json`` contains of a training run."""

from collections.abc import Mapping
from typing import Any

from lightning import Trainer
from omegaconf import DictConfig, OmegaConf

from vivit.data.views import format_views
from vivit.launch import Job
from vivit.training import BestCheckpoint, CurvePlotter, LastCheckpoint, ThroughputMonitor
from vivit.training.callbacks.curves import OF_EPOCH
from vivit.training.lightning_compat import get_callbacks
from vivit.training.optim import count_steps
from vivit.wilson import wilson

CONFIG_GROUPS = ("model", "size", "tokeniser", "data", "experiment", "scale")
"""Groups whose options ``results.json`` contains."""


def to_floats(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return a mapping of scalars as one of floats."""
    return {name: float(value) for name, value in metrics.items()}


def last_metrics(trainer: Trainer) -> dict[str, float]:
    """Return metrics of the last epoch and validation; where nothing was left to train, those of the checkpoint.

    Loss and accuracy of training are means over the epoch, where a callback makes them, and else of the last step.
    """
    saved = [c.metrics for c in trainer.checkpoint_callbacks if isinstance(c, LastCheckpoint)]
    metrics = to_floats(trainer.callback_metrics) or dict(*saved)
    of_epoch = {name.removesuffix(OF_EPOCH): metrics.pop(name) for name in [*metrics] if name.endswith(OF_EPOCH)}
    return metrics | of_epoch


def best_validation(trainer: Trainer, videos: int) -> dict[str, Any]:
    """Return the part of ``results.json`` about a run without a test: the validation of its best checkpoint.

    Empty where there was none.
    """
    best = [callback.metrics for callback in trainer.checkpoint_callbacks if isinstance(callback, BestCheckpoint)]
    metrics = best[0] if best and best[0] else last_metrics(trainer)
    metrics = {name: value for name, value in metrics.items() if name.startswith("val/")}
    if not metrics:
        return {}
    top1 = {name: wilson(round(metrics[name] * videos), videos) for name in ("val/acc_top1",) if name in metrics}
    view = {"views": format_views(1, 1), "scored_split": "val", "videos": videos}
    return view | {"metrics": metrics, "confidence_95": {name: list(interval) for name, interval in top1.items()}}


def run_results(cfg: DictConfig, job: Job, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Return the configuration of a run and its metrics."""
    return {group: job.choices.get(group) for group in CONFIG_GROUPS} | {
        "sweep": job.sweep,
        "row": job.identity.row if job.identity else None,
        "extra": list(job.identity.extra) if job.identity else [],
        "data_format": OmegaConf.select(cfg, "data.dataset.format"),
        "run_name": job.folder.name,
        "seed": cfg.seed,
        "views": format_views(cfg.views.temporal, cfg.views.spatial),
        "recipe": recipe_summary(cfg),
        "metrics": dict(metrics),
        "config": OmegaConf.to_container(cfg, resolve=True),
        "overrides": job.overrides,
    }


def run_metadata(cfg: DictConfig, job: Job, trainer: Trainer) -> dict[str, Any]:
    """Return what loggers sort runs by, beside network and data: options, what varies, the seed, initial weights."""
    return {
        "config_groups": {group: job.choices.get(group) for group in CONFIG_GROUPS},
        "row": job.identity.row if job.identity else None,
        "run_group": job.group,
        "seed": cfg.seed,
        "trainer": {"precision": str(trainer.precision)},
        "weights": OmegaConf.to_container(cfg.weights, resolve=True) if cfg.get("weights") else None,
    }


def recipe_summary(cfg: DictConfig) -> dict[str, Any]:
    """Return a run's clip, batch size and epochs, for tables."""
    rate = {key: cfg.data.get(key) for key in ("stride", "fps") if cfg.data.get(key) is not None}
    clip = {"frames": cfg.data.frames, **rate, "crop": list(cfg.data.crop)}
    return clip | {"batch_size": cfg.data.batch_size, "epochs": cfg.trainer.max_epochs}


def optimizer_summary(trainer: Trainer) -> dict[str, Any]:
    """Return the optimizer that a training used, its base rate, be it found or restored, its warm-up and steps."""
    (optimizer,), steps = trainer.optimizers, count_steps(trainer)
    module: Any = trainer.lightning_module
    group = max(optimizer.param_groups, key=lambda group: group.get("weight_decay", 0))  # some have no decay
    options = {key: value for key, value in group.items() if key not in ("params", "lr", "initial_lr", "lr_scale")}
    schedule = {"warmup_steps": module.optimizer_config.warmup_steps(**steps), "steps": steps["total_steps"]}
    return {"optimizer": {"name": type(optimizer).__name__, "lr": group["initial_lr"], **options} | schedule}


def training_history(trainer: Trainer) -> dict[str, Any]:
    """Return measured times and speed, and loss and accuracy of every epoch, from those callbacks that there are."""
    history: dict[str, Any] = {}
    for callback in get_callbacks(trainer):
        if isinstance(callback, ThroughputMonitor):
            history |= callback.results()
        if isinstance(callback, CurvePlotter):
            history["epochs"] = list(callback.epochs)
    return history
