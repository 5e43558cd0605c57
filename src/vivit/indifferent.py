"""Which keys of a configuration leave a run's result as it is; names of jobs and tables of runs pass over the same."""

from collections.abc import Iterable

RECORDING = ("records", "skip_recorded")
READING = ("data.workers", "data.prefetch", "data.timeout")
WATCHERS = ("checkpoint", "stopwatch", "curves", "progress", "finite", "provenance", "showcase")
"""The callbacks that only watch."""
INDIFFERENT = ("paths", "logger", "resume", *READING, *RECORDING, *(f"callbacks.{name}" for name in WATCHERS))
"""Where a run lies, what is logged, how fast it is."""
MACHINE = ("trainer=", "trainer.accelerator", "trainer.devices", "trainer.num_nodes")
"""Where something ran: as many numbers as before, but not bit for bit, so that tables pass over it and names do not."""


def key_of(override: str) -> str:
    """Give the key of an override, without the marks of an addition or a removal."""
    return override.lstrip("+~").partition("=")[0]


def is_about(override: str, keys: Iterable[str]) -> bool:
    """Whether an override sets one of the keys, or something below it; a key that ends in '=' has nothing below it."""
    said = key_of(override)
    return any(said == key.removesuffix("=") or said.startswith(f"{key}.") for key in keys)
