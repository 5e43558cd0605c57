"""Objects that a configuration or the record of a checkpoint describes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from lightning import Trainer
from omegaconf import DictConfig, OmegaConf
from torch import nn

from vivit.data import VideoDataModule
from vivit.data.transforms.resize import FusedResize
from vivit.data.views import format_views
from vivit.errors import CheckpointError
from vivit.evaluation import ViewAggregator, get_aggregation
from vivit.inference import Predictor, Preprocessing
from vivit.inference.predictor import resolve_device
from vivit.launch import Job
from vivit.tasks.checkpoint_record import load_network
from vivit.tasks.clip_settings import VIEW_SAMPLER, merge_views
from vivit.tasks.config_checks import OBJECT_GROUPS, check_loader_options
from vivit.training import VideoClassifier, disable_malloc_trim


@dataclass(frozen=True)
class Paths:
    """Folders: the repository, data, logs, and that of this run."""

    root: str
    data: str
    logs: str
    run: str


def build_data(cfg: DictConfig) -> VideoDataModule:
    """Return the data set, made or checked."""
    data: VideoDataModule = instantiate(cfg.data, _convert_="all")
    data.prepare_data()
    return data


def build_module(cfg: DictConfig, data: VideoDataModule) -> VideoClassifier:
    """Return the training module of a network with as many outputs as the data set has classes."""
    network: nn.Module = instantiate(cfg.model, classes=sum(map(len, data.heads.values())), _convert_="all")
    plain = {key: OmegaConf.to_container(cfg[key], resolve=True) for key in ("model", "data")}
    return VideoClassifier(
        network,
        heads=data.heads,
        loss=instantiate(cfg.loss),
        optimizer_config=instantiate(cfg.optim),
        seed=cfg.seed,
        batch_size=cfg.data.batch_size,
        aggregator=build_aggregator(data),
        record=plain | {"heads": {head: list(names) for head, names in data.heads.items()}},
    )


def build_aggregator(data: VideoDataModule) -> ViewAggregator:
    """Return how a data set's test views become one prediction; of several numbers of views the main one counts."""
    views, sizes = data.test_views, [len(names) for names in data.heads.values()]
    return ViewAggregator(
        get_aggregation(views.average), sizes, views.views_by_count()[format_views(views.temporal, views.spatial)]
    )


def build_trainer(cfg: DictConfig) -> Trainer:
    """Return the trainer with its callbacks and loggers; an entry that is null is left out."""
    disable_malloc_trim()
    callbacks, loggers = (
        [instantiate(node) for node in (cfg.get(group) or {}).values() if node is not None] for group in OBJECT_GROUPS
    )
    return instantiate(
        cfg.trainer,
        callbacks=callbacks,
        logger=loggers or False,
        default_root_dir=cfg.paths.run,
        _convert_="all",  # of its mappings, as that of max_time, Lightning reads plain ones
    )


def build_preprocessing(
    record: Mapping[str, Any], file: Path, *, views: Any = None, resampling: Any = None, workers: int | None = None
) -> Preprocessing:
    """Return the preprocessing of a record; the configurations ``views`` and ``resampling`` have precedence over its.

    Raises CheckpointError about ``file``, which has the record.
    """
    data = OmegaConf.create(dict(record.get("data") or {}))
    if missing := [key for key in ("frames", "stride", "resize", "crop") if data.get(key) is None]:
        raise CheckpointError(file, "is missing, so it is unknown how clips are sampled", key=f"data.{missing[0]}")
    clip = {key: data[key] for key in ("frames", "stride", "resize")} | {"crop": tuple(data.crop)}
    model = record["model"]
    expected, actual = (
        "{} frames of {}x{}".format(*size)
        for size in ((model["frames"], model["height"], model["width"]), (clip["frames"], *clip["crop"]))
    )
    if expected != actual:
        raise CheckpointError(
            file, f"its network takes clips of {expected}, and its clips are cut to {actual}", key="data"
        )
    view_sampler = instantiate(views or data.get("views") or VIEW_SAMPLER, _convert_="all")(**clip)
    resize = resampling or data.get("resampling")
    return Preprocessing(
        replace(view_sampler, also_report=()),  # further numbers of views, which only a test compares
        instantiate(resize, _convert_="all") if resize else FusedResize(),
        workers,
    )


def build_predictor(cfg: DictConfig, job: Job) -> Predictor:
    """Return the predictor of ``ckpt_path``; its clips are those of the checkpoint's record, but for what is typed."""
    check_loader_options(cfg)
    file = Path(cfg.ckpt_path)
    network, record = load_network(file)
    views = merge_views(OmegaConf.create(record["data"]).get("views"), cfg, job)
    preprocessing = build_preprocessing(
        record, file, views=views, resampling=cfg.get("resampling"), workers=cfg.num_workers
    )
    if cfg.get("every") is not None:
        preprocessing = preprocessing.sliding(typed=bool(cfg.get("views")))
    device = resolve_device(cfg.device)
    return Predictor(network.to(device).eval(), record["heads"], preprocessing, cfg.batch_size, device)
