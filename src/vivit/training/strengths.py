"""The strength of every regulariser along training."""

from collections.abc import Callable, Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import nn

from vivit.schedules import Constant, Schedule


def set_stochastic_depth(module: Any, strength: float) -> None:
    """Set the rate of the last layer of every encoder; the ramp below follows."""
    for part in module.network.modules():
        if hasattr(part, "set_stochastic_depth"):
            part.set_stochastic_depth(strength)


def set_dropout(module: Any, strength: float) -> None:
    """Set the rate of every dropout but that of attention weights."""
    for part in module.network.modules():
        if isinstance(part, nn.Dropout):
            part.p = strength


def set_attention_dropout(module: Any, strength: float) -> None:
    """Set the dropout of attention weights."""
    for part in module.network.modules():
        if hasattr(part, "attention_dropout"):
            part.attention_dropout = strength


def set_mixup(module: Any, strength: float) -> None:
    """Set the parameter of the Beta distribution."""
    module.targets.mixup = strength


def set_label_smoothing(module: Any, strength: float) -> None:
    """Set the probability that is spread over all classes."""
    module.targets.label_smoothing = strength


SETTERS: Mapping[str, Callable[[Any, float], None]] = {
    "stochastic_depth": set_stochastic_depth,
    "dropout": set_dropout,
    "attention_dropout": set_attention_dropout,
    "mixup": set_mixup,
    "label_smoothing": set_label_smoothing,
}


class Strengths(Callback):
    """Sets and logs regularisers as functions of training progress, before every step, and logs the learning rate.

    One argument a regulariser: a schedule, a number, or None to leave it as the model or the targets have it. Progress
    is the share of all batches of the run that lie behind, so that nothing has to be kept for a resume. RandAugment's
    magnitude (``augment.colours.magnitude``) is only logged: the workers compute it, from the step in their ticket.
    """

    def __init__(
        self,
        *,
        stochastic_depth: Schedule | float | None = None,
        dropout: Schedule | float | None = None,
        attention_dropout: Schedule | float | None = None,
        mixup: Schedule | float | None = None,
        label_smoothing: Schedule | float | None = None,
    ) -> None:
        given = {
            "stochastic_depth": stochastic_depth,
            "dropout": dropout,
            "attention_dropout": attention_dropout,
            "mixup": mixup,
            "label_smoothing": label_smoothing,
        }
        self.schedules: dict[str, Schedule] = {
            name: Constant(value) if isinstance(value, int | float) else value
            for name, value in given.items()
            if value is not None
        }
        for name, schedule in self.schedules.items():
            check_range(name, schedule)

    def strongest(self, name: str) -> float | None:
        """Give the highest strength of a regulariser along training; None where it is left as it is."""
        schedule = self.schedules.get(name)
        return None if schedule is None else max(schedule(percent / 100) for percent in range(101))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set what is due, and log it."""
        progress = progress_of(trainer, batch_idx)
        strengths = {name: schedule(progress) for name, schedule in self.schedules.items()}
        for name, strength in strengths.items():
            SETTERS[name](pl_module, strength)
        if callable(magnitude := magnitude_of(trainer)):
            strengths["rand_augment"] = magnitude(progress)
        rates = {"train/learning_rate": max(group["lr"] for group in trainer.optimizers[0].param_groups)}
        curves = rates | {f"strength/{name}": strength for name, strength in strengths.items()}
        pl_module.log_dict(curves, on_step=True, on_epoch=False, batch_size=1)


def magnitude_of(trainer: Trainer) -> Schedule | float | None:
    """Find RandAugment's magnitude in the data, if there is one."""
    view = getattr(getattr(trainer, "datamodule", None), "training_view", None)
    return getattr(getattr(view, "colours", None), "magnitude", None)


def progress_of(trainer: Trainer, batch_idx: int) -> float:
    """Share of the run's batches that lie behind."""
    batches = int(trainer.num_training_batches)
    planned = [batches * trainer.max_epochs] if trainer.max_epochs and trainer.max_epochs > 0 else []
    planned += [trainer.max_steps * trainer.accumulate_grad_batches] if trainer.max_steps > 0 else []
    return (trainer.current_epoch * batches + batch_idx) / min(planned)


def check_range(name: str, schedule: Schedule) -> None:
    """Refuse strengths that the regulariser cannot have, wherever on the way they come."""
    for percent in range(101):
        strength = schedule(percent / 100)
        if strength < 0 or (name != "mixup" and strength > 1) or (name == "label_smoothing" and strength == 1):
            limits = "at least 0" if name == "mixup" else "in [0, 1]" if name != "label_smoothing" else "in [0, 1)"
            raise ValueError(
                f"callbacks.strengths.{name} is {strength} after {percent} % of training; it must be {limits}"
            )
