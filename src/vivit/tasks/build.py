"""Build what a configuration names."""

from dataclasses import dataclass

from hydra.utils import instantiate
from lightning import Trainer
from omegaconf import DictConfig, OmegaConf
from torch import nn

from vivit.data import VideoDataModule
from vivit.data.views import format_views
from vivit.evaluation import ViewAggregator, get_aggregation
from vivit.launch import Job
from vivit.training import RegularisationScheduler, VideoClassifier, disable_malloc_trim

NAMED = ("callbacks", "logger")
"""Groups that hold objects by name rather than one object."""
MEASURED = ("speed/", "strength/", "lr-", "step", "epoch")
"""How the names of what callbacks and Lightning log begin, beside the network's loss and accuracies."""
SCHEDULED = "callbacks.strengths.mixup"


@dataclass(frozen=True)
class Paths:
    """Where things are: the repository, data, logs, and the folder of this run."""

    root: str
    data: str
    logs: str
    run: str


def check_keys(cfg: DictConfig, known: tuple[str, ...]) -> None:
    """Refuse what nobody would read: an unknown key at the root, a named object without a class."""
    if unknown := sorted(set(map(str, cfg)) - set(known)):
        raise ValueError(f"unknown key {unknown[0]!r}; the configuration has {', '.join(sorted(known))}")
    for group in NAMED:
        for name, node in (cfg.get(group) or {}).items():
            if node is not None and "_target_" not in node:
                raise ValueError(f"{group}.{name} has no _target_, the class to build; is the name misspelt?")
    for group in ("paths", "size"):
        if group in cfg:
            instantiate(cfg[group])  # so that a misspelt key is found


def check_taken(job: Job, taken: tuple[str, ...], own: tuple[str, ...]) -> None:
    """Refuse what was typed of a data set beside what is ``taken`` of it; for the keys ``own`` a script has its own."""
    read = job.cli_overrides(*(f"data.{key}" for key in taken))
    for said in job.cli_overrides("data"):
        key = said.lstrip("+~").partition("=")[0].removeprefix("data.")
        if key == "data" or said in read:
            continue
        if key.partition(".")[0] in own:
            raise ValueError(f"{said} has no effect here: set {key} instead of data.{key}")
        raise ValueError(f"{said} has no effect here: of a data set only {', '.join(taken)} are taken")


def check_mixup(cfg: DictConfig) -> None:
    """Refuse mixup where a device has one clip at a time, whose partner would be itself."""
    strengths = instantiate((cfg.get("callbacks") or {}).get("strengths"))
    strength = strengths.max_strength("mixup") if isinstance(strengths, RegularisationScheduler) else None
    key, strength = ("targets.mixup", instantiate(cfg.targets).mixup) if strength is None else (SCHEDULED, strength)
    if strength > 0 and cfg.data.batch_size == 1:
        raise ValueError(
            f"{key} is above 0, which blends the clips that a device has at a time, but data.batch_size=1 leaves it "
            "one; make that 2 or more (by fewer trainer.devices or trainer.accumulate_grad_batches, where these share "
            f"the clips of a step), or set {key}=0"
        )


def check_monitors(cfg: DictConfig, module: VideoClassifier) -> None:
    """Refuse callbacks that watch what nobody logs, or take the worst of what they watch for the best."""
    known = module.logged_metrics
    callbacks = {name: node for name, node in (cfg.get("callbacks") or {}).items() if node is not None}
    # a callback of somebody else may log whatever it likes
    foreign = any(not str(node.get("_target_")).startswith(("vivit.", "lightning.")) for node in callbacks.values())
    for name, node in callbacks.items():
        monitor = node.get("monitor")
        if monitor is None or str(monitor).startswith(MEASURED) or (foreign and monitor not in known):
            continue
        said = f"callbacks.{name}.monitor={monitor}"
        if monitor not in known:
            raise ValueError(f"{said}: is logged by nobody; set one of {', '.join(known)}")
        right, mode = "max" if "/acc" in monitor else "min", node.get("mode", "min")
        if mode in ("min", "max") and mode != right:
            raise ValueError(f"{said}: mode={mode} takes the worst for the best; set callbacks.{name}.mode={right}")


def build_data(cfg: DictConfig) -> VideoDataModule:
    """Build the data set, made or checked."""
    data: VideoDataModule = instantiate(cfg.data, _convert_="all")
    data.prepare_data()
    return data


def build_module(cfg: DictConfig, data: VideoDataModule) -> VideoClassifier:
    """Build a network with as many outputs as the data set has classes, and what trains it."""
    network: nn.Module = instantiate(cfg.model, classes=sum(map(len, data.heads.values())), _convert_="all")
    plain = {key: OmegaConf.to_container(cfg[key], resolve=True) for key in ("model", "data")}
    return VideoClassifier(
        network,
        heads=data.heads,
        loss=instantiate(cfg.targets),
        optimizer_config=instantiate(cfg.optim),
        seed=cfg.seed,
        batch_size=cfg.data.batch_size,
        aggregator=averaging_of(data),
        record=plain | {"heads": {head: list(names) for head, names in data.heads.items()}},
    )


def averaging_of(data: VideoDataModule) -> ViewAggregator:
    """Say how a data set's test views become one score; of several numbers of views the main one counts."""
    views, sizes = data.test_views, [len(names) for names in data.heads.values()]
    return ViewAggregator(
        get_aggregation(views.average), sizes, views.views_by_count()[format_views(views.temporal, views.spatial)]
    )


def build_trainer(cfg: DictConfig) -> Trainer:
    """Build the trainer with its callbacks and loggers; an entry set to null is left out."""
    disable_malloc_trim()
    callbacks, loggers = (
        [instantiate(node) for node in (cfg.get(group) or {}).values() if node is not None] for group in NAMED
    )
    return instantiate(cfg.trainer, callbacks=callbacks, logger=loggers or False, default_root_dir=cfg.paths.run)
