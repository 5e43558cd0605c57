"""Checks of what a benchmark is called with."""

from collections.abc import Collection
from typing import Any

from vivit.errors import ConfigError


def check_list(key: str, value: Any) -> None:
    """Raise ConfigError for ``bench.<key>`` where a value is no list, or an empty one."""
    if isinstance(value, str | int | float):
        raise ConfigError(f"bench.{key}", value, "is no list", f"set '[{value}]'")
    if not value:
        raise ConfigError(f"bench.{key}", value, "has nothing to measure", "set one or more")


def check_names(key: str, values: Any, known: Collection[str]) -> None:
    """Raise ConfigError for ``bench.<key>`` unless it is a list of known names."""
    check_list(key, values)
    if unknown := [str(name) for name in values if name not in known]:
        raise ConfigError(f"bench.{key}", values, f"{', '.join(unknown)} is unknown", f"choose from {', '.join(known)}")


def check_name(key: str, value: Any, known: Collection[str]) -> None:
    """Raise ConfigError for ``bench.<key>`` where it is not a known name."""
    if value not in known:
        raise ConfigError(f"bench.{key}", value, "is unknown", f"choose from {', '.join(known)}")


def check_positive(**values: int) -> None:
    """Raise ConfigError for ``bench.<key>`` where a value is no whole number from 1."""
    for key, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"bench.{key}", value, "is no whole number from 1", "set 1 or more")
