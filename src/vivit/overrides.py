"""Overrides of the command line: their keys and values, and which of them change a run's result."""

import re
from collections.abc import Iterable, Sequence

RECORDING = ("records", "skip_recorded")
CACHE = ("data.cache", "data.cache_gb", "data.cache_dir")
LOADING = ("data.num_workers", "data.prefetch_factor", "data.timeout", "data.pin_memory", *CACHE)
LOGGING_CALLBACKS = (
    *("checkpoint", "throughput", "batch_picture", "curves", "progress", "nan_check", "run_metadata", "wandb_media"),
)
"""Callbacks that change no weight."""
NEUTRAL_KEYS = (
    "plugins",
    "paths",
    "logger",
    "resume",
    *LOADING,
    *RECORDING,
    *(f"callbacks.{name}" for name in LOGGING_CALLBACKS),
)
"""Keys that leave a run's result as it is: its folder, its logs, its speed."""
ONE_DEVICE = (
    *("trainer=default", "trainer=cpu", "trainer=gpu", "trainer.devices=1", "trainer.num_nodes=1", "cluster=local"),
)
SEVERAL_DEVICES = (
    *("trainer=ddp", "trainer=ddp_cpu", "trainer=fsdp", "cluster=torchrun", "cluster=slurm_1x8", "cluster=slurm_4x8"),
)
"""Trainers with ``data.batch_size`` clips on each device; in which precision, their results contain."""
HARDWARE_KEYS = (
    *(f"trainer.{key}" for key in ("accelerator", "devices", "num_nodes", "strategy", "precision", "matmul_precision")),
    "optim.fused",
    "data.batch_size",
)
"""Keys that options of ``trainer`` set: where a job runs. Typed alone, a precision or a batch is a setting."""
CUT_KEYS = ("frames", "stride", "fps", "resize", "crop")
"""Keys of a data set by which clips are cut, which a checkpoint brings along."""
DATA_KEYS = ("root", "dataset", "train_share", "val_share")
"""Keys of a data set that name its videos."""
USER_DATASETS = ("folder", "csv", "csv_folds", "tar")
"""Data sets that are defined by ``data.root``; the others hold the same videos wherever they lie."""


def split_override(override: str) -> tuple[str, str | None]:
    """Return the key of an override, without the marks of an addition or a removal, and its value; None without one."""
    key, equals, value = override.lstrip("+~").partition("=")
    return key, value if equals else None


def override_key(override: str) -> str:
    """Return the key of an override, without the marks of an addition or a removal."""
    return split_override(override)[0]


def quote_value(text: str) -> str:
    """Return a text in quotes by which Hydra takes it literally, but for references such as ``${data.root}``."""
    # a backslash is one of Hydra's before a quote and at the end alone
    escaped = re.sub(r"(\\*)('|\Z)", lambda match: match[1] * 2 + ("\\'" if match[2] else ""), text)
    return f"'{escaped}'"


def escape_interpolation(text: str) -> str:
    """Return a text in which ``${`` begins no reference of OmegaConf's."""
    return re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + "\\${", text)


def override_value(overrides: Iterable[str], key: str) -> str | None:
    """Return the value of the first override of a key; None without one."""
    return next((value for name, value in map(split_override, overrides) if name == key), None)


def matches_key(override: str, keys: Iterable[str]) -> bool:
    """Whether an override sets one of the keys, or a key below it; a key that ends in '=' has nothing below it."""
    name = override_key(override)
    return any(name == key.removesuffix("=") or name.startswith(f"{key}.") for key in keys)


def distinguishing_overrides(overrides: Sequence[str], data: str | None = None) -> list[str]:
    """Return the overrides that make two runs more than repetitions with other seeds; ``data`` is the data set.

    Initial weights are among them, by their paths: two names of one file count as two files.
    """
    dataset = data or override_value(overrides, "data")
    ignored = (*NEUTRAL_KEYS, "sweep", "seed", *(() if dataset in USER_DATASETS else ("data.root",)))
    hardware = {*hardware_overrides(overrides), "ckpt_path=auto"}
    return [override for override in overrides if not matches_key(override, ignored) and override not in hardware]


def hardware_overrides(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that only select hardware, which rows of tables ignore.

    Hardware changes results within the rounding of its precision, so names of ad-hoc jobs keep it. Several devices are
    among them where an experiment divides the clips of a step among devices; elsewhere each device has a batch of its
    own, so that a step has more clips.
    """
    keys = {override_key(override) for override in overrides}
    divided = "experiment" in keys and "data.batch_size" not in keys
    by_key = ("trainer.accelerator", *(("trainer.devices", "trainer.num_nodes") if divided else ()))
    by_override = (*ONE_DEVICE, *(SEVERAL_DEVICES if divided else ()))
    return [override for override in overrides if override in by_override or override_key(override) in by_key]
