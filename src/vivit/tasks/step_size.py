"""The step of a run that goes on with another number of devices: the same clips in the same order, shared otherwise."""

import logging
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from vivit.errors import ConfigError
from vivit.launch import Job
from vivit.launch.resume import HYDRA_FOLDER
from vivit.training.lightning_compat import loader_state
from vivit.training.optimizer_state import StepSize

log = logging.getLogger(__name__)

IN_BATCHES = ("trainer.val_check_interval", "trainer.limit_train_batches", "trainer.overfit_batches")
"""Keys that count batches, which are parts of a step, or are a share of them."""


def read_epoch(checkpoint: Path) -> tuple[int, int] | None:
    """Return the training videos and the clips of an epoch of the run that saved a checkpoint; None of an early one."""
    of_epoch = loader_state(_read(checkpoint)).get("of_epoch")
    return None if of_epoch is None else (int(of_epoch[0]), int(of_epoch[1]))


def keep_step(cfg: DictConfig, job: Job, checkpoint: Path | None) -> DictConfig:
    """Return the configuration of a run that goes on, with the batch and the parts by which its devices share a step.

    Where it comes out even a device keeps its clips and a step has other parts: dropout and mixup, which are each
    part's, stay as they were. Else the clips of a part are shared. Raises ConfigError where no way is even.
    """
    devices = count_devices(cfg)
    place = job.folder / "checkpoints" / "last.ckpt"
    recorded = job.folder / HYDRA_FOLDER / "config.yaml"
    if not job.resumes or devices is None or (checkpoint is not None and checkpoint != place):
        return cfg
    configured = StepSize(cfg.data.batch_size, devices, cfg.trainer.get("accumulate_grad_batches", 1))
    if checkpoint is not None and "clips_a_step" in (saved := _read(checkpoint)):
        before = StepSize(*saved["clips_a_step"])
    elif recorded.is_file():
        before = configured._replace(devices=count_devices(OmegaConf.load(recorded)) or devices)
    else:
        return cfg
    epoch = None if checkpoint is None else read_epoch(checkpoint)
    if before == configured:
        return cfg
    step = share_step(before, devices, None if epoch is None else epoch[1], fixed_parts=_fixed_parts(cfg))
    shared = deepcopy(cfg)
    with read_write(shared), open_dict(shared):
        shared.data.batch_size, shared.trainer.accumulate_grad_batches = step.batch_size, step.parts
    if step != configured:
        log.info("a step has %s, as before: %s", step, before)
    return shared


def share_step(before: StepSize, devices: int, epoch: int | None, *, fixed_parts: int | None = None) -> StepSize:
    """Return how ``devices`` share the clips of a step of ``before``, so that an ``epoch`` of so many ends as it did.

    ``fixed_parts`` are those that a step must have. Raises ConfigError where it does not come out even.
    """
    clips = before.batch_size * before.devices * before.parts
    ways = [
        StepSize(clips // devices // parts, devices, parts)
        for parts in ([fixed_parts] if fixed_parts else range(1, clips // devices + 1))
        if clips % (devices * parts) == 0 and (epoch or 0) % (clips // parts) == 0
    ]
    if not ways:
        problem = f"cannot share the run's step of {before} evenly"
        raise ConfigError("trainer.devices", devices, problem, f"set another number, such as {before.devices}")
    return min(ways, key=lambda way: (
        way.batch_size != before.batch_size, way.parts != before.parts, way.batch_size > before.batch_size,
        abs(way.batch_size - before.batch_size),
    ))  # fmt: skip


def count_devices(cfg: Any) -> int | None:
    """Return the devices of all machines that a configuration names; None where only Lightning will know."""
    devices, nodes = (OmegaConf.select(cfg, f"trainer.{key}", default=1) for key in ("devices", "num_nodes"))
    numbers = isinstance(devices, int) and isinstance(nodes, int) and devices > 0
    return devices * nodes if numbers else None


def _fixed_parts(cfg: DictConfig) -> int | None:
    """Return the parts that a step must keep, since keys count them; None where there may be others."""
    values = [OmegaConf.select(cfg, key) for key in IN_BATCHES]
    fixed = any(bool(value) and (type(value) is int or value != 1.0) for value in values)
    return int(cfg.trainer.get("accumulate_grad_batches", 1)) if fixed else None


def _read(checkpoint: Path) -> dict[str, Any]:
    return dict(torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True))
