"""The task of `eval.py`: a checkpoint, or scores that were kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vivit.data import VideoDataModule
from vivit.data.datasets import Split
from vivit.data.views import format_views
from vivit.evaluation.predictions_reader import PredictionsFile
from vivit.io import write_json
from vivit.launch import Job
from vivit.run_folder import print_results, provenance
from vivit.tasks.build import averaging_of, check_keys, check_taken
from vivit.tasks.checkpoint import checkpoint_file, read_record
from vivit.tasks.clips import check_reading, views_of
from vivit.tasks.scoring import announced, check_classes, measured, scores_of, unmeasured
from vivit.training import OptimizerConfig, SoftTargetLoss, VideoClassifier, disable_malloc_trim

EVAL_KEYS = (
    *("data", "augment", "resampling", "optim", "views", "trainer", "paths", "ckpt_path", "scores", "split"),
    *("batch_size", "workers", "timeout", "skip_bad", "metrics", "submission"),
)
READING = ("resampling", "batch_size", "workers", "timeout", "skip_bad")
"""Keys of this command that data sets have in training too."""
OF_A_PASS = ("ckpt_path", "split", "trainer", "data.train_share", *READING)
"""Keys that say how videos are scored, and nothing about scores that were kept."""
OF_DATA = ("root", "catalogue", "train_share")
"""What is taken of a data set that is named; all else is as in the training of the checkpoint."""


def evaluate(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Score a checkpoint, or take the scores that were kept; give the metrics."""
    check_keys(cfg, EVAL_KEYS)
    if (cfg.ckpt_path is None) == (cfg.scores is None):
        raise ValueError("one of two is wanted: ckpt_path=..., a checkpoint to score, or scores=.../scores.parquet")
    check_taken(job, OF_DATA, ("views", *READING))
    check_reading(cfg)
    return again(cfg, job) if cfg.scores else afresh(cfg, job)


def afresh(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Score a checkpoint, with the network and the preprocessing that it describes."""
    if cfg.split not in get_args(Split):
        raise ValueError(f"split={cfg.split} is no split; there are {', '.join(get_args(Split))}")
    record = read_record(checkpoint_file(cfg.ckpt_path))
    data = data_of(record, cfg, job)
    about = announced(data, measured=cfg.metrics and not cfg.get("submission"))
    with_metrics = cfg.metrics and not data.catalogue.videos(cfg.split).unlabelled()
    network = instantiate(record["model"], classes=sum(map(len, data.heads.values())), _convert_="all")
    module = VideoClassifier(
        network, heads=data.heads, loss=SoftTargetLoss(), optimizer_config=OptimizerConfig(torch.optim.SGD), seed=0,
        batch_size=cfg.batch_size, record=record, aggregator=averaging_of(data),
    )  # fmt: skip
    disable_malloc_trim()
    trainer = instantiate(cfg.trainer, logger=False, callbacks=[], enable_checkpointing=False)
    scores, _ = scores_of(trainer, module, data, about, job.folder, cfg.ckpt_path)
    return {} if scores is None else concluded(cfg, job, scores, with_metrics)


def data_of(record: Mapping[str, Any], cfg: DictConfig, job: Job) -> VideoDataModule:
    """Build the data set of a checkpoint, or the one that is asked for, which must have its classes.

    Its clips stay those of the checkpoint, but for what was typed: a data set brings views that suit its own training.
    """
    clips = OmegaConf.create(record["data"])
    if cfg.get("data"):
        clips.root, clips.catalogue = cfg.data.root, OmegaConf.to_container(cfg.data.catalogue, resolve=True)
        clips.train_share = cfg.data.train_share
    clips.views = views_of(clips.get("views"), cfg, job)
    if cfg.get("resampling"):
        clips.resampling = cfg.resampling
    if cfg.timeout is not None:
        clips.timeout = cfg.timeout
    clips.batch_size, clips.workers, clips.skip_bad = cfg.batch_size, cfg.workers, cfg.skip_bad
    data: VideoDataModule = instantiate(clips, _convert_="all")
    data.prepare_data()
    check_classes(record["heads"], data.heads, "the checkpoint")
    data.test_split = cfg.split
    return data


def again(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Compute metrics from scores that were kept, by the views and the average that are asked for if any are.

    With ``data`` the classes must be those of that data set.
    """
    if meaningless := job.cli_overrides(*OF_A_PASS):
        raise ValueError(f"{meaningless[0]} says how videos are scored, but scores={cfg.scores} holds them scored")
    file = PredictionsFile(Path(cfg.scores))
    if cfg.get("data"):
        catalogue = instantiate(cfg.data.catalogue, _convert_="all")(root=Path(cfg.data.root))
        check_classes(file.metadata.heads, catalogue.heads, cfg.scores)
    return concluded(cfg, job, file, cfg.metrics and not (cfg.get("submission") and file.count_unlabelled()))


def concluded(cfg: DictConfig, job: Job, scores: PredictionsFile, with_metrics: bool) -> Mapping[str, float]:
    """Write what follows from scores: results and tables and, where it is asked for, a submission."""
    kept = cfg.get("views") if cfg.scores else None
    views = format_views(kept.temporal, kept.spatial) if kept and job.cli_overrides("views") else None
    average = kept.average if kept and job.cli_overrides("views.average") else None
    about = scores.metadata
    source = {"ckpt_path": about.checkpoint} | ({"scores": cfg.scores} if cfg.scores else {})
    results = source | (measured if with_metrics else unmeasured)(scores, job.folder, views, average)
    if cfg.get("submission"):
        instantiate(cfg.get("submission"))(
            scores, job.folder / "submission.zip", views=results["views"], average=results["average"]
        )
    results |= {"left_out": about.left_out} | provenance()
    write_json(job.folder / "results.json", results)
    print_results(results, job.folder)
    return results["metrics"]
