"""What cannot be asked of a trainer, said before anything is built."""

import re
from typing import Any

from omegaconf import DictConfig

SPAWNING = re.compile(r"ddp_(spawn|fork|forkserver|notebook)")
"""Strategies whose processes are copies of a function rather than this command again."""
LARGEST_SEED = 2**32 - 1


def check_trainer(cfg: DictConfig) -> None:
    """Raise ``ValueError``, with what to set, for what would fail late, or not do what it says."""
    if "seed" in cfg and not _whole(cfg.seed, 0, LARGEST_SEED):
        raise ValueError(f"seed={_shown(cfg.seed)}: is no whole number from 0 to {LARGEST_SEED}; set one, as seed=1")
    trainer = cfg.get("trainer")
    if trainer is None:
        return
    check_strategy(trainer.get("strategy"))
    parts = trainer.get("accumulate_grad_batches", 1)
    if not _whole(parts, 1):
        raise ValueError(
            f"trainer.accumulate_grad_batches={_shown(parts)}: is no whole number above 0; set 1 to accumulate nothing"
        )
    tests = cfg.get("test", "test" not in cfg)
    if tests and trainer.get("limit_test_batches", 1) == 0:
        way = "set test=false to leave the test out" if "test" in cfg else "leave it out"
        raise ValueError(f"trainer.limit_test_batches={trainer.limit_test_batches}: leaves nothing to test; {way}")
    if trainer.get("enable_checkpointing") is False and (kept := checkpointing(cfg)):
        raise ValueError(
            f"trainer.enable_checkpointing=false: checkpoints are callbacks here; leave it out and set "
            f"{' '.join(f'callbacks.{name}=null' for name in kept)} to keep none"
        )


def check_strategy(strategy: Any) -> None:
    """Refuse strategies that start ranks as copies of a function, which hand nothing back of what a run leaves."""
    if isinstance(strategy, DictConfig):
        named, spawns = strategy.get("start_method"), strategy.get("start_method", "popen") != "popen"
        said = f"trainer.strategy.start_method={named}"
    else:
        said, spawns = f"trainer.strategy={strategy}", SPAWNING.match(str(strategy)) is not None
    if spawns:
        raise ValueError(
            f"{said}: such ranks take callbacks, log and best checkpoint with them when the training ends, so that "
            "no test can follow; set trainer.strategy=ddp, which starts every rank as a command"
        )


def checkpointing(cfg: DictConfig) -> list[str]:
    """Name the callbacks of a configuration that write checkpoints."""
    nodes = (cfg.get("callbacks") or {}).items()
    return [str(name) for name, node in nodes if node is not None and "Checkpoint" in str(node.get("_target_"))]


def _whole(value: Any, lowest: int, largest: int | None = None) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and value >= lowest and (largest is None or value <= largest)


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
