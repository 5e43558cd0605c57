"""The task of `train.py`."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint, Timer
from omegaconf import DictConfig

from vivit.data.views import format_views
from vivit.device.matrix_rate import flops_of_training
from vivit.io import write_json
from vivit.launch import Job
from vivit.models.flops import count_flops
from vivit.models.freezing import count_trained
from vivit.run_folder import print_results, provenance
from vivit.tasks.batch_size import check_memory, resolve_batch_size
from vivit.tasks.build import build_data, build_module, build_trainer
from vivit.tasks.compute import keep_settings
from vivit.tasks.config_checks import check_keys
from vivit.tasks.data_report import report_training_data
from vivit.tasks.dataset import check_data_root, write_splits
from vivit.tasks.initial_weights import check_weights_source, load_initial_weights, resolve_checkpoint
from vivit.tasks.results_json import (
    best_validation,
    last_metrics,
    optimizer_summary,
    run_metadata,
    run_results,
    training_history,
)
from vivit.tasks.run_summary import print_beside_majority, print_epochs, print_next
from vivit.tasks.step_size import keep_step, read_epoch
from vivit.tasks.test import prepare_test, run_test, score_training_videos, write_metrics, write_test_pictures
from vivit.tasks.thresholds import choose_test_thresholds
from vivit.tasks.training_checks import check_mixup, check_monitors, check_shards, monitor_map
from vivit.training import RunMetadata, ThroughputMonitor, log_pictures, log_test_metrics
from vivit.training.compute import compute_settings
from vivit.training.lightning_compat import get_callbacks

log = logging.getLogger(__name__)


def train(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Train a model, test its best checkpoint, write ``results.json``; return the metrics.

    Where a data set lists no test videos, those of validation are scored instead, as ``val/...``.
    """
    begun = time.perf_counter()
    check_keys(cfg, "train")
    check_mixup(cfg)
    check_shards(cfg)
    checkpoint = resolve_checkpoint(cfg.ckpt_path, job)
    if checkpoint:
        cfg = keep_settings(cfg, Path(checkpoint))
    else:
        check_data_root(cfg)  # first: without videos no weights are worth a download
        check_weights_source(cfg)
    cfg = keep_step(resolve_batch_size(cfg, job), job, Path(checkpoint) if checkpoint else None)
    check_mixup(cfg)  # of a batch that was found
    seed_everything(cfg.seed, verbose=False)
    data = build_data(cfg)
    data.begun = read_epoch(Path(checkpoint)) if checkpoint else None
    views = report_training_data(cfg, job, data.dataset)
    if cfg.test and "test" not in data.dataset.splits:
        data.test_split = "val"
        log.info("no test videos are listed: the val videos are scored at the end, which choose the checkpoint too")
    module = build_module(cfg, data)
    monitor_map(cfg, job, data.heads)
    check_monitors(cfg, module)
    trainer = build_trainer(cfg)
    add_run_metadata(trainer, run_metadata(cfg, job, trainer))
    height, width = cfg.data.crop
    cost = count_flops(module.network, frames=cfg.data.frames, height=height, width=width, strict=False)
    if cost.uncounted:
        log.warning("FLOPs are counted without %s, which no table of vivit.models.flops has", ", ".join(cost.uncounted))
    trained = count_trained(module.network)
    log.info(
        "%.2f M parameters%s, %.3f G multiply-adds a clip",
        *(cost.params / 1e6, "" if trained == cost.params else f", {trained / 1e6:.2f} M of them trained", cost.gmac),
    )
    check_memory(cfg, module.network, trainer)
    watch_use(trainer, begun, None if cost.uncounted or trained != cost.params else flops_of_training(cost.gmac))
    test_metadata = prepare_test(data) if cfg.test else None
    if trainer.is_global_zero and data.dataset.holds_out:
        write_splits(data.dataset, job.folder / "splits.csv")
    if not checkpoint:
        load_initial_weights(cfg, module.network)
    trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    if cfg.trainer.get("max_time") is not None:
        log_time_is_over(trainer, job.folder)
    metrics, optimizer = last_metrics(trainer), optimizer_summary(trainer)
    history = training_history(trainer)  # testing a checkpoint resets the throughput monitor
    compute = {"compute": compute_settings(trainer)}
    test_results: dict[str, Any] = {"metrics": {}}
    scores = None
    best = best_checkpoint(trainer)
    begun = time.perf_counter()
    if test_metadata is not None:
        choose_test_thresholds(trainer, module, data, job.folder, best)
        scores, _ = run_test(trainer, module, data, test_metadata, job.folder, best)
        if scores is not None:
            test_results = write_metrics(scores, job.folder)
            log_test_metrics(trainer, test_results["metrics"])
    elif validated := best_validation(trainer, len(data.dataset.videos("val"))):
        test_results = validated
    if cfg.get("test_train"):
        test_results["metrics"] |= score_training_videos(trainer, module, data, job.folder / "test_train", best)
    history |= {"test_seconds": time.perf_counter() - begun}
    skipped = data.skipped_videos()
    if trainer.is_global_zero:
        metrics |= test_results.pop("metrics")
        costs = {"params": cost.params, "trained_params": trained, "gmac": cost.gmac, "paper_gflops": cost.paper_gflops}
        results = run_results(cfg, job, metrics) | test_results | optimizer | compute | costs | history
        results |= {"skipped_videos": skipped} | provenance()
        write_json(job.folder / "results.json", results)
        if scores is not None:
            videos = data.dataset.videos(data.test_split)
            log_pictures(trainer, write_test_pictures(scores, job.folder, videos))
        print_epochs(results.get("epochs", []), *best_metric(trainer))
        print_results(results, job.folder)
        print_beside_majority(results)
        if job.sweep is None:
            split = data.test_split if data.test_split in data.dataset.splits else "train"
            seen = format_views(cfg.views.temporal, cfg.views.spatial)
            video = data.dataset.videos(split)[0].path
            print_next(job.folder, Path(cfg.paths.logs), video, None if views == seen and cfg.test else views, split)
    return metrics


def add_run_metadata(trainer: Trainer, metadata: Mapping[str, Any]) -> None:
    """Add metadata to the callbacks that write down what a run is made of."""
    for callback in get_callbacks(trainer):
        if isinstance(callback, RunMetadata):
            callback.facts = {**callback.facts, **metadata}


def watch_use(trainer: Trainer, begun: float, flops_a_clip: float | None) -> None:
    """Pass to the callbacks that measure speed when the run began, and the FLOPs of a clip; None where unknown."""
    for callback in get_callbacks(trainer):
        if isinstance(callback, ThroughputMonitor):
            callback.begun, callback.flops_a_clip = begun, flops_a_clip


def log_time_is_over(trainer: Trainer, folder: Path) -> None:
    """Log how a run goes on that ``trainer.max_time`` ended before its last step."""
    limits = [callback.time_remaining() for callback in get_callbacks(trainer) if isinstance(callback, Timer)]
    if not trainer.is_global_zero or not any(left is not None and left <= 0 for left in limits):
        return
    steps, total = trainer.global_step, trainer.estimated_stepping_batches
    if steps < total and (folder / "checkpoints" / "last.ckpt").is_file():
        log.warning(
            "trainer.max_time was over at step %d of %d; go on with resume=%s +trainer.max_time=..., which counts the "
            "time of all starts (null: no limit)",
            *(steps, total, folder),
        )


def best_metric(trainer: Trainer) -> tuple[str | None, str]:
    """Return the metric by which the best checkpoint is chosen, and whether its "max" or "min" is the best."""
    monitors = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor is not None]
    return (monitors[0].monitor, monitors[0].mode) if monitors else (None, "max")


def best_checkpoint(trainer: Trainer) -> str | None:
    """Return the path of the checkpoint with the best validation; None, for the last weights, without any."""
    monitors = [c for c in trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint) and c.monitor is not None]
    return monitors[0].best_model_path or None if monitors else None
