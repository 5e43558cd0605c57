"""Optimizer, parameter groups and learning-rate schedule: warm-up, then a cosine to zero, as the released code."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any, Literal

from lightning import Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from vivit.errors import ConfigError
from vivit.models.blocks import ResidualBlock
from vivit.training.lightning_compat import load_training_data, steps_an_epoch

log = logging.getLogger(__name__)

MAX_LR = 1e36
"""Largest learning rate: beyond it the step of AdamW overflows float32, which torch answers with a traceback."""

ParamGroup = dict[str, Any]
"""Parameters of one group of an optimizer, and the settings that differ in it; ``lr_scale`` multiplies the rate."""

IMPLEMENTATIONS = ("fused", "foreach", "differentiable")
"""Arguments of torch's optimizers that choose how a step is computed; at most one of them may be set."""

LRFactor = Callable[[int, int, int], float]
"""A schedule: (step, warm-up steps, all steps) to the factor of the base rate."""


def warmup_cosine(step: int, warmup_steps: int, total_steps: int) -> float:
    """Return the factor of the base rate at ``step``, from 0: min(1, s / w) (1 + cos(pi max(0, s - w) / (S - w))) / 2.

    With a warm-up the first step's rate is 0, as in the reference. The last step is S - 1; behind it the rate stays 0.
    """
    progress = min(max(0, step - warmup_steps) / (total_steps - warmup_steps), 1.0)
    return min(1.0, step / warmup_steps if warmup_steps else 1.0) * 0.5 * (1 + math.cos(math.pi * progress))


def single_group(network: nn.Module) -> list[ParamGroup]:
    """Return all trainable parameters in one group, as in the paper's runs."""
    return [{"params": [p for p in network.parameters() if p.requires_grad], "lr_scale": 1.0}]


@dataclass(frozen=True)
class LayerDecay:
    """Layer-wise learning-rate decay: a block's rate is ``decay`` times that of the next (Clark et al. 2020).

    For fine-tuning. The head learns at the full rate, the tokeniser at the smallest; what lies between two encoders
    belongs to the last block of the first. Biases, norms, learned tokens and positions have no weight decay, as is
    usual for image transformers (BEiT, MAE).
    """

    decay: float = 0.75

    def __post_init__(self) -> None:
        if not 0 < self.decay <= 1:
            raise ConfigError("optim.param_groups.decay", self.decay, "is not in (0, 1]", "set one such as 0.75")

    def __call__(self, network: nn.Module) -> list[ParamGroup]:
        """Return the trainable parameters grouped by layer and by whether they have weight decay."""
        layers = layer_indices(network)
        top = max(layers.values())
        groups: dict[tuple[int, bool], ParamGroup] = {}
        for name, parameter in network.named_parameters():
            if not parameter.requires_grad:
                continue
            layer, undecayed = layers[name], no_weight_decay(name)
            group = groups.setdefault((layer, undecayed), {"params": [], "lr_scale": self.decay ** (top - layer)})
            group["params"].append(parameter)
            if undecayed:
                group["weight_decay"] = 0.0
        return list(groups.values())


def no_weight_decay(name: str) -> bool:
    """Return whether a parameter is a bias, a norm's, a learned token or positions: by name, since shards are flat."""
    *_, module, parameter = ("", *name.split("."))
    return parameter in ("bias", "in_proj_bias", "cls", "query", "positions") or module.startswith("norm")


def layer_indices(network: nn.Module) -> dict[str, int]:
    """Return the layer of every parameter: 0 before the blocks, 1 to L in those of all encoders, then L + 1.

    Blocks are modules that derive from ResidualBlock, in the order of their parameters.
    """
    blocks = [f"{name}." for name, module in network.named_modules() if isinstance(module, ResidualBlock)]
    layers: dict[str, int] = {}
    layer, previous = 0, ""
    rest: list[str] = []
    for name, _ in network.named_parameters():
        block = next((block for block in blocks if name.startswith(block)), "")
        if block and block != previous:
            layer, previous, rest = layer + 1, block, []
        if not block:
            rest.append(name)
        layers[name] = layer
    return layers | dict.fromkeys(rest, layer + 1)


@dataclass(frozen=True)
class OptimizerConfig:
    """An optimizer, partial except for its parameters; warm-up, schedule and parameter groups.

    ``scheduler`` is any function such as ``warmup_cosine``; its factor multiplies the base rate of every group. The
    warm-up has ``warmup_epochs`` epochs or, where that is set, the share ``warmup_share`` of the run. The optimizer's
    rate is that of ``lr_batch`` clips a step, and in proportion of others (Goyal et al. 2017); None: of any number.
    ``fused`` takes an optimizer's fused form, which writes every parameter once a step; "auto": where the device is one
    to ``fuse`` on, and the optimizer's class has the form. Raises ConfigError for another value.
    """

    optimizer: Callable[..., Optimizer]
    warmup_epochs: float = 2.5
    param_groups: Callable[[nn.Module], list[ParamGroup]] = single_group
    scheduler: LRFactor = warmup_cosine
    fused: bool | Literal["auto"] = "auto"
    warmup_share: float | None = None
    lr_batch: int | None = None

    def __post_init__(self) -> None:
        if self.fused not in (True, False, "auto"):
            raise ConfigError("optim.fused", self.fused, "is neither auto nor a boolean", "set auto, true or false")
        share = self.warmup_share
        if share is not None and (not isinstance(share, int | float) or not 0 <= share < 1):
            raise ConfigError("optim.warmup_share", share, "is no share of a run", "set 0.1 or alike")
        if self.lr_batch is not None and (not isinstance(self.lr_batch, int) or self.lr_batch < 1):
            raise ConfigError("optim.lr_batch", self.lr_batch, "is no number of clips", "set 64 or alike, or null")

    def __call__(
        self, network: nn.Module, *, total_steps: int, steps_per_epoch: int, clips: int = 1, fuse: bool = False
    ) -> tuple[Optimizer, LambdaLR]:
        """Return the optimizer and its schedule for a run of ``total_steps`` steps of ``clips`` clips."""
        warmup = self.warmup_steps(total_steps=total_steps, steps_per_epoch=steps_per_epoch)
        if self.warmup_share is None and warmup != int(self.warmup_epochs * steps_per_epoch):
            rank_zero_only(log.warning)(
                "optim.warmup_epochs=%s: is not shorter than the run of %d steps, %d an epoch; the rate warms up in a "
                "tenth of them, %d",
                *(self.warmup_epochs, total_steps, steps_per_epoch, warmup),
            )
        groups = self.param_groups(network)

        def lr_factor(scale: float) -> Callable[[int], float]:
            return lambda step: scale * self.scheduler(step, warmup, total_steps)

        scales = [group["lr_scale"] for group in groups]
        try:
            optimizer = self.optimizer(groups, **self._arguments(clips, fuse))
        except TypeError as error:  # an argument that it does not take, or lacks
            remedy = "set the arguments that it takes; ~optim.optimizer.weight_decay removes one"
            raise ConfigError("optim.optimizer", problem=f"cannot be built ({error})", remedy=remedy) from None
        if (rate := optimizer.defaults["lr"]) > MAX_LR:
            raise ConfigError("optim.optimizer.lr", rate, f"is more than {MAX_LR:g}", "set one such as 1e-3")
        return optimizer, LambdaLR(optimizer, [lr_factor(scale) for scale in scales])

    def _arguments(self, clips: int, fuse: bool) -> dict[str, Any]:
        """Return the optimizer's arguments that depend on the run: the rate of so many clips, the fused form."""
        lr = getattr(self.optimizer, "keywords", {}).get("lr")
        scaled = {} if self.lr_batch is None or lr is None else {"lr": lr * clips / self.lr_batch}
        return scaled | ({"fused": True} if self._is_fused(fuse) else {})

    def _is_fused(self, fuse: bool) -> bool:
        """Return whether the optimizer is to be fused. Raises ConfigError for a class that has no such form."""
        has_form = "fused" in signature(getattr(self.optimizer, "func", self.optimizer)).parameters
        if self.fused == "auto":
            typed = getattr(self.optimizer, "keywords", {})
            return fuse and has_form and not any(name in typed for name in IMPLEMENTATIONS)
        if self.fused and not has_form:
            raise ConfigError("optim.fused", True, "optim.optimizer._target_ has no fused form", "set auto")
        return self.fused

    def warmup_steps(self, *, total_steps: int, steps_per_epoch: int) -> int:
        """Return the steps of the warm-up: a tenth of the run if it would not end before the run does."""
        if self.warmup_share is not None:
            return int(self.warmup_share * total_steps)
        steps = int(self.warmup_epochs * steps_per_epoch)
        return steps if steps < total_steps else total_steps // 10


def count_steps(trainer: Trainer) -> dict[str, int]:
    """Return ``total_steps`` of a run and ``steps_per_epoch``, however the run is limited.

    An epoch is as long as its data, whether ``max_epochs`` or ``max_steps`` ends the run. Raises ConfigError for a run
    without an end.
    """
    if trainer.max_epochs == trainer.max_steps == -1:
        raise ConfigError(
            "trainer.max_epochs", -1, "leaves the run without an end, towards which the learning rate falls",
            "set trainer.max_epochs or trainer.max_steps, also beside trainer.max_time",
        )  # fmt: skip
    if trainer.limit_train_batches == 0:
        raise ConfigError(
            "trainer.limit_train_batches", 0, "leaves nothing to train on", "set 1 or more; src/eval.py tests only"
        )
    load_training_data(trainer)
    steps_per_epoch = steps_an_epoch(trainer)
    return {"total_steps": int(trainer.estimated_stepping_batches), "steps_per_epoch": steps_per_epoch}
