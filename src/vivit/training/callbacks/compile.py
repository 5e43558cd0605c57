"""Compilation of the network by ``torch.compile``."""

import logging
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from vivit.text import format_duration
from vivit.training.run_description import time_left

log = logging.getLogger(__name__)

MEASURED = 10
"""Batches after the first one, whose median is compared with it; fewer in a shorter run."""


class Compile(Callback):
    """Compiles the network in place: its parameters keep their names, unlike with ``torch.compile(network)``.

    Logs, after some steps, what compiling took: the time by which the first batch exceeds the median of those after it,
    with all else that happens once. That of validation, and of batches of another size, is not in it.
    """

    def __init__(self, backend: str | Callable[..., Any] = "inductor") -> None:
        self.backend = backend
        self._steps: int | None = None
        self._began = 0.0
        self._seconds: list[float] = []

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Compile; the work is done when the first batch comes."""
        pl_module.network.compile(backend=self.backend)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the steps that compiling is for; a run without an end is not measured."""
        left = time_left(trainer)
        self._steps = None if left is None else left.steps
        self._seconds = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Start the clock of the batch."""
        self._began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure the first batches."""
        if self._steps is None:
            return
        if trainer.strategy.root_device.type == "cuda":
            torch.cuda.synchronize()  # the host runs ahead
        self._seconds.append(time.perf_counter() - self._began)
        if len(self._seconds) > MEASURED:
            self._report(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report what a run of fewer batches has measured."""
        self._report(trainer)

    def _report(self, trainer: Trainer) -> None:
        if self._steps and len(self._seconds) > 2:
            first, *others = self._seconds
            batch = statistics.median(others)
            step = batch * trainer.accumulate_grad_batches
            if first - batch > step and trainer.is_global_zero:  # else another callback has run the network before
                level = logging.WARNING if first - batch >= self._steps * step else logging.INFO
                log.log(level, "%s", describe_compilation(first - batch, step, self._steps))
        self._steps = None


def describe_compilation(seconds: float, step: float, steps: int) -> str:
    """Return a sentence about ``seconds`` of compiling for ``steps``, each of which takes ``step`` seconds since then.

    It has the time of a step without compiling above which that pays. Where this is twice the time of a step or more,
    it says that the run is too short.
    """
    took = f"compiling took {format_duration(seconds)}, as long as {seconds / step:,.0f} of this run's {steps:,} steps"
    otherwise = f"a step without it takes more than {step + seconds / steps:.3g} s in place of {step:.3g} s"
    if seconds >= steps * step:
        return f"{took}: it pays in longer runs only, unless {otherwise}"
    return f"{took}: it pays where {otherwise}"
