"""Objects that a configuration or the record of a checkpoint describes."""

from dataclasses import fields

from hydra.utils import instantiate
from lightning import Trainer
from omegaconf import DictConfig

from vivit.checkpoints.vivit_checkpoint import VERSION, model_record
from vivit.data import VideoDataModule
from vivit.data.views import format_views
from vivit.device.malloc import disable_malloc_trim
from vivit.errors import ConfigError
from vivit.evaluation import ViewAggregator, get_aggregation
from vivit.models import BackboneConfig, ViViT, build_model
from vivit.structures import multi_label_positions
from vivit.tasks.clip_settings import data_record, to_plain
from vivit.tasks.compute import check_accelerator, trainer_options
from vivit.tasks.config_checks import OBJECT_GROUPS
from vivit.training import FrozenCache, RunProgress, TimeLimit, VideoClassifier

SIZE_KEYS = [field.name for field in fields(BackboneConfig)]
"""Keys of the group ``size``."""


def build_data(cfg: DictConfig) -> VideoDataModule:
    """Return the data set, made or checked."""
    data: VideoDataModule = instantiate(cfg.data, _convert_="all")
    data.prepare_data()
    return data


def build_module(cfg: DictConfig, data: VideoDataModule) -> VideoClassifier:
    """Return the training module of a network with as many outputs as the data set has classes."""
    network = build_network(cfg, sum(map(len, data.heads.values())))
    record = {
        "version": VERSION,
        **model_record(network),
        **data_record(to_plain(cfg.data)),
        "classes": {head: list(names) for head, names in data.heads.items()},
        "plugins": list(cfg.get("plugins") or []),
    }
    loss = instantiate(cfg.loss)
    return VideoClassifier(
        network,
        heads=data.heads,
        loss=loss,
        optimizer_config=instantiate(cfg.optim),
        seed=cfg.seed,
        batch_size=cfg.data.batch_size,
        aggregator=build_aggregator(data),
        record=record,
        frozen_cache=FrozenCache(network, cfg.frozen_cache_gb) if cfg.get("frozen_cache_gb") else None,
        class_counts=data.class_counts() if loss.needs_counts else None,
    )


def build_network(cfg: DictConfig, num_classes: int) -> ViViT:
    """Return the network that a configuration describes, with random weights.

    Raises ConfigError for options that do not exist, or are missing.
    """
    for key, value in (cfg.get("size") or {}).items():
        if key not in SIZE_KEYS:
            raise ConfigError(f"size.{key}", value, "is no option of a size", f"set one of {', '.join(SIZE_KEYS)}")
    options = to_plain(cfg.model)
    if "num_classes" in options:
        raise ConfigError(
            "model.num_classes", options["num_classes"], "is that of the data set", "leave it out, or set another data"
        )
    for key in ("name", "tokeniser"):
        if key not in options:
            remedy = "a file in configs/model has the registered name, and defaults: [_base]"
            raise ConfigError(f"model.{key}", problem="is missing", remedy=remedy)
    return build_model(**options, num_classes=num_classes)


def build_aggregator(data: VideoDataModule) -> ViewAggregator:
    """Return how a data set's test views become one prediction; of several numbers of views the main one counts."""
    views, sizes = data.test_views, [len(names) for names in data.heads.values()]
    used = views.views_by_count()[format_views(views.temporal, views.spatial)]
    return ViewAggregator(get_aggregation(views.average), sizes, used, multi_label_positions(data.heads))


def build_test_trainer(cfg: DictConfig) -> Trainer:
    """Return a trainer that only tests: nothing is saved or logged, but its progress on the terminal."""
    options = trainer_options(cfg.trainer)
    check_accelerator(options)
    callbacks = [] if options.get("enable_progress_bar") is False else [RunProgress()]
    trainer: Trainer = instantiate(
        options, logger=False, callbacks=callbacks, enable_checkpointing=False, _convert_="all"
    )
    return trainer


def build_trainer(cfg: DictConfig) -> Trainer:
    """Return the trainer with its callbacks and loggers; an entry that is null is left out."""
    disable_malloc_trim()
    callbacks, loggers = (
        [instantiate(node) for node in (cfg.get(group) or {}).values() if node is not None] for group in OBJECT_GROUPS
    )
    options = trainer_options(cfg.trainer)
    check_accelerator(options)
    if (limit := options.pop("max_time", None)) is not None:  # Lightning's own timer has ranks wait in every step
        limit = instantiate(limit, _convert_="all") if isinstance(limit, dict) else limit
        callbacks.insert(0, TimeLimit(limit))  # before those that ask whether a step is the last
    return instantiate(
        options, callbacks=callbacks, logger=loggers or False, default_root_dir=cfg.paths.run, _convert_="all"
    )
