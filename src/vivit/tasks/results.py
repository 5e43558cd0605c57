"""What a run writes down."""

from collections.abc import Mapping
from typing import Any

from lightning import Trainer
from omegaconf import DictConfig, OmegaConf

from vivit.data.views import format_views
from vivit.launch import Job
from vivit.launch.resolvers import run_group
from vivit.training import CurvePlotter, LastCheckpoint, ThroughputMonitor
from vivit.training.optim import count_steps

CHOSEN = ("model", "size", "tokeniser", "data", "experiment", "scale", "row")
"""The groups whose choices ``results.json`` names."""


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Plain numbers of a mapping of scalars."""
    return {name: float(value) for name, value in metrics.items()}


def last_metrics(trainer: Trainer) -> dict[str, float]:
    """Metrics of the last step and validation, those that the checkpoint keeps where nothing was left to train."""
    kept = [c.metrics for c in trainer.checkpoint_callbacks if isinstance(c, LastCheckpoint)]
    return numbers(trainer.callback_metrics) or dict(*kept)


def describe(cfg: DictConfig, job: Job, metrics: Mapping[str, float]) -> dict[str, Any]:
    """Say what was run and what came out."""
    return {group: job.choices.get(group) for group in CHOSEN} | {
        "sweep": job.sweep,
        "job": job.folder.name,
        "seed": cfg.seed,
        "views": format_views(cfg.views.temporal, cfg.views.spatial),
        "recipe": recipe(cfg),
        "metrics": dict(metrics),
        "config": OmegaConf.to_container(cfg, resolve=True),
        "overrides": job.overrides,
    }


def identity(cfg: DictConfig, job: Job) -> dict[str, Any]:
    """Say what loggers sort runs by, beside network and data: what was chosen, what varies, the seed, the start."""
    return {
        "chosen": {group: job.choices.get(group) for group in CHOSEN},
        "setting": run_group(job.overrides),
        "seed": cfg.seed,
        "trainer": {"precision": cfg.trainer.precision},
        "weights": OmegaConf.to_container(cfg.weights, resolve=True) if cfg.get("weights") else None,
    }


def recipe(cfg: DictConfig) -> dict[str, Any]:
    """Say in a few words what a run was, for tables."""
    clip = {"frames": cfg.data.frames, "stride": cfg.data.stride, "crop": list(cfg.data.crop)}
    return clip | {"batch_size": cfg.data.batch_size, "epochs": cfg.trainer.max_epochs}


def learnt_with(trainer: Trainer) -> dict[str, Any]:
    """Return what a training really used: optimiser and base rate, be it found or restored, warm-up and steps."""
    (optimiser,), steps = trainer.optimizers, count_steps(trainer)
    module: Any = trainer.lightning_module
    group = max(optimiser.param_groups, key=lambda group: group.get("weight_decay", 0))  # some are spared it
    plain = {key: value for key, value in group.items() if key not in ("params", "lr", "initial_lr", "lr_scale")}
    said = {"name": type(optimiser).__name__, "lr": group["initial_lr"], **plain}
    return {
        "optimiser": said
        | {"warmup_steps": module.optimizer_config.warmup_steps(**steps), "steps": steps["total_steps"]}
    }


def course(trainer: Trainer) -> dict[str, Any]:
    """Say what the stopwatch measured, and loss and accuracy of every epoch, of which callbacks there are."""
    said: dict[str, Any] = {}
    for watch in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it without declaring it
        if isinstance(watch, ThroughputMonitor):
            said |= {"train_seconds": watch.train_seconds, "step_seconds": watch.step_seconds}
            said |= watch.speed() | {"peak_mb": watch.peak_mb}
        if isinstance(watch, CurvePlotter):
            said["epochs"] = list(watch.epochs)
    return said
