"""Checks of ``seed`` and ``trainer`` before anything is built."""

import re
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vivit.errors import ConfigError

SPAWNING = re.compile(r"ddp_(spawn|fork|forkserver|notebook)")
"""Strategies whose processes are copies of a function rather than this command again."""
MAX_SEED = 2**32 - 1
CALLBACK_SWITCHES = (
    ("enable_checkpointing", "Checkpoint", "checkpoints are"),
    ("enable_progress_bar", "Progress", "the progress bar is one of the"),
)
"""Keys of Lightning that switch callbacks off, part of the names of their classes, and what is said of them."""
CLOCK = re.compile(r"\d+:\d\d:\d\d:\d\d")
"""A time as Lightning reads it: days, hours, minutes and seconds."""
UNITS = ("weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds")
"""Keys of a time that is a mapping."""


def check_trainer(cfg: DictConfig) -> None:
    """Raise ConfigError for values that would fail late, or that would not do what they promise."""
    if "seed" in cfg and not _is_integer(cfg.seed, 0, MAX_SEED):
        raise ConfigError("seed", cfg.seed, f"is no whole number from 0 to {MAX_SEED}", "set one, as seed=1")
    trainer = cfg.get("trainer")
    if trainer is None:
        return
    check_strategy(trainer.get("strategy"))
    check_max_time(trainer.get("max_time"))
    parts = trainer.get("accumulate_grad_batches", 1)
    if not _is_integer(parts, 1):
        raise ConfigError(
            "trainer.accumulate_grad_batches", parts, "is no whole number above 0", "set 1 to accumulate nothing"
        )
    if "test" in cfg:
        check_length(trainer)
    tests = cfg.get("test", "test" not in cfg)
    if tests and trainer.get("limit_test_batches", 1) == 0:
        remedy = "set test=false to leave the test out" if "test" in cfg else "leave it out"
        raise ConfigError("trainer.limit_test_batches", trainer.limit_test_batches, "leaves nothing to test", remedy)
    for key, kind, what in CALLBACK_SWITCHES:
        if trainer.get(key) is False and (names := callbacks_of_kind(cfg, kind)):
            off = " ".join(f"callbacks.{name}=null" for name in names)
            raise ConfigError(
                f"trainer.{key}", False, f"{what} callbacks here", f"leave it out and set {off} to have none"
            )


def check_length(trainer: DictConfig) -> None:
    """Raise ConfigError for a training without a step, and for what is no number of epochs or steps."""
    for name, noun in (("max_epochs", "epochs"), ("max_steps", "steps")):
        value = trainer.get(name, -1)
        if value == 0 and _is_integer(value, 0):
            remedy = "set 1 or more; to score a network without training it: python src/eval.py ckpt_path=FILE"
            raise ConfigError(f"trainer.{name}", value, "leaves nothing to train", remedy)
        if not (_is_integer(value, -1) or (value is None and name == "max_epochs")):
            raise ConfigError(f"trainer.{name}", value, f"is no number of {noun}", "set 1 or more, or -1 for no limit")


def check_strategy(strategy: Any) -> None:
    """Raise ConfigError for strategies that start ranks as copies of a function: no test can follow."""
    key, value = "trainer.strategy", strategy
    spawns = SPAWNING.match(str(strategy)) is not None
    if isinstance(strategy, DictConfig):
        key, value = "trainer.strategy.start_method", strategy.get("start_method")
        spawns = strategy.get("start_method", "popen") != "popen"
    if spawns:
        raise ConfigError(
            key,
            value,
            "such ranks take callbacks, log and best checkpoint with them when the training ends, so that no test can "
            "follow",
            "set trainer.strategy=ddp, which starts every rank as a command",
        )


def check_max_time(value: Any) -> None:
    """Raise ConfigError for a time limit that Lightning could not read."""
    if isinstance(value, DictConfig):
        value = OmegaConf.to_container(value)
    if isinstance(value, Mapping):
        numbers = [amount for unit, amount in value.items() if unit in UNITS and type(amount) in (int, float)]
        valid = "_target_" in value or (len(numbers) == len(value) and min(numbers, default=-1) >= 0)
    else:
        valid = value is None or (isinstance(value, str) and CLOCK.fullmatch(value.strip()) is not None)
    if not valid:
        raise ConfigError(
            "trainer.max_time",
            value,
            "is no time",
            "set days:hours:minutes:seconds, as '00:01:30:00', or a mapping, as {hours: 1, minutes: 30}",
        )


def callbacks_of_kind(cfg: DictConfig, kind: str) -> list[str]:
    """Return the names of the callbacks of a configuration whose class is called after a kind."""
    nodes = (cfg.get("callbacks") or {}).items()
    return [str(name) for name, node in nodes if node is not None and kind in str(node.get("_target_"))]


def _is_integer(value: Any, lowest: int, largest: int | None = None) -> bool:
    integer = isinstance(value, int) and not isinstance(value, bool)
    return integer and value >= lowest and (largest is None or value <= largest)
