"""The task of `train.py`."""

import logging
from collections.abc import Mapping
from typing import Any

from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from omegaconf import DictConfig

from vivit.io import write_json
from vivit.launch import Job
from vivit.models.flops import count_flops
from vivit.run_folder import print_results, provenance
from vivit.tasks.build import build_data, build_module, build_trainer, check_keys, check_mixup, check_monitors
from vivit.tasks.initial import check_source, start_from_weights
from vivit.tasks.results import course, describe, identity, last_metrics, learnt_with, numbers
from vivit.tasks.scoring import announced, measured, scores_of
from vivit.tasks.start import starting_point
from vivit.training import RunMetadata, format_model, log_test_metrics

log = logging.getLogger(__name__)

TRAIN_KEYS = (
    *("model", "size", "tokeniser", "data", "augment", "resampling", "views", "loader", "optim", "targets", "trainer"),
    *("callbacks", "logger", "positions", "weights", "paths", "seed", "ckpt_path", "resume", "test"),
    *("image_vit", "vivit", "records", "skip_recorded"),
)


def train(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Train a model, score its best checkpoint, write ``results.json``; give the metrics."""
    check_keys(cfg, TRAIN_KEYS)
    check_mixup(cfg)
    seed_everything(cfg.seed, verbose=False)
    start = starting_point(cfg.ckpt_path, job)
    if not start:
        check_source(cfg)
    data = build_data(cfg)
    module = build_module(cfg, data)
    check_monitors(cfg, module)
    trainer = build_trainer(cfg)
    announce(trainer, identity(cfg, job))
    one_clip = count_flops(module.network, frames=cfg.data.frames, height=cfg.data.crop[0], width=cfg.data.crop[1])
    log.info("%s", format_model(module.record))
    log.info("%.2f M parameters, %.3f G multiply-adds a clip", one_clip.params / 1e6, one_clip.gmac)
    about = announced(data) if cfg.test else None
    if not start:
        start_from_weights(cfg, module.network)
    trainer.fit(module, data, ckpt_path=start, weights_only=True)
    metrics, used = last_metrics(trainer), learnt_with(trainer)
    time = course(trainer)  # testing a checkpoint turns the stopwatch back
    found: dict[str, Any] = {"metrics": {}}
    if about is not None:
        scores, left_out = scores_of(trainer, module, data, about, job.folder, best_checkpoint(trainer))
        metrics |= numbers(trainer.callback_metrics)
        if scores is not None:
            found = measured(scores, job.folder)
            log_test_metrics(trainer, found["metrics"])
    else:
        left_out = data.left_out()
    if trainer.is_global_zero:
        metrics |= found.pop("metrics")
        costs = {"params": one_clip.params, "gmac": one_clip.gmac, "paper_gflops": one_clip.paper_gflops}
        results = describe(cfg, job, metrics) | found | used | costs | time | {"left_out": left_out} | provenance()
        write_json(job.folder / "results.json", results)
        print_results(results, job.folder)
    return metrics


def announce(trainer: Trainer, about: Mapping[str, Any]) -> None:
    """Let those who write down what a run is made of say this too."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it without declaring it
        if isinstance(callback, RunMetadata):
            callback.facts = {**callback.facts, **about}


def best_checkpoint(trainer: Trainer) -> str | None:
    """Path of the checkpoint with the best validation; None, for the weights at hand, where none is kept."""
    kept = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor is not None]
    return kept[0].best_model_path or None if kept else None
