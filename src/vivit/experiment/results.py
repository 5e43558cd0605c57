"""What a run writes down."""

from collections.abc import Mapping
from typing import Any

from lightning import Trainer
from omegaconf import DictConfig, OmegaConf

from vivit.jobs import Job
from vivit.training import LastCheckpoint, Stopwatch


def numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Plain numbers of a mapping of scalars."""
    return {name: float(value) for name, value in metrics.items()}


def last_metrics(trainer: Trainer) -> dict[str, float]:
    """Metrics of the last step and validation, those that the checkpoint keeps where nothing was left to train."""
    kept = [c.metrics for c in trainer.checkpoint_callbacks if isinstance(c, LastCheckpoint)]
    return numbers(trainer.callback_metrics) or dict(*kept)


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
