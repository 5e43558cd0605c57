"""The task of `prepare.py`."""

import logging
from collections.abc import Mapping
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from vivit.data.datasets import VideoDataset
from vivit.data.index.prepare import prepare as go_through
from vivit.io import write_json
from vivit.launch import Job
from vivit.run_folder import provenance
from vivit.tasks.build import check_keys, check_taken

log = logging.getLogger(__name__)

WORK = ("splits", "workers", "decode", "copies", "gop", "quality", "shard", "shards")
PREPARE_KEYS = (*WORK, "data", "augment", "optim", "views", "loader", "trainer", "paths")


def prepare(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Index the files of a data set, copy them if asked, and say what was found."""
    check_keys(cfg, PREPARE_KEYS)
    check_taken(job, ("root", "catalogue"), ("workers",))
    if not cfg.data:
        raise ValueError("data names no data set; set data=kinetics400 or another, and data.root to where it lies")
    catalogue: VideoDataset = instantiate(cfg.data.catalogue, _convert_="all")(root=Path(cfg.data.root))
    catalogue.prepare()
    counts = go_through(catalogue, **{key: cfg[key] for key in WORK if key != "splits"}, splits=list(cfg.splits))
    write_json(job.folder / "results.json", {"metrics": counts} | provenance())
    log.info("%s", ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items()))
    log.info("what cannot be used is named in %s", catalogue.prepared_folder)
    return {}
