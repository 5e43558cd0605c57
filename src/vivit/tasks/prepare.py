"""The task of `prepare.py`."""

import logging
from collections.abc import Mapping

from omegaconf import DictConfig

from vivit.data.index.prepare import prepare as prepare_dataset
from vivit.errors import ConfigError
from vivit.io import write_json
from vivit.launch import Job
from vivit.run_folder import provenance
from vivit.tasks.config_checks import check_dataset_overrides, check_keys
from vivit.tasks.dataset import build_dataset

log = logging.getLogger(__name__)

OPTIONS = ("full_decode", "look_alike", "copies", "gop", "crf", "shard_index", "num_shards")
LISTED = ("missing", "unusable", "without_copy")
"""Counts of files that the report lists, each with the reason."""


def prepare(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Index the files of a data set, copy them if configured, and write the counts."""
    check_keys(cfg, "prepare")
    check_dataset_overrides(job, ("root", "dataset"), ("num_workers",))
    if not cfg.get("data"):
        raise ConfigError("data", None, "is not set", "set data=kinetics400 or another, and data.root to its folder")
    dataset = build_dataset(cfg)
    dataset.prepare()
    options = {key: cfg[key] for key in OPTIONS}
    counts = prepare_dataset(dataset, splits=cfg.splits, num_workers=cfg.num_workers, **options)
    write_json(job.folder / "results.json", {"metrics": counts} | provenance())
    log.info("%s", ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items()))
    if any(counts.get(kind) for kind in LISTED):
        log.info("files that are missing, unusable or without a copy are listed in %s", dataset.prepared_folder)
    if counts.get("alike"):
        log.info(
            "videos that look alike, of one film or one camera, are listed in %s/alike.csv", dataset.prepared_folder
        )
    return {}
