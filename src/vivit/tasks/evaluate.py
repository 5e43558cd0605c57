"""The task of `eval.py`: metrics of a checkpoint, or of saved predictions."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from vivit.checkpoints.vivit_checkpoint import load_network, resolve_checkpoint_file
from vivit.data import VideoDataModule
from vivit.data.datasets import Split
from vivit.data.view_samplers import MultiViewSampler
from vivit.data.views import format_views
from vivit.errors import ABSENT, ConfigError
from vivit.evaluation.predictions_reader import PredictionsFile
from vivit.inference.preprocessing import Preprocessing, parse_preprocessing
from vivit.io import write_json
from vivit.launch import Job
from vivit.overrides import escape_interpolation, split_override
from vivit.run_folder import print_results, provenance
from vivit.tasks.build import build_aggregator
from vivit.tasks.clip_settings import DATA_KEYS, merge_typed_settings, to_plain
from vivit.tasks.compute import trainer_options
from vivit.tasks.config_checks import check_classes, check_dataset_overrides, check_keys, check_loader_options
from vivit.tasks.dataset import build_dataset
from vivit.tasks.test import prepare_test, run_test, write_metrics, write_scores_only
from vivit.training import OptimizerConfig, SoftTargetLoss, VideoClassifier, disable_malloc_trim
from vivit.training.compute import precision_settings

CACHE_KEYS = ("cache", "cache_gb", "cache_dir")
LOADER_KEYS = ("resampling", "batch_size", "num_workers", "timeout", "skip_unreadable", *CACHE_KEYS)
"""Keys of this command that data sets have in training too."""
PREDICTION_KEYS = ("ckpt_path", "split", "trainer", "data.train_share", "data.val_share", *LOADER_KEYS)
"""Keys that define how predictions are made, and have no effect on saved ones."""


def evaluate(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Compute the metrics of a checkpoint, or of saved predictions, and return them."""
    check_keys(cfg, "eval")
    if (cfg.ckpt_path is None) == (cfg.scores is None):
        raise ConfigError(
            "ckpt_path",
            cfg.ckpt_path,
            "exactly one of ckpt_path and scores is needed",
            "set ckpt_path=..., a checkpoint to score, or scores=.../scores.parquet",
        )
    check_dataset_overrides(job, DATA_KEYS, ("views", *LOADER_KEYS))
    check_loader_options(cfg)
    return evaluate_scores(cfg, job) if cfg.scores else evaluate_checkpoint(cfg, job)


def evaluate_checkpoint(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Score a checkpoint, with the network and the preprocessing of its record."""
    if cfg.split not in get_args(Split):
        raise ConfigError("split", cfg.split, "is not a split", f"set one of {', '.join(get_args(Split))}")
    cfg.ckpt_path = escape_interpolation(str(resolve_checkpoint_file(cfg.ckpt_path)))
    network, record = load_network(Path(cfg.ckpt_path))
    data = build_eval_data(record, cfg, job)
    metadata = prepare_test(data, with_metrics=cfg.compute_metrics and not cfg.get("submission"))
    with_metrics = cfg.compute_metrics and not data.dataset.videos(cfg.split).unlabelled()
    module = VideoClassifier(
        network, heads=data.heads, loss=SoftTargetLoss(),
        optimizer_config=OptimizerConfig(torch.optim.SGD), seed=0, batch_size=cfg.batch_size, record=record,
        aggregator=build_aggregator(data),
    )  # fmt: skip
    disable_malloc_trim()
    options = trainer_options(cfg.trainer)
    trainer = instantiate(options, logger=False, callbacks=[], enable_checkpointing=False, _convert_="all")
    scores, _ = run_test(trainer, module, data, metadata, job.folder, cfg.ckpt_path)
    return {} if scores is None else finalize_eval(cfg, job, scores, with_metrics, precision_settings(trainer))


def build_eval_data(
    record: Mapping[str, Any], cfg: DictConfig, job: Job, *, same_classes: bool = True
) -> VideoDataModule:
    """Return the data set of a checkpoint, or the one that is named, which must have the ``same_classes``.

    Its clips stay those of the checkpoint, but for what is typed: a data set brings views for its own training.
    """
    file, source = cfg.ckpt_path, dict(record.get("data", {}))
    if cfg.get("data"):
        shares = {key: cfg.data[key] for key in DATA_KEYS if key.endswith("share") and cfg.data.get(key) is not None}
        source = {"root": cfg.data.root, "dataset": to_plain(cfg.data.dataset), **shares}
    if "root" not in source:
        raise ConfigError("data", problem=f"{file} names no data set", remedy="set data=... data.root=...")
    clips = merge_typed_settings(record["preprocessing"], cfg, job)
    preprocessing = Preprocessing.from_plain(clips, file)
    views = preprocessing.views
    data = VideoDataModule(
        **{key: source[key] for key in DATA_KEYS if key in source},
        frames=views.frames, stride=views.stride, fps=views.fps, resize=views.resize, crop=views.crop,
        views=partial(MultiViewSampler, **parse_preprocessing(clips, file).get("views", {})),
        resampling=preprocessing.resampling,
        batch_size=cfg.batch_size, num_workers=cfg.num_workers, timeout=cfg.timeout,
        skip_unreadable=cfg.skip_unreadable, seed=0, **{key: cfg[key] for key in CACHE_KEYS if key in cfg},
    )  # fmt: skip
    if same_classes and cfg.get("data"):
        data.dataset.take_classes(record["classes"], labelled=cfg.compute_metrics)
    data.prepare_data()
    if same_classes:
        check_classes(record["classes"], data.heads, "the checkpoint")
        data.test_split = cfg.split
    return data


def evaluate_scores(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Compute metrics from saved predictions, by the views and the average that are typed, if any are.

    With ``data`` the classes must be those of that data set.
    """
    if unused := job.cli_overrides(*PREDICTION_KEYS):
        key, value = split_override(unused[0])
        raise ConfigError(
            key,
            ABSENT if value is None else value,
            f"defines how videos are scored, and scores={cfg.scores} contains them scored",
            "leave one of them out",
        )
    file = PredictionsFile(Path(cfg.scores))
    if cfg.get("data"):
        check_classes(file.metadata.heads, build_dataset(cfg).heads, cfg.scores)
    return finalize_eval(
        cfg, job, file, cfg.compute_metrics and not (cfg.get("submission") and file.count_unlabelled())
    )


def finalize_eval(
    cfg: DictConfig,
    job: Job,
    scores: PredictionsFile,
    with_metrics: bool,
    compute: Mapping[str, Any] | None = None,
) -> Mapping[str, float]:
    """Write results, tables and, where it is configured, a submission; return the metrics.

    ``compute`` is how the scores were computed; None where they were read.
    """
    typed = cfg.get("views") if cfg.scores else None
    views = format_views(typed.temporal, typed.spatial) if typed and job.cli_overrides("views") else None
    average = typed.average if typed and job.cli_overrides("views.average") else None
    metadata = scores.metadata
    source = {"ckpt_path": metadata.checkpoint} | ({"scores": cfg.scores} if cfg.scores else {})
    results = source | (write_metrics if with_metrics else write_scores_only)(scores, job.folder, views, average)
    if cfg.get("submission"):
        instantiate(cfg.get("submission"))(
            scores, job.folder / "submission.zip", views=results["views"], average=results["average"]
        )
    results |= {"skipped_videos": metadata.skipped_videos} | ({"compute": compute} if compute else {}) | provenance()
    write_json(job.folder / "results.json", results)
    print_results(results, job.folder)
    return results["metrics"]
