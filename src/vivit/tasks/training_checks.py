"""Checks of a configuration for training: values that contradict each other."""

import re

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vivit.errors import ConfigError
from vivit.launch import Job
from vivit.structures import Heads, multi_label_heads
from vivit.training import RegularisationScheduler, VideoClassifier

CALLBACK_METRICS = ("speed/", "strength/", "train/learning_rate", "lr-", "step", "epoch")
"""How the names of what callbacks and Lightning log begin, beside the network's loss and accuracies."""
RISING = re.compile(r"[/_](acc_\w+|map)$")
"""How the names of those metrics end that are best where they are largest."""
TOP1, MAP = "val/acc_top1", "val/map"
SCHEDULED_MIXUP = "callbacks.regularisation.mixup"


def check_mixup(cfg: DictConfig) -> None:
    """Raise ConfigError for mixup of frames that are kept, and of one clip at a time, whose partner would be itself."""
    scheduler = instantiate((cfg.get("callbacks") or {}).get("regularisation"))
    strength = scheduler.max_strength("mixup") if isinstance(scheduler, RegularisationScheduler) else None
    key, strength = ("loss.mixup", instantiate(cfg.loss).mixup) if strength is None else (SCHEDULED_MIXUP, strength)
    if strength > 0 and cfg.get("frozen_cache_gb"):
        problem = "blends clips, and frozen_cache_gb keeps features of clips that are as they are"
        raise ConfigError(key, strength, problem, f"set {key}=0 or frozen_cache_gb=0")
    if strength > 0 and cfg.data.batch_size == 1:
        raise ConfigError(
            key,
            strength,
            "blends the clips that a device has at a time, and data.batch_size=1 leaves it one",
            "set data.batch_size to 2 or more (by fewer trainer.devices or trainer.accumulate_grad_batches, where they "
            f"share the clips of a step), or {key}=0",
        )


def is_sharded(cfg: DictConfig) -> bool:
    """Return whether a configuration divides the weights among devices."""
    return str(OmegaConf.select(cfg, "trainer.strategy._target_", default="")).endswith("FSDPStrategy")


def check_shards(cfg: DictConfig) -> None:
    """Raise ConfigError for what ``trainer=fsdp`` cannot have."""
    if not is_sharded(cfg):
        return
    if cfg.get("frozen_cache_gb"):
        problem = "has every device compute other frames, and with trainer=fsdp all must compute together"
        raise ConfigError("frozen_cache_gb", cfg.frozen_cache_gb, problem, "set 0, or trainer=ddp")
    if str(cfg.trainer.get("precision")) in ("16-mixed", "16"):
        remedy = "set bf16-mixed or 32-true, or trainer=ddp"
        raise ConfigError("trainer.precision", cfg.trainer.precision, "scales no gradients of trainer=fsdp", remedy)


def monitor_map(cfg: DictConfig, job: Job, heads: Heads) -> None:
    """Have callbacks monitor ``val/map`` in place of their default ``val/acc_top1`` where a head is multi-label."""
    if not multi_label_heads(heads):
        return
    for name, node in (cfg.get("callbacks") or {}).items():
        if node is not None and node.get("monitor") == TOP1 and not job.cli_overrides(f"callbacks.{name}.monitor"):
            node.monitor = MAP


def check_monitors(cfg: DictConfig, module: VideoClassifier) -> None:
    """Raise ConfigError for callbacks that monitor an unlogged metric, or take its worst value for the best."""
    known = module.logged_metrics
    callbacks = {name: node for name, node in (cfg.get("callbacks") or {}).items() if node is not None}
    # callbacks of other packages may log any name
    foreign = any(not str(node.get("_target_")).startswith(("vivit.", "lightning.")) for node in callbacks.values())
    for name, node in callbacks.items():
        monitor = node.get("monitor")
        if monitor is None or str(monitor).startswith(CALLBACK_METRICS) or (foreign and monitor not in known):
            continue
        if monitor not in known:
            raise ConfigError(f"callbacks.{name}.monitor", monitor, "is not logged", f"set one of {', '.join(known)}")
        expected, mode = "max" if RISING.search(monitor) else "min", node.get("mode", "min")
        if mode in ("min", "max") and mode != expected:
            raise ConfigError(
                f"callbacks.{name}.mode", mode, f"takes the worst {monitor} for the best", f"set {expected}"
            )
