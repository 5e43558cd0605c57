"""A callback that schedules the regularisers, and logs them with the learning rate."""

from typing import Any

from lightning import Callback, LightningModule, Trainer

from vivit.training.lightning_compat import is_logged_step
from vivit.training.regularisation import SETTERS, Constant, Schedule, check_range, max_strength


class RegularisationScheduler(Callback):
    """Sets and logs regularisers as functions of training progress, before every step, and logs the learning rate.

    One argument a regulariser: a schedule, a number, or None to leave it as the model or the loss has it. Progress is
    the share of all batches of the run so far, so that a resume needs no state. RandAugment's magnitude
    (``augment.color_transform.magnitude``) is only logged: the workers compute it, from the step of their sample index.
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
        strengths = {
            "stochastic_depth": stochastic_depth,
            "dropout": dropout,
            "attention_dropout": attention_dropout,
            "mixup": mixup,
            "label_smoothing": label_smoothing,
        }
        self.schedules: dict[str, Schedule] = {
            name: Constant(strength) if isinstance(strength, int | float) else strength
            for name, strength in strengths.items()
            if strength is not None
        }
        for name, schedule in self.schedules.items():
            check_range(name, schedule)

    def max_strength(self, name: str) -> float | None:
        """Return the highest strength of a regulariser along training; None where it is not scheduled."""
        schedule = self.schedules.get(name)
        return None if schedule is None else max_strength(schedule)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Set the strengths of this step, and log them where loggers record it: a number is a copy to the device."""
        progress = training_progress(trainer, batch_idx)
        strengths = {name: schedule(progress) for name, schedule in self.schedules.items()}
        for name, strength in strengths.items():
            SETTERS[name](pl_module, strength)
        if not is_logged_step(trainer, trainer.global_step + 1):
            return
        if callable(magnitude := rand_augment_magnitude(trainer)):
            strengths["rand_augment"] = magnitude(progress)
        rates = {"train/learning_rate": max(group["lr"] for group in trainer.optimizers[0].param_groups)}
        values = rates | {f"strength/{name}": strength for name, strength in strengths.items()}
        pl_module.log_dict(values, on_step=True, on_epoch=False, batch_size=1)


def rand_augment_magnitude(trainer: Trainer) -> Schedule | float | None:
    """Return RandAugment's magnitude of the data module; None where it has none."""
    view = getattr(getattr(trainer, "datamodule", None), "training_view", None)
    return getattr(getattr(view, "color_transform", None), "magnitude", None)


def training_progress(trainer: Trainer, batch_idx: int) -> float:
    """Return the share of the run's batches before this one's step, in [0, 1)."""
    batches = int(trainer.num_training_batches)
    limits = [batches * trainer.max_epochs] if trainer.max_epochs and trainer.max_epochs > 0 else []
    limits += [trainer.max_steps * trainer.accumulate_grad_batches] if trainer.max_steps > 0 else []
    first = batch_idx - batch_idx % trainer.accumulate_grad_batches
    return (trainer.current_epoch * batches + first) / min(limits)
