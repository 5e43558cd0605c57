"""What a run that goes on from a checkpoint takes from it, and what its own configuration decides."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lightning.pytorch.utilities import rank_zero_only
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

log = logging.getLogger(__name__)

RATES = ("lr", "initial_lr")
SHAPING = ("amsgrad", "centered")
"""Settings of torch's optimisers that decide what they remember of every parameter."""
ANEW = "or start anew from its weights: weights=video weights.source=FILE instead of ckpt_path=FILE"


class Step(NamedTuple):
    """The clips of a step: so many at once on so many devices, in so many parts after one another."""

    batch_size: int
    devices: int
    parts: int

    def check(self, checkpoint: Mapping[str, Any]) -> None:
        """Raise where the steps of the run that saved a checkpoint had another number of clips.

        Its place in the schedule is counted in steps, and that in an epoch in batches. Earlier checkpoints do not tell.
        """
        if "clips_a_step" not in checkpoint:
            return
        theirs = Step(*checkpoint["clips_a_step"])
        if math.prod(theirs) != math.prod(self):
            raise ValueError(
                f"data.batch_size={self.batch_size}: {self}, but the checkpoint is of a run that has {theirs}, in "
                f"which its schedule counts; set them so that a step has {math.prod(theirs)} clips, {ANEW}"
            )
        if theirs.parts != self.parts and in_mid_epoch(checkpoint):
            raise ValueError(
                f"trainer.accumulate_grad_batches={self.parts}: the checkpoint lies within an epoch of batches for "
                f"{theirs.parts}; go on from one behind an epoch, or set {theirs.parts}"
            )

    def __str__(self) -> str:
        return f"{math.prod(self)} clips a step ({self.batch_size} x {self.devices} devices x {self.parts} parts)"


def in_mid_epoch(checkpoint: Mapping[str, Any]) -> bool:
    """Whether a checkpoint was saved while an epoch was under way."""
    epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]
    return bool(epochs["processed"] < epochs["ready"])


def settle(
    checkpoint: Mapping[str, Any],
    asked: Sequence[Mapping[str, Any]],
    optimiser: Optimizer,
    schedule: LambdaLR,
    *,
    keep_rate: bool,
) -> None:
    """Put what is ``asked`` of every group of parameters into a checkpoint that is about to be restored.

    So a run goes on with what its configuration says, and with what was remembered of every parameter. The optimiser
    gets the same, since a strategy may have restored that first. ``keep_rate`` leaves the checkpoint its rate, which
    somebody has found. Raises where the checkpoint is another optimiser's.
    """
    (saved,), (clock,) = checkpoint["optimizer_states"], checkpoint["lr_schedulers"]
    theirs = saved["param_groups"]
    kind = checkpoint.get("optimiser", type(optimiser).__name__)  # earlier checkpoints do not tell
    foreign = [kind] if kind != type(optimiser).__name__ else another(asked[0], theirs[0])
    if len(asked) != len(theirs) or foreign:
        of = ", ".join(foreign) if len(asked) == len(theirs) else f"{len(theirs)} group(s) of parameters"
        raise ValueError(
            f"optim: {type(optimiser).__name__}, with {len(asked)} group(s) of parameters, cannot go on from the "
            f"checkpoint of an optimiser with {of}; leave optim as it was, {ANEW}"
        )
    changed: dict[str, tuple[Any, Any]] = {}
    for at, (mine, group, live) in enumerate(zip(asked, theirs, optimiser.param_groups, strict=True)):
        rate = group["initial_lr"] if keep_rate else mine["initial_lr"]
        now = {key: mine[key] for key in settings(mine)}
        before = {key: group[key] for key in settings(group)} | {"lr": group["initial_lr"]}
        changed |= {key: (new, before[key]) for key, new in (now | {"lr": rate}).items() if before.get(key, new) != new}
        clock["base_lrs"][at] = rate
        now |= {"initial_lr": rate, "lr": rate * schedule.lr_lambdas[at](clock["last_epoch"])}
        group.update(now)
        live.update(now)
    for key, (new, old) in changed.items():
        of = "groups" if key == "scale" else "optimiser"
        rank_zero_only(log.warning)("optim.%s.%s=%s from here on; it was %s in the checkpoint", of, key, new, old)


def another(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Name the settings that show a group to be of an optimiser whose memory ours cannot take; none if it can."""
    mine, foreign = settings(ours), settings(theirs)
    unknown = [key for key in foreign if key not in mine]
    if unknown and set(mine) - set(foreign):  # one of the two alone is another version of torch
        return unknown
    return [f"{key}={theirs[key]}" for key in SHAPING if key in mine and key in foreign and ours[key] != theirs[key]]


def settings(group: Mapping[str, Any]) -> list[str]:
    """Names of what a configuration says of a group, but for its rate."""
    return [key for key in group if key not in ("params", *RATES)]
