"""The task of `eval.py`."""

from collections.abc import Mapping

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vivit.data import VideoData
from vivit.experiment.build import check_keys
from vivit.experiment.checkpoint import checkpoint_file, read_record
from vivit.experiment.results import numbers, views_name
from vivit.jobs import Job
from vivit.runfolder import print_results, provenance, write_json
from vivit.training import Recipe, Targets, VideoClassifier

EVAL_KEYS = (
    *("data", "augment", "resampling", "optim", "views", "trainer", "paths", "ckpt_path", "split"),
    *("batch_size", "workers", "skip_bad"),
)


def evaluate(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Score a checkpoint, with the network and the preprocessing that it describes; give the metrics."""
    check_keys(cfg, EVAL_KEYS)
    record = read_record(checkpoint_file(cfg.ckpt_path))
    clips = OmegaConf.create(record["data"])
    if cfg.get("data"):
        clips.root, clips.catalogue = cfg.data.root, OmegaConf.to_container(cfg.data.catalogue, resolve=True)
    for group in ("views", "resampling"):
        if cfg.get(group):
            clips[group] = cfg[group]
    clips.batch_size, clips.workers, clips.skip_bad = cfg.batch_size, cfg.workers, cfg.skip_bad
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
    left_out = data.left_out()
    if trainer.is_global_zero:
        results = {"ckpt_path": cfg.ckpt_path, "views": views_name(clips.views), "metrics": metrics}
        results |= {"left_out": left_out} | provenance()
        write_json(job.folder / "results.json", results)
        print_results(results, job.folder)
    return metrics
