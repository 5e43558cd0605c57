"""The task of `eval.py`: metrics of a checkpoint, or of saved predictions."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from vivit.checkpoints.vivit_checkpoint import load_network, resolve_checkpoint_file
from vivit.data import VideoDataModule
from vivit.data.datasets import Split, VideoDataset
from vivit.data.overview import ClipPlan
from vivit.data.view_samplers import MultiViewSampler
from vivit.data.views import format_views
from vivit.device.malloc import disable_malloc_trim
from vivit.errors import ABSENT, ConfigError
from vivit.evaluation.predictions_reader import PredictionsFile
from vivit.inference.preprocessing import Preprocessing, parse_preprocessing
from vivit.io import write_json
from vivit.launch import Job
from vivit.overrides import DATA_KEYS, escape_interpolation, split_override
from vivit.run_folder import print_results, provenance
from vivit.structures import Video
from vivit.tasks.build import build_aggregator, build_test_trainer
from vivit.tasks.clip_settings import merge_typed_settings, to_plain
from vivit.tasks.config_checks import check_classes, check_dataset_overrides, check_keys, check_loader_options
from vivit.tasks.data_report import report_scored_data
from vivit.tasks.dataset import build_dataset
from vivit.tasks.run_summary import print_beside_majority
from vivit.tasks.test import prepare_test, run_test, write_metrics, write_scores_only, write_test_pictures
from vivit.tasks.time_battery import check_time_battery, run_time_battery
from vivit.training import OptimizerConfig, SoftTargetLoss, VideoClassifier
from vivit.training.compute import precision_settings

CACHE_KEYS = ("cache", "cache_gb", "cache_dir")
LOADER_KEYS = ("resampling", "batch_size", "num_workers", "timeout", "skip_unreadable", *CACHE_KEYS)
"""Keys of this command that data sets have in training too."""
PREDICTION_KEYS = ("ckpt_path", "split", "time", "trainer", "data.train_share", "data.val_share", *LOADER_KEYS)
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
    report_scored_data(job, data.dataset, cfg.split, scored_clips(data), cfg.skip_unreadable)
    metadata = prepare_test(data, with_metrics=cfg.compute_metrics and not cfg.get("submission"))
    with_metrics = cfg.compute_metrics and not data.dataset.videos(cfg.split).unlabelled()
    if cfg.time:
        check_time_battery(data, with_metrics=with_metrics)
    module = VideoClassifier(
        network, heads=data.heads, loss=SoftTargetLoss(),
        optimizer_config=OptimizerConfig(torch.optim.SGD), seed=0, batch_size=cfg.batch_size, record=record,
        aggregator=build_aggregator(data),
    )  # fmt: skip
    disable_malloc_trim()
    trainer = build_test_trainer(cfg)
    scores, _ = run_test(trainer, module, data, metadata, job.folder, cfg.ckpt_path)
    time = run_time_battery(trainer, module, data, scores, job.folder) if cfg.time else {}
    if scores is None:
        return {}
    videos, measured = data.dataset.videos(data.test_split), {"compute": precision_settings(trainer)}
    return finalize_eval(cfg, job, scores, with_metrics, measured | ({"time": time} if time else {}), videos)


def scored_clips(data: VideoDataModule) -> ClipPlan:
    """Return how the views of a test are cut from the videos."""
    views = data.test_views
    return ClipPlan(
        frames=views.frames,
        stride=views.stride,
        fps=views.fps,
        resize=views.resize,
        crop=(views.crop[0], views.crop[1]),
        spatial_views=views.spatial,
        reads_copies=data.dataset.copies is not None,
        whole_network=False,
    )


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
    dataset = build_dataset(cfg) if cfg.get("data") else None
    if dataset is not None:
        check_classes(file.metadata.heads, dataset.heads, cfg.scores)
    videos = None if dataset is None else videos_of_scores(dataset, file)
    with_metrics = cfg.compute_metrics and not (cfg.get("submission") and file.count_unlabelled())
    return finalize_eval(cfg, job, file, with_metrics, videos=videos)


def videos_of_scores(dataset: VideoDataset, file: PredictionsFile) -> Sequence[Video] | None:
    """Return the videos of saved predictions; None where the data set has others, so that no frames are drawn."""
    split: Any = file.metadata.split
    videos = dataset.videos(split) if split in dataset.splits else None
    paths = [] if videos is None else videos.column("path") or []
    if len(paths) != file.metadata.listed:
        return None
    rows = (zip(part.videos.tolist(), part.paths, strict=True) for part in file.parts())
    return videos if all(str(paths[row]) == path for part in rows for row, path in part) else None


def finalize_eval(
    cfg: DictConfig,
    job: Job,
    scores: PredictionsFile,
    with_metrics: bool,
    measured: Mapping[str, Any] = MappingProxyType({}),
    videos: Sequence[Video] | None = None,
) -> Mapping[str, float]:
    """Write results, tables and, where it is configured, a submission; return the metrics.

    ``measured`` are further parts of ``results.json``: how the scores were computed, and what changes of time cost.
    ``videos`` are those of the split, for pictures.
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
    results |= {"skipped_videos": metadata.skipped_videos, **measured, **provenance()}
    write_json(job.folder / "results.json", results)
    if with_metrics:
        write_test_pictures(scores, job.folder, videos)
    print_results(results, job.folder)
    print_beside_majority(results)
    return results["metrics"]
