"""The task of `prepare.py`."""

import logging
import os
from collections.abc import Mapping
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from vivit.config_folder import CONFIGS
from vivit.data.index.job_array import share_of_work
from vivit.data.index.prepare import REPORT
from vivit.data.index.prepare import prepare as prepare_dataset
from vivit.data.option_checks import check_balance
from vivit.data.view_samplers import check_rate
from vivit.entry_points import typed
from vivit.errors import ConfigError
from vivit.io import write_json
from vivit.launch import Job
from vivit.launch.command_line import replace_null_option
from vivit.launch.typed_rate import prefer_typed_rate
from vivit.run_folder import provenance
from vivit.tasks.config_checks import check_clip_keys, check_dataset_overrides, check_keys, listed_splits
from vivit.tasks.dataset import build_dataset

log = logging.getLogger(__name__)

OPTIONS = ("full_decode", "look_alike", "copies", "gop", "crf", "tar_size")
USED = ("root", "dataset", "val_share", "frames", "stride", "fps", "resize", "crop", "balance")
"""Keys of a data set that say which videos there are, or how clips are cut from them."""
LISTED = ("missing", "unusable", "without_copy", "pending")
"""Counts of files that the report lists, each with the reason."""


def prepare(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Index the files of a data set, copy them if configured, and write the counts."""
    check_keys(cfg, "prepare")
    check_dataset_overrides(job, USED, ("num_workers",))
    if not cfg.get("data"):
        remedy = "name a data set: data=folder data.root=/videos, or data=csv, data=kinetics400 and so on"
        raise ConfigError("data", problem="is not set", remedy=remedy)
    splits = listed_splits(cfg)
    check_clip_keys(cfg)
    check_rate(cfg.data.get("stride"), cfg.data.get("fps"))
    check_balance(cfg.data.get("balance", 0.0))
    dataset = build_dataset(cfg)
    dataset.prepare()
    run = compose_run(cfg, job)  # before the index, which may take hours
    options = {key: cfg[key] for key in OPTIONS}
    shard_index, num_shards = share_of_work(cfg.shard_index, cfg.num_shards, os.environ)
    options |= {"shard_index": shard_index, "num_shards": num_shards}
    listed: list[Any] = []
    if num_shards == 1:
        from vivit.tasks.data_report import report_listed_data  # here, so that shards wait for no scikit-learn
        from vivit.tasks.overview import plan_of_page, write_overview

        listed = report_listed_data(cfg, job, dataset, splits, plan_of_page(cfg, job, run))
    counts = prepare_dataset(dataset, splits=splits or None, num_workers=cfg.num_workers, **options)
    findings = []
    if num_shards == 1:
        findings = write_overview(cfg, job, dataset, run, listed)
    elif counts.get("pending"):
        log.warning("%d files are not done yet: %s names each", counts["pending"], dataset.prepared_folder / REPORT)
    else:
        log.info("all is done; a run without shard_index and num_shards, outside of a job array, writes the page")
    summary = {"findings": [finding.kind for finding in findings]}
    write_json(job.folder / "results.json", {"metrics": counts} | summary | provenance())
    log.info("%s", ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in counts.items()))
    if any(counts.get(kind) for kind in LISTED):
        log.info("files that are missing, unusable or without a copy are listed in %s", dataset.prepared_folder)
    return {}


def compose_run(cfg: DictConfig, job: Job) -> DictConfig | None:
    """Return the configuration of the run that ``cost`` describes, on the data set of ``prepare.py``; None: of none."""
    cost: Any = OmegaConf.to_container(cfg.cost) if OmegaConf.is_config(cfg.cost) else cfg.cost
    if not isinstance(cost, dict):
        remedy = "set cost.experiment=finetune, or cost.model= and cost.size="
        raise ConfigError("cost", cost, "is no run", remedy)
    others = cost.pop("overrides", [])
    if not isinstance(others, list) or not all(isinstance(override, str) for override in others):
        raise ConfigError("cost.overrides", others, "is no list of texts", 'set ["trainer.max_epochs=30"] or alike')
    overrides = [f"{key!s}={value}" for key, value in cost.items() if value is not None]
    overrides += map(replace_null_option, others)
    if not overrides:
        return None
    overrides += [*job.cli_overrides("plugins"), *job.cli_overrides("data")]
    try:
        if GlobalHydra.instance().is_initialized():
            run = compose("train", overrides)
        else:
            with initialize_config_dir(str(CONFIGS), version_base=None):
                run = compose("train", overrides)
    except (HydraException, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError("cost", problem=reason, remedy=f"set what {typed('train')} takes") from None
    run.paths.run = str(job.folder)
    prefer_typed_rate(run, overrides)
    check_rate(run.data.get("stride"), run.data.get("fps"))
    return run
