"""The batch and the memory: ``data.batch_size=auto``, found once for a run folder, and numbers that cannot fit."""

import json
import logging
import time
from copy import deepcopy
from pathlib import Path

import torch
from lightning import Trainer
from omegaconf import DictConfig, open_dict, read_write
from torch import nn

from vivit.data.frame_cache.budget import free_memory, gigabytes
from vivit.device.malloc import disable_malloc_trim, resident_memory
from vivit.errors import ConfigError
from vivit.io import write_json
from vivit.launch import Job
from vivit.ranks import is_rank_zero
from vivit.tasks.build import build_network
from vivit.tasks.compute import AUTO, trainer_options, uses_cuda
from vivit.tasks.config_checks import check_clip_keys
from vivit.tasks.dataset import build_dataset
from vivit.tasks.training_checks import is_sharded
from vivit.training.batch_size import LARGER, BatchMemory, count_batch_memory, measure_batch_memory

log = logging.getLogger(__name__)

FILE = "batch_size.json"
FREE_SHARE = 0.7
"""Of the memory that is free, which a batch may take: others may come, and memory is never packed without gaps."""
SLACK = 1.3
"""How much more than what is counted a batch usually takes."""
STEPS_OF_EPOCH = 8
"""Steps that an epoch keeps at least."""
PATIENCE = 600.0
"""Seconds that other ranks wait for the first."""


def resolve_batch_size(cfg: DictConfig, job: Job) -> DictConfig:
    """Return a configuration with a number of clips in place of ``data.batch_size=auto``.

    The number is that of the run folder, where a resume and other ranks read it; the first rank of a new run finds it.
    Raises ConfigError where it cannot be found.
    """
    if cfg.data.batch_size != AUTO:
        return cfg
    file = job.folder / FILE
    if not file.is_file() and is_rank_zero():
        write_json(file, find_batch_size(cfg))
    resolved = deepcopy(cfg)
    with read_write(resolved), open_dict(resolved):
        resolved.data.batch_size = _read(file)
    return resolved


def find_batch_size(cfg: DictConfig) -> dict[str, int]:
    """Return the batch size, and the bytes that decided it: free, of the process, and of a clip."""
    if is_sharded(cfg):
        raise ConfigError("data.batch_size", AUTO, "the memory of a sharded model is not measured", "set a number")
    check_clip_keys(cfg)
    dataset = build_dataset(cfg)
    dataset.prepare()
    memory, free, _ = measure_memory(cfg, sum(map(len, dataset.heads.values())))
    videos = len(dataset.videos("train"))
    size = auto_size(memory, free, videos)
    log_choice(size, memory, free, videos)
    return {"batch_size": size, "free": free, "fixed": memory.fixed, "clip": memory.clip}


def auto_size(memory: BatchMemory, free: int, videos: int) -> int:
    """Return the largest batch that fits into the memory that is free and leaves an epoch enough steps."""
    return memory.largest(int(FREE_SHARE * free), max(2, videos // STEPS_OF_EPOCH))


def check_memory(cfg: DictConfig, network: nn.Module, trainer: Trainer) -> None:
    """Raise ConfigError where a batch cannot fit into the memory of this machine; warn where it hardly does.

    Counted is what training takes at the least, in all of its processes. On a GPU torch itself says that memory ran
    out; on a CPU the system kills the process without a word.
    """
    if trainer.strategy.root_device.type != "cpu" or is_sharded(cfg):
        return
    autocast = torch.bfloat16 if str(trainer.precision).startswith("bf16") else None
    memory = count_batch_memory(network, (3, cfg.data.frames, *cfg.data.crop), autocast)
    if memory is None:
        return
    size = cfg.data.batch_size
    free = (free_memory() + resident_memory()) // trainer.num_devices
    needed, fitting = memory.peak(size), memory.largest(int(free / SLACK), size)
    if needed * SLACK < free:
        return
    of_clip = f"a training step takes at least {gigabytes(needed)}, {gigabytes(memory.clip)} a clip"
    problem = f"{of_clip}, and {gigabytes(free)} of memory are free"
    remedy = f"set {fitting}, or auto, which measures it"
    if memory.peak(fitting) * SLACK > free:
        remedy = "set fewer data.frames, a smaller data.crop or size, or model.gradient_checkpointing=true"
    if needed > free:
        raise ConfigError("data.batch_size", size, problem, remedy)
    log.warning("data.batch_size=%d: %s: it may be killed; %s", size, problem, remedy)


def measure_memory(cfg: DictConfig, num_classes: int) -> tuple[BatchMemory, int, torch.device]:
    """Return the memory of training, the bytes that are free for it, and the device.

    Raises ConfigError where not even a small batch fits.
    """
    options = trainer_options(cfg.trainer)
    device = torch.device("cuda" if uses_cuda(options) else "cpu")
    autocast = torch.bfloat16 if str(options.get("precision")).startswith("bf16") else None
    disable_malloc_trim()
    network = build_network(cfg, num_classes)
    free = torch.cuda.mem_get_info()[0] if device.type == "cuda" else free_memory() + resident_memory()
    try:
        memory = measure_batch_memory(network, (3, cfg.data.frames, *cfg.data.crop), device, autocast)
    except torch.OutOfMemoryError:
        problem = f"not even {LARGER} clips fit into the memory of the GPU"
        remedy = "set 1 or 2, or model.gradient_checkpointing=true, or a smaller size"
        raise ConfigError("data.batch_size", AUTO, problem, remedy) from None
    return memory, free, device


def log_choice(size: int, memory: BatchMemory, free: int, videos: int) -> None:
    """Log a batch size and what decided it."""
    log.info(
        "data.batch_size=auto: %d clips, about %s of %s (%s a clip); %d training videos leave %d steps an epoch",
        *(size, gigabytes(memory.peak(size)), gigabytes(free), gigabytes(memory.clip), videos, max(1, videos // size)),
    )


def _read(file: Path) -> int:
    end = time.monotonic() + PATIENCE
    while not file.is_file():
        if time.monotonic() > end:
            raise ConfigError("data.batch_size", AUTO, f"{file} is not there after {PATIENCE:.0f} s", "set a number")
        time.sleep(0.2)
    return int(json.loads(file.read_text(encoding="utf-8"))["batch_size"])
