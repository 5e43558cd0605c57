"""Throughput: training time, clips a second, use of the device, waiting for data, and peak memory."""

import resource
import statistics
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer

from vivit.device.malloc import reset_peak_memory
from vivit.device.matrix_rate import matrix_dtype, measure_matrix_rate
from vivit.training.lightning_compat import is_accumulating, is_logged_step


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Totals of some steps: clips over all devices, seconds of waiting for data, and seconds of computation."""

    clips: int = 0
    wait: float = 0.0
    work: float = 0.0

    def __add__(self, other: "StepTimes") -> "StepTimes":
        return StepTimes(self.clips + other.clips, self.wait + other.wait, self.work + other.work)

    def speed(self) -> dict[str, float]:
        """Return the totals as rates."""
        seconds = self.wait + self.work
        return {"clips_per_second": self.clips / seconds, "data_wait_share": self.wait / seconds}


def waited_for_data(trainer: Trainer) -> float | None:
    """Return the seconds for which training has waited for its loader; None where the loader does not count them."""
    return getattr(trainer.train_dataloader, "waited", None)


class ThroughputMonitor(Callback):
    """Measures training time over all resumes, the median step, peak memory, throughput and waiting for data.

    Logs ``speed/clips_per_second`` over all devices, ``speed/data_wait_share``, the share of time in which the loader
    was waited for, both over the last 50 steps, and ``speed/peak_mb``. Of a loader that does not count what it was
    ``waited`` for, the time between two steps is taken, with what the trainer and its callbacks do there. Times are the
    host's: between two steps that loggers record it runs ahead of a GPU, which it waits for there, so that a step's
    time is a mean over these.

    Where ``flops_a_clip`` is set, those of training the network on a clip, it logs ``speed/model_tflops``, 10^12 of
    them a second over all devices, and ``speed/matrix_share``, the share of what the devices do in a matrix product of
    this precision, which every rank measures before the first step. ``begun`` is when the run began, by the same clock.
    """

    def __init__(self) -> None:
        self.flops_a_clip: float | None = None
        self.matrix_flops: float | None = None
        """FLOPs a second of this device's matrix product."""
        self.begun = time.perf_counter()
        self.first_step_seconds: float | None = None
        """From the beginning of the run to the end of its first step."""
        self.device_mb: float | None = None
        """Memory of the GPU; None without one."""
        self.recent: dict[str, float] = {}
        """What was logged last."""
        self._devices = 1
        self.train_seconds = 0.0
        self._since = self._step_ended = 0.0
        self._waited: float | None = None
        self._steps: list[float] = []
        self._unlogged: list[float] = []
        self._recent: deque[StepTimes] = deque(maxlen=50)
        self._total = StepTimes()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Measure the device's matrix product; start the clock."""
        device, self._devices = trainer.strategy.root_device, trainer.world_size
        if self.flops_a_clip is not None:
            self.matrix_flops = 2 * measure_matrix_rate(device, matrix_dtype(str(trainer.precision)))
        if device.type == "cuda":
            self.device_mb = torch.cuda.get_device_properties(device).total_memory / 1e6
        reset_peak_memory()
        self._since = time.perf_counter()
        self.on_train_epoch_start(trainer, pl_module)  # a resumed epoch has no start of its own

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Exclude the time between epochs from the wait."""
        self._step_ended, self._waited = time.perf_counter(), waited_for_data(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Record the start of the step."""
        self._step_began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the step and the time since the last one."""
        if self.first_step_seconds is None and not is_accumulating(trainer):
            if trainer.strategy.root_device.type == "cuda":
                torch.cuda.synchronize()  # once: the host runs ahead
            self.first_step_seconds = time.perf_counter() - self.begun
        now, waited = time.perf_counter(), waited_for_data(trainer)
        if waited is None or self._waited is None:
            wait = self._step_began - self._step_ended
        else:
            wait = waited - self._waited
        self._unlogged.append(now - self._step_ended - wait)
        step = StepTimes(len(batch[0]) * trainer.world_size, wait, self._unlogged[-1])
        self._recent.append(step)
        self._total += step
        self.train_seconds += now - self._since
        self._since, self._step_ended, self._waited = now, now, waited
        if not is_logged_step(trainer, trainer.global_step):
            return
        self._steps += [statistics.mean(self._unlogged)] * len(self._unlogged)
        self._unlogged = []
        speed = sum(self._recent, StepTimes()).speed()
        self.recent = speed | self.use(speed["clips_per_second"]) | {"peak_mb": self.peak_mb}
        for name, value in self.recent.items():
            pl_module.log(f"speed/{name}", value, on_step=True, on_epoch=False, batch_size=1)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the time since the last step: the last validation."""
        self.train_seconds += time.perf_counter() - self._since

    def speed(self) -> dict[str, float]:
        """Return clips a second over all devices, and the share of waiting, from the start; empty before it."""
        return self._total.speed() if self._steps else {}

    def use(self, clips_per_second: float) -> dict[str, float]:
        """Return the FLOPs a second of so many clips, and the share of matrix products; empty where unknown."""
        if self.flops_a_clip is None or not self.matrix_flops:
            return {}
        flops = self.flops_a_clip * clips_per_second
        return {"model_tflops": flops / 1e12, "matrix_share": flops / self._devices / self.matrix_flops}

    def results(self) -> dict[str, Any]:
        """Return what a run's results have of its speed, from the start."""
        speed = self.speed()
        use = {"model_tflops": None, "matrix_share": None} | (self.use(speed["clips_per_second"]) if speed else {})
        rate = None if self.matrix_flops is None else self.matrix_flops / 1e12
        memory = {"peak_mb": self.peak_mb, "device_mb": self.device_mb}
        times = {"train_seconds": self.train_seconds, "step_seconds": self.step_seconds}
        return times | {"first_step_seconds": self.first_step_seconds} | speed | use | {"matrix_tflops": rate} | memory

    @property
    def step_seconds(self) -> float | None:
        """Median time of a step without its wait for data; None before the first."""
        return statistics.median(self._steps) if self._steps else None

    @property
    def peak_mb(self) -> float:
        """Peak memory since the start in MB: of the GPU where one was used, of the process otherwise."""
        if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
            return torch.cuda.max_memory_allocated() / 1e6
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1e-6 if sys.platform == "darwin" else 1.024e-3)

    def state_dict(self) -> dict[str, float]:
        """Return the training time so far."""
        return {"train_seconds": self.train_seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Load the training time so far."""
        self.train_seconds = state_dict["train_seconds"]
