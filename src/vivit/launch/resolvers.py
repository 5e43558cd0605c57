"""Resolvers of configurations: names of jobs and folders, the batch of a device, the stride, quotients."""

import hashlib
import json
import math
import sys

from omegaconf import DictConfig, OmegaConf

from vivit.errors import ConfigError
from vivit.launch.job_identity import MAX_NAME_LENGTH, job_identity, plain_config, shorten
from vivit.launch.path_keys import parse_override
from vivit.launch.resume import HYDRA_FOLDER
from vivit.overrides import NEUTRAL_KEYS, matches_key, override_key
from vivit.ranks import rank_group

START_BY_TORCHRUN = "type torchrun --nproc-per-node=8 src/train.py cluster=torchrun ..., or leave cluster= out"


def job_name(*, _root_: DictConfig) -> str:
    """Return the folder name of a job: its row and seed, and what was typed beside ``sweep=``.

    Of other multiruns: its overrides without '=', and a hash of all that decides its result. Where that is too long:
    the overrides of which the command line has several, the seed at the end.
    """
    if (job := job_identity(_root_, _root_.hydra)) is not None:
        return job.name
    overrides = [text for text in _root_.hydra.overrides.task if not matches_key(text, ("sweep=", *NEUTRAL_KEYS))]
    if sum(len(text) + 1 for text in overrides) > MAX_NAME_LENGTH:
        typed = [(text, parse_override(text)) for text in sys.argv[1:]]
        several = {override_key(text) for text, parsed in typed if parsed is not None and parsed.is_sweep_override()}
        overrides = [text for text in overrides if override_key(text) in several] or overrides
        overrides.sort(key=is_seed)
    short = shorten([override.lstrip("+") for override in overrides])
    digest = hashlib.sha256(json.dumps(plain_config(_root_), sort_keys=True).encode()).hexdigest()[:8]
    return f"{short}_{digest}" if short else digest


def is_seed(override: str) -> bool:
    """Return whether an override sets the seed."""
    return override_key(override) == "seed"


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


def unless_fps(stride: int, *, _parent_: DictConfig) -> int | None:
    """Return the default of ``data.stride``; None where ``data.fps`` is set, which takes its place."""
    return stride if _parent_.get("fps") is None else None


def started_by_torchrun(what: str) -> int:
    """Return the ``nodes`` on which torchrun has started this run, or the processes ``per_node``.

    Raises ConfigError where it has started none.
    """
    group = rank_group()
    if group is None or group.launcher != "torchrun":
        raise ConfigError("cluster", "torchrun", "torchrun has not started this command", START_BY_TORCHRUN)
    number: int = getattr(group, what)
    return number


def register_resolvers() -> None:
    """Register ``${job_name:}``, ``${divide:a,b}`` and the others; commands call it before Hydra reads any YAML."""
    OmegaConf.register_new_resolver("job_name", job_name, replace=True)
    OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)
    OmegaConf.register_new_resolver("hydra_output_subdir", hydra_output_subdir, replace=True)
    OmegaConf.register_new_resolver("per_device_batch_size", per_device_batch_size, replace=True)
    OmegaConf.register_new_resolver("unless_fps", unless_fps, replace=True)
    OmegaConf.register_new_resolver("started_by_torchrun", started_by_torchrun, replace=True)
    OmegaConf.register_new_resolver("divide", lambda a, b: a // b, replace=True)
