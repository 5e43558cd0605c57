"""The predictor of a checkpoint, as a command's configuration describes it; without Lightning, for a quick start."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vivit.checkpoints.vivit_checkpoint import load_network
from vivit.inference import Predictor, Preprocessing
from vivit.launch import Job
from vivit.tasks.clip_settings import clip_settings_from_plain, clip_settings_to_plain, merge_views
from vivit.tasks.config_checks import check_loader_options


def build_preprocessing(
    record: Mapping[str, Any], file: Path, *, views: Any = None, resampling: Any = None, workers: int | None = None
) -> Preprocessing:
    """Return the preprocessing of a record; the configurations ``views`` and ``resampling`` have precedence over its.

    Raises CheckpointError about ``file``, which has the record.
    """
    typed = clip_settings_to_plain({"views": views, "resampling": resampling})
    return Preprocessing.from_plain({**record["preprocessing"], **typed}, file, workers)


def build_predictor(cfg: DictConfig, job: Job) -> Predictor:
    """Return the predictor of ``ckpt_path``; its clips are those of the checkpoint's record, but for what is typed."""
    check_loader_options(cfg)
    file = Path(cfg.ckpt_path)
    network, record = load_network(file)
    recorded = clip_settings_from_plain(record["preprocessing"], file).get("views")
    views = merge_views(OmegaConf.create(recorded) if recorded else None, cfg, job)
    preprocessing = build_preprocessing(
        record, file, views=views, resampling=cfg.get("resampling"), workers=cfg.num_workers
    )
    if cfg.get("every") is not None:
        preprocessing = preprocessing.sliding(typed=bool(cfg.get("views")))
    return Predictor(
        network, classes=record["classes"], preprocessing=preprocessing, batch_size=cfg.batch_size, device=cfg.device
    )
