"""What a configuration leaves to the machine that computes: precision, and the arithmetic of its products."""

import logging
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_only
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from vivit.errors import ConfigError
from vivit.training.cluster import cluster_environment
from vivit.training.compute import read_compute_settings

log = logging.getLogger(__name__)

AUTO = "auto"
CLUSTER = "vivit.training.cluster.cluster_environment"
MATMUL_PRECISIONS = ("highest", "high", "medium")


def keep_settings(cfg: DictConfig, checkpoint: Path) -> DictConfig:
    """Return a configuration with the settings of the run that saved a checkpoint, in place of each "auto".

    So a resume on another kind of machine computes as the run did. Another optimizer, which is refused later, has none.
    """
    saved, resumed = read_compute_settings(checkpoint), deepcopy(cfg)
    optimizer = str(OmegaConf.select(cfg, "optim.optimizer._target_")).rpartition(".")[2]
    settings = {"precision": "trainer.precision"} | (
        {"fused": "optim.fused"} if optimizer == saved["optimizer"] else {}
    )
    with read_write(resumed), open_dict(resumed):
        for name, key in settings.items():
            if name in saved and OmegaConf.select(cfg, key, default=AUTO) == AUTO:
                OmegaConf.update(resumed, key, saved[name])
    return resumed


def trainer_options(node: DictConfig) -> dict[str, Any]:
    """Return the options of Lightning's Trainer in plain values, and set the precision of products on a GPU.

    ``precision=auto`` becomes bfloat16 with weights in float32 where a GPU computes in it, and else float32.
    ``matmul_precision`` is no option of the Trainer; raises ConfigError for an unknown one. Ranks are those that a
    launcher has started.
    """
    options: dict[str, Any] = OmegaConf.to_container(node, resolve=True)  # type: ignore[assignment]
    on_gpu = uses_cuda(options)
    if (matmul := options.pop("matmul_precision", None)) is not None:
        if matmul not in MATMUL_PRECISIONS:
            remedy = f"set one of {', '.join(MATMUL_PRECISIONS)}"
            raise ConfigError("trainer.matmul_precision", matmul, "is no precision of products", remedy)
        if on_gpu:
            torch.set_float32_matmul_precision(matmul)
    if cluster_environment() is not None:
        options["plugins"] = [*(options.get("plugins") or ()), {"_target_": CLUSTER}]
    if options.get("precision") == AUTO:
        options["precision"] = "bf16-mixed" if on_gpu and has_bfloat16() else "32-true"
        rank_zero_only(log.info)("trainer.precision=%s, by the device", options["precision"])
    return options


def check_accelerator(options: Mapping[str, Any]) -> None:
    """Raise ConfigError where options of a Trainer ask for a GPU, or for more of them, than torch sees here."""
    accelerator, devices = options.get("accelerator"), options.get("devices")
    if accelerator not in ("gpu", "cuda"):
        return
    gpus = torch.cuda.device_count() or int(accelerator == "gpu" and torch.backends.mps.is_available())
    if gpus == 0:
        remedy = "set trainer=default, which takes what there is, or install a torch for the GPU (docs/install.md)"
        raise ConfigError("trainer.accelerator", accelerator, "torch sees no GPU on this machine", remedy)
    if isinstance(devices, int) and devices > gpus:
        raise ConfigError("trainer.devices", devices, f"torch sees {gpus} on this machine", f"set at most {gpus}")


def uses_cuda(options: Mapping[str, Any]) -> bool:
    """Return whether a Trainer of these options computes on a GPU of CUDA's kind."""
    return options.get("accelerator", AUTO) in (AUTO, "gpu", "cuda") and torch.cuda.is_available()


def has_bfloat16() -> bool:
    """Return whether this machine's GPU computes in bfloat16, rather than imitating it."""
    return torch.cuda.is_bf16_supported(including_emulation=False)
