"""Checks of how clips are cut and loaded, before anything is read."""

from collections.abc import Sequence
from typing import Any

from vivit.errors import ConfigError


def check_clip(*, frames: int, stride: int | None, resize: int, crop: Any) -> None:
    """Raise ConfigError for clips without frames or pixels."""
    _check_positive({"frames": frames, "resize": resize} | ({} if stride is None else {"stride": stride}))
    if not isinstance(crop, Sequence) or isinstance(crop, str) or len(crop) != 2 or not all(map(_is_size, crop)):
        raise ConfigError("data.crop", crop, "is not height and width", "set two numbers, as in [224,224]")


def check_loading(
    *,
    batch_size: int,
    prefetch_factor: int,
    num_workers: int | None,
    timeout: int | float,
    max_bad_share: int | float,
    balance: int | float,
) -> None:
    """Raise ConfigError for numbers that a loader cannot have."""
    _check_positive({"batch_size": batch_size, "prefetch_factor": prefetch_factor})
    if num_workers is not None and num_workers < 0:
        raise ConfigError(
            "data.num_workers", num_workers, "must not be negative", "set 0 to decode in the main process"
        )
    if timeout < 0:
        raise ConfigError("data.timeout", timeout, "must not be negative", "set 0 to wait forever")
    if not 0 <= max_bad_share <= 1:
        raise ConfigError(
            "data.max_bad_share", max_bad_share, "is not a share of the videos", "set a number from 0 to 1"
        )
    check_balance(balance)


def check_balance(balance: Any) -> None:
    """Raise ConfigError for a power of balancing that is none."""
    if not isinstance(balance, int | float) or not 0 <= balance <= 1:
        raise ConfigError("data.balance", balance, "is no power of balancing", "set a number from 0 (none) to 1")


def _is_size(side: Any) -> bool:
    return isinstance(side, int) and side >= 1


def _check_positive(values: dict[str, int]) -> None:
    for name, value in values.items():
        if not isinstance(value, int):
            raise ConfigError(f"data.{name}", value, "is no whole number", "set 1 or more")
        if value < 1:
            raise ConfigError(f"data.{name}", value, "must be positive", "set 1 or more")
