"""What the machine of a run decides about how it computes, as it turned out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer

from vivit.training.ddp import StaticGraphDDPStrategy

CHECKPOINT_KEY = "compute"


def precision_settings(trainer: Trainer) -> dict[str, Any]:
    """Return ``precision``, and ``matmul_precision`` of float32 products: None where there is no GPU."""
    matmul = torch.get_float32_matmul_precision() if is_gpu(trainer) else None
    return {"precision": str(trainer.precision), "matmul_precision": matmul}


def compute_settings(trainer: Trainer) -> dict[str, Any]:
    """Return the settings of a training that has begun, in plain values.

    Beside ``precision_settings`` these are ``fused`` (the optimizer), ``static_graph`` (of DDP, else None) and
    ``pin_memory`` (of batches).
    """
    strategy, (optimizer,) = trainer.strategy, trainer.optimizers
    return precision_settings(trainer) | {
        "fused": bool(optimizer.param_groups[0].get("fused")),
        "static_graph": strategy.static_graph if isinstance(strategy, StaticGraphDDPStrategy) else None,
        "pin_memory": bool(getattr(trainer.train_dataloader, "pin_memory", False)),
    }


def read_compute_settings(checkpoint: Path) -> Mapping[str, Any]:
    """Return the settings of the training that saved a checkpoint, and the name of its ``optimizer``.

    A checkpoint of an earlier version may lack some.
    """
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return saved.get(CHECKPOINT_KEY, {}) | {"optimizer": saved.get("optimizer")}


def is_gpu(trainer: Trainer) -> bool:
    """Return whether a rank computes on a GPU of CUDA's kind."""
    return trainer.strategy.root_device.type == "cuda"
