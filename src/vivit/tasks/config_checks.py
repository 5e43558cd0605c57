"""Checks of a configuration: keys that no code reads, and values that contradict each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vivit.data.datasets import SPLITS, Split
from vivit.data.option_checks import check_clip
from vivit.errors import ABSENT, ConfigError
from vivit.launch import Job
from vivit.launch.composition_errors import nearest_keys
from vivit.launch.config_keys import known_keys, root_keys
from vivit.launch.renamed_keys import REMOVED_KEYS
from vivit.overrides import CUT_KEYS, split_override
from vivit.structures import MultiLabel

OBJECT_GROUPS = ("callbacks", "logger")
"""Groups that hold objects by name rather than one object."""


@dataclass(frozen=True)
class Paths:
    """Folders: the repository, data, logs, and that of this run."""

    root: str
    data: str
    logs: str
    run: str


def check_keys(cfg: DictConfig, command: str) -> None:
    """Raise ConfigError for an unknown key at the root, one that there no longer is, and a named object without class.

    ``command`` is the configuration of the command; where Hydra runs, ``--config-name`` has precedence.
    """
    known = root_keys(command)
    if unknown := sorted(set(map(str, cfg)) - known):
        near = nearest_keys(unknown[0], known_keys(command), command)
        remedy = f"did you mean {near[0]}?" if near else f"set one of {', '.join(sorted(known))}"
        raise ConfigError(unknown[0], problem="is an unknown key", remedy=remedy)
    for key, reason in REMOVED_KEYS.items():
        if (value := OmegaConf.select(cfg, key, throw_on_missing=False)) is not None:
            raise ConfigError(key, value, *reason)
    for group in OBJECT_GROUPS:
        for name, node in (cfg.get(group) or {}).items():
            if node is not None and "_target_" not in node:
                raise ConfigError(
                    f"{group}.{name}", problem="has no _target_, the class to build", remedy="correct a misspelt name"
                )
    if "paths" in cfg:
        instantiate(cfg.paths)  # raises for a misspelt key


def check_dataset_overrides(job: Job, used: Sequence[str], command_keys: Sequence[str]) -> None:
    """Raise ConfigError for an override of a data set that a command does not use.

    ``used`` are the keys of a data set that it uses; for ``command_keys`` it has its own keys at the root.
    """
    of_checkpoint = "; clips are cut as the checkpoint's were" if "frames" not in used else ""
    used_overrides = job.cli_overrides(*(f"data.{key}" for key in used))
    for override in job.cli_overrides("data"):
        name, value = split_override(override)
        if name == "data" or override in used_overrides:
            continue
        key = name.removeprefix("data.")
        raise ConfigError(
            name,
            ABSENT if value is None else value,
            "has no effect here",
            f"set {key} instead of {name}"
            if key.partition(".")[0] in command_keys
            else f"of a data set only {', '.join(used)} are used{of_checkpoint if key in CUT_KEYS else ''}",
        )


def check_clip_keys(cfg: DictConfig) -> None:
    """Raise ConfigError for a size or length of the clips of a data set that cannot be."""
    crop = list(cfg.data.crop) if OmegaConf.is_list(cfg.data.crop) else cfg.data.crop
    check_clip(frames=cfg.data.frames, stride=cfg.data.get("stride"), resize=cfg.data.resize, crop=crop)


def listed_splits(cfg: DictConfig) -> list[Split]:
    """Return the entries of ``splits``; none where it is null. Raises ConfigError for one that is no split."""
    splits = listed_entries(cfg, "splits")
    if cfg.splits is not None and (not splits or (unknown := [split for split in splits if split not in SPLITS])):
        value = unknown[0] if splits else splits
        raise ConfigError("splits", value, "is not a split", f"set some of {', '.join(SPLITS)}")
    return splits


def listed_entries(cfg: DictConfig, key: str) -> list[Any]:
    """Return the entries of a key that holds a list; one alone may be typed without brackets."""
    value = cfg[key]
    return list(value) if OmegaConf.is_list(value) else [] if value is None else [value]


def check_loader_options(cfg: DictConfig) -> None:
    """Raise ConfigError for impossible numbers under the keys with which commands read videos for a checkpoint."""
    for key, types, least in (("batch_size", (int,), 1), ("num_workers", (int,), 0), ("timeout", (int, float), 0)):
        if (value := cfg.get(key)) is not None and not (type(value) in types and value >= least):
            raise ConfigError(key, value, "is not possible", f"set a number, {least} or more")


def check_classes(expected: Mapping[str, Sequence[str]], actual: Mapping[str, Sequence[str]], source: str) -> None:
    """Raise ConfigError, with the first difference, for a data set with other classes than ``source``."""
    if list(expected) != list(actual):
        raise _other_classes(f"has the heads {list(actual)}, {source} {list(expected)}")
    for head, names in expected.items():
        if len(names) != len(actual[head]):
            raise _other_classes(f"has {len(actual[head])} classes of {head!r}, {source} {len(names)}")
        if isinstance(names, MultiLabel) != isinstance(actual[head], MultiLabel):
            kinds = (
                ("several labels", "one label")
                if isinstance(actual[head], MultiLabel)
                else ("one label", "several labels")
            )
            raise _other_classes(f"has {kinds[0]} a video for {head!r}, {source} {kinds[1]}")
        for number, (name, other) in enumerate(zip(names, actual[head], strict=True)):
            if name != other:
                raise _other_classes(f"has {other!r} as class {number} of {head!r}, {source} has {name!r}")


def _other_classes(problem: str) -> ConfigError:
    return ConfigError("data", problem=problem, remedy="set a data set of the same classes, in the same order")
