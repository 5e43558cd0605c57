"""Resolvers of configurations: names of jobs and folders, the batch of a device, sums and quotients."""

import hashlib
import json
import math
import re
from collections.abc import Sequence
from contextlib import suppress

from omegaconf import DictConfig, OmegaConf

from vivit.errors import ConfigError
from vivit.launch.booleans import parse_booleans
from vivit.launch.resume import HYDRA_FOLDER
from vivit.overrides import NOT_IN_HASH, distinguishing_overrides, matches_key

INITIAL_WEIGHTS = ("init_from",)
"""Weights that a sweep may start from; where it does, ``weights.source`` holds the path too."""
PATHS = {"root": ".", "data": "./data", "logs": "./logs", "run": "."}
"""Values of ``paths`` for the hash, so that it does not depend on where they lie."""
MAX_NAME_LENGTH = 180
"""Characters of a name before its hash; most disks allow 255 in all."""
TRAIN_ONLY = dict.fromkeys(("loader", "resampling", "seed", "views"))
"""Keys that a data set refers to and that not every command has."""

ADDED_KEYS = {"resampling.square_pixels": False, "data.resampling.square_pixels": False, "weights.key": None}
"""Later keys, with the value under which a run is the same as before: they change no job's hash at that value."""


def job_name(*, _root_: DictConfig) -> str:
    """Return the folder name of a sweep's job: its overrides without '=', and a hash of all that decides its result."""
    overrides = [text for text in _root_.hydra.overrides.task if not matches_key(text, ("sweep=", *NOT_IN_HASH))]
    readable = "_".join(re.sub(r"[^A-Za-z0-9_.-]+", "-", override.lstrip("+")) for override in overrides)
    short = readable[-MAX_NAME_LENGTH:].lstrip("-_.")
    digest = hashlib.sha256(json.dumps(config_for_hash(_root_), sort_keys=True).encode()).hexdigest()[:8]
    return f"{short}_{digest}" if short else digest


def run_group(overrides: Sequence[str]) -> str:
    """Return the name of the runs that differ in nothing but their seed: one row of a table."""
    return " ".join(override.lstrip("+") for override in distinguishing_overrides(overrides)) or "default"


def config_for_hash(cfg: DictConfig) -> dict:
    """Return all of a configuration that decides a run's result, in plain values."""
    unresolved = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(unresolved, dict)
    copy = OmegaConf.create(TRAIN_ONLY | {key: node for key, node in unresolved.items() if key != "hydra"})
    copy.paths.update(PATHS)
    with suppress(ValueError):  # which the job itself raises
        parse_booleans(copy)
    plain = OmegaConf.to_container(copy, resolve=True)
    assert isinstance(plain, dict)
    unchanged = [key for key, before in ADDED_KEYS.items() if OmegaConf.select(copy, key) == before]
    for key in (*NOT_IN_HASH, *INITIAL_WEIGHTS, *unchanged):
        node = plain
        *groups, name = key.split(".")
        for group in groups:
            node = node.get(group) or {}
        node.pop(name, None)
    return plain


def run_folder(new: str, *, _root_: DictConfig) -> str:
    """Return the folder of a single run: the one that is resumed, or a new one."""
    return str(_root_.get("resume") or new)


def hydra_output_subdir(*, _root_: DictConfig) -> str:
    """Return the folder, below the run folder, for Hydra's files; a resume leaves those of the run as they are."""
    return f"{HYDRA_FOLDER}/resume" if _root_.get("resume") else HYDRA_FOLDER


def per_device_batch_size(step: int, *, _root_: DictConfig) -> int:
    """Return the clips that one device has at a time, where a step has ``step`` clips in all.

    They are divided evenly among nodes, their devices, and the batches that a step accumulates. Raises ConfigError
    where that leaves a remainder, or where only Lightning would know the number of devices.
    """
    trainer = _root_.trainer
    numbers = {key: trainer.get(key, 1) for key in ("num_nodes", "devices", "accumulate_grad_batches")}
    for key, number in numbers.items():
        if not isinstance(number, int) or number < 1:
            raise ConfigError(f"trainer.{key}", number, f"{step} clips a step are divided by it", "set a number")
    parts = math.prod(numbers.values())
    if step % parts:
        product = " * ".join(f"trainer.{key}={number}" for key, number in numbers.items() if key in trainer)
        raise ConfigError(
            "trainer.devices",
            numbers["devices"],
            f"{step} clips a step cannot be divided evenly by {product}",
            f"set numbers whose product divides {step}, or data.batch_size",
        )
    return step // parts


def register_resolvers() -> None:
    """Register ``${job_name:}``, ``${divide:a,b}`` and the others; commands call it before Hydra reads any YAML."""
    OmegaConf.register_new_resolver("job_name", job_name, replace=True)
    OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)
    OmegaConf.register_new_resolver("hydra_output_subdir", hydra_output_subdir, replace=True)
    OmegaConf.register_new_resolver("per_device_batch_size", per_device_batch_size, replace=True)
    OmegaConf.register_new_resolver("divide", lambda a, b: a // b, replace=True)
    OmegaConf.register_new_resolver("add", lambda a, b: a + b, replace=True)
