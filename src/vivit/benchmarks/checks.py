"""Checks of what a benchmark is called with."""

from collections.abc import Collection, Sequence

from vivit.errors import ConfigError


def check_names(key: str, value: str | Sequence[str], known: Collection[str]) -> None:
    """Raise ConfigError for ``bench.<key>`` where a name is not a known one."""
    names = [value] if isinstance(value, str) else value
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"bench.{key}", value, f"{', '.join(unknown)} is unknown", f"choose from {', '.join(known)}")


def check_positive(**values: int) -> None:
    """Raise ConfigError for ``bench.<key>`` where a value is no whole number from 1."""
    for key, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"bench.{key}", value, "is no whole number from 1", "set 1 or more")
