"""Which keys of a configuration leave a run's result as it is; names of jobs and tables of runs pass over the same."""

from collections.abc import Iterable, Sequence

RECORDING = ("records", "skip_recorded")
READING = ("data.workers", "data.prefetch", "data.timeout")
WATCHERS = ("checkpoint", "stopwatch", "curves", "progress", "finite", "provenance", "showcase")
"""The callbacks that only watch."""
INDIFFERENT = ("paths", "logger", "resume", *READING, *RECORDING, *(f"callbacks.{name}" for name in WATCHERS))
"""Where a run lies, what is logged, how fast it is."""
ONE_DEVICE = ("trainer=default", "trainer=cpu", "trainer=gpu", "trainer.devices=1", "trainer.num_nodes=1")
SEVERAL = ("trainer=ddp", "trainer=ddp_cpu")
"""Trainers that compute in float32 by themselves, and with the batch of one device or of each."""

OWN_VIDEOS = ("folder", "csv", "csv_folds")
"""Data sets that ``data.root`` is all that is known of; the others hold the same videos wherever they lie."""


def key_of(override: str) -> str:
    """Give the key of an override, without the marks of an addition or a removal."""
    return override.lstrip("+~").partition("=")[0]


def is_about(override: str, keys: Iterable[str]) -> bool:
    """Whether an override sets one of the keys, or something below it; a key that ends in '=' has nothing below it."""
    said = key_of(override)
    return any(said == key.removesuffix("=") or said.startswith(f"{key}.") for key in keys)


def telling(overrides: Sequence[str], data: str | None = None) -> list[str]:
    """Give the overrides by which runs are no repetitions of each other, but for the seed; ``data`` is the data set.

    Weights to start from are among them, under each of their names: of two files only their paths are known here.
    """
    said = next((override.partition("=")[2] for override in overrides if override.startswith("data=")), None)
    passed_over = (*INDIFFERENT, "sweep", "seed", *(() if (data or said) in OWN_VIDEOS else ("data.root",)))
    machine = {*machine_of(overrides), "ckpt_path=auto"}
    return [override for override in overrides if not is_about(override, passed_over) and override not in machine]


def machine_of(overrides: Sequence[str]) -> list[str]:
    """Give the overrides that say where something ran and no more, so that tables pass over them.

    Results are as good as before, though not bit for bit, hence names do not. Several devices are among them where an
    experiment shares the clips of a step out; elsewhere each has a batch of its own, and a step has more clips.
    ``trainer=fsdp`` never is: it computes in bfloat16.
    """
    keys = {key_of(override) for override in overrides}
    shared = "experiment" in keys and "data.batch_size" not in keys
    named = ("trainer.accelerator", *(("trainer.devices", "trainer.num_nodes") if shared else ()))
    whole = (*ONE_DEVICE, *(SEVERAL if shared else ()))
    return [override for override in overrides if override in whole or key_of(override) in named]
