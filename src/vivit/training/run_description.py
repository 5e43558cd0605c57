"""What a training is before its first step, and what an epoch of it reached, as text."""

import math

import torch
from lightning import Trainer

from vivit.text import count
from vivit.training.callbacks.throughput import ThroughputMonitor
from vivit.training.lightning_compat import get_callbacks, steps_an_epoch
from vivit.training.time_left import TimeLeft


def time_left(trainer: Trainer) -> TimeLeft | None:
    """Return the estimate of a training that begins, without any time yet; None for one without an end."""
    total = trainer.estimated_stepping_batches
    if not math.isfinite(total):
        return None
    steps = int(total) - trainer.global_step
    validations = round(steps / max(1, steps_an_epoch(trainer)) * validations_an_epoch(trainer))
    return TimeLeft(steps, validations, sum(map(int, trainer.num_val_batches)), trainer.accumulate_grad_batches)


def max_epochs(trainer: Trainer) -> int | None:
    """Return how many epochs a training has at most, the last of which may end early; None where nothing limits them.

    Steps limit them too.
    """
    epochs = trainer.max_epochs or 0
    limits = [epochs] if epochs > 0 else []
    if trainer.max_steps > 0:
        limits.append(math.ceil(trainer.max_steps / max(1, steps_an_epoch(trainer))))
    return min(limits, default=None)


def validations_an_epoch(trainer: Trainer) -> float:
    """Return the validations of an epoch: fewer than one where not every epoch has one."""
    if not sum(map(int, trainer.num_val_batches)):
        return 0.0
    every = trainer.val_check_batch  # type: ignore[attr-defined]
    within = max(1, int(trainer.num_training_batches // every)) if every and math.isfinite(every) else 1
    return within / (trainer.check_val_every_n_epoch or 1)  # type: ignore[attr-defined]


def describe_run(trainer: Trainer, left: TimeLeft | None) -> str:
    """Return a sentence about what a training that begins will do, and on what."""
    sampler = getattr(trainer.train_dataloader, "batch_sampler", None)
    clips = getattr(sampler, "batch_size", None) or getattr(trainer.lightning_module, "batch_size", None)
    batch = f" of {clips * trainer.world_size * trainer.accumulate_grad_batches} clips" if clips else ""
    steps = steps_an_epoch(trainer)
    limit = max_epochs(trainer)
    epochs = "any number of epochs" if limit is None else count(limit, "epoch")
    kind, threads = trainer.strategy.root_device.type, count(torch.get_num_threads(), "thread")
    device = torch.cuda.get_device_name() if kind == "cuda" else f"{kind}, {threads}"
    devices = f"{trainer.world_size} x {device}" if trainer.world_size > 1 else device
    done = f", of which {trainer.global_step} are done" if trainer.global_step else ""
    total = "" if left is None else f", {left.steps + trainer.global_step} in all{done}"
    return f"{count(steps, 'step')}{batch} an epoch, {epochs}{total}; on {devices}, precision {trainer.precision}"


def describe_use(trainer: Trainer) -> dict[str, str]:
    """Return, for a bar, the share of the device's matrix products that a training reached of late, if it is known."""
    watches = [callback for callback in get_callbacks(trainer) if isinstance(callback, ThroughputMonitor)]
    shares = [watch.recent["matrix_share"] for watch in watches if "matrix_share" in watch.recent]
    return {"use": f"{100 * shares[0]:.0f} %"} if shares else {}


def describe_metrics(trainer: Trainer) -> list[str]:
    """Return loss and accuracy of training and validation, as far as they are there, as text."""
    metrics, parts = trainer.callback_metrics, []
    for split, suffix in (("train", "_epoch"), ("val", "")):
        numbers = [
            f"{label} {float(metrics[name]) * scale:{form}}{unit}"
            for label, name, scale, form, unit in (
                ("loss", f"{split}/loss{suffix}", 1, ".3f", ""),
                ("accuracy", f"{split}/acc_top1{suffix}", 100, ".1f", " %"),
                ("mAP", f"{split}/map{suffix}", 100, ".1f", " %"),
            )
            if name in metrics
        ]
        if numbers:
            parts.append(f"{split} {', '.join(numbers)}")
    return parts
