"""The optimizer state of a checkpoint: checks that it fits this run, and takes over this run's settings."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lightning.pytorch.utilities import rank_zero_only
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from vivit.errors import ConfigError
from vivit.training.lightning_compat import count_in_parts

log = logging.getLogger(__name__)

RATES = ("lr", "initial_lr")
STATE_SETTINGS = ("amsgrad", "centered")
"""Settings of torch's optimizers that decide what state they have for every parameter."""
RESTART = "or start from its weights alone: weights=video weights.source=FILE instead of ckpt_path=FILE"


class StepSize(NamedTuple):
    """The clips of a step: those of a device at once, devices, and accumulated parts."""

    batch_size: int
    devices: int
    parts: int

    def adopt(self, checkpoint: Mapping[str, Any]) -> None:
        """Raise ConfigError where the steps of the run that saved a checkpoint had another number of clips.

        Its place in the schedule is counted in steps. That in an epoch is counted in batches, and is counted anew where
        a step has other parts now. Earlier checkpoints do not store it.
        """
        if "clips_a_step" not in checkpoint:
            return
        saved = StepSize(*checkpoint["clips_a_step"])
        if math.prod(saved) != math.prod(self):
            raise ConfigError(
                "data.batch_size", self.batch_size,
                f"makes {self}, but the checkpoint's schedule counts steps of {saved}",
                f"set a step of {math.prod(saved)} clips, {RESTART}",
            )  # fmt: skip
        count_in_parts(checkpoint, saved.parts, self.parts)

    def __str__(self) -> str:
        return f"{math.prod(self)} clips a step ({self.batch_size} x {self.devices} devices x {self.parts} parts)"


def apply_configured_settings(
    checkpoint: Mapping[str, Any],
    configured: Sequence[Mapping[str, Any]],
    optimizer: Optimizer,
    scheduler: LambdaLR,
    *,
    keep_rate: bool,
) -> None:
    """Write the ``configured`` settings of every parameter group into a checkpoint that is about to be restored.

    So a resumed run has the settings of its configuration, and the saved state of every parameter. The optimizer gets
    the same, since a strategy may have restored that first. ``keep_rate`` leaves the learning rate of the checkpoint,
    which a search set. Raises ConfigError where the checkpoint is another optimizer's.
    """
    (saved,), (saved_scheduler,) = checkpoint["optimizer_states"], checkpoint["lr_schedulers"]
    saved_groups = saved["param_groups"]
    name = type(optimizer).__name__
    saved_name = checkpoint.get("optimizer", name)  # earlier checkpoints do not store it
    differing = [saved_name] if saved_name != name else incompatible_settings(configured[0], saved_groups[0])
    if len(configured) != len(saved_groups) or differing:
        same_length = len(configured) == len(saved_groups)
        what = ", ".join(differing) if same_length else f"{len(saved_groups)} group(s) of parameters"
        raise ConfigError(
            "optim", name,
            f"with {len(configured)} group(s) of parameters, does not fit a checkpoint of one with {what}",
            f"leave optim as it was, {RESTART}",
        )  # fmt: skip
    changes: dict[str, tuple[Any, Any]] = {}
    for i, (target, group, live) in enumerate(zip(configured, saved_groups, optimizer.param_groups, strict=True)):
        rate = group["initial_lr"] if keep_rate else target["initial_lr"]
        now = {key: target[key] for key in setting_names(target)}
        before = {key: group[key] for key in setting_names(group)} | {"lr": group["initial_lr"]}
        changes |= {key: (new, before[key]) for key, new in (now | {"lr": rate}).items() if before.get(key, new) != new}
        saved_scheduler["base_lrs"][i] = rate
        now |= {"initial_lr": rate, "lr": rate * scheduler.lr_lambdas[i](saved_scheduler["last_epoch"])}
        group.update(now)
        live.update(now)
    for key, (new, old) in changes.items():
        if key == "lr_scale":
            rank_zero_only(log.warning)("optim.param_groups.decay differs from here on from that of the checkpoint")
        else:
            rank_zero_only(log.warning)(
                "optim.optimizer.%s=%s from here on; it was %s in the checkpoint", key, new, old
            )


def incompatible_settings(configured: Mapping[str, Any], saved: Mapping[str, Any]) -> list[str]:
    """Return the settings by which a saved group is of an optimizer with another state; none if it fits."""
    names, saved_names = setting_names(configured), setting_names(saved)
    unknown = [key for key in saved_names if key not in names]
    if unknown and set(names) - set(saved_names):  # one of the two alone is another version of torch
        return unknown
    return [
        f"{key}={saved[key]}"
        for key in STATE_SETTINGS
        if key in names and key in saved_names and configured[key] != saved[key]
    ]


def setting_names(group: Mapping[str, Any]) -> list[str]:
    """Return the names of a parameter group's settings, except for its rates."""
    return [key for key in group if key not in ("params", *RATES)]
