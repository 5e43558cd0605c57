"""What the stopwatch tells of one job is not what an earlier one in the same process left."""

import os
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from lightning import LightningModule, Trainer

from vivit.device.malloc import disable_malloc_trim, reset_peak_memory
from vivit.device.matrix_rate import flops_of_training, matrix_dtype, measure_matrix_rate
from vivit.training import ThroughputMonitor


@pytest.mark.slow
@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the system keeps the peak for good")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there the GPU's memory is told")
def test_peak_memory_of_an_earlier_job_is_reset() -> None:
    """Also where freed memory is kept."""
    disable_malloc_trim()
    reset_peak_memory()  # and what earlier tests freed, which the array would take again without a new peak
    before = ThroughputMonitor().peak_mb
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    earlier = np.ones(int(before - resident) * 125_000 + 50_000_000)  # beyond the peak by 400 MB
    peak = ThroughputMonitor().peak_mb
    assert peak > before + 300
    del earlier
    reset_peak_memory()
    assert ThroughputMonitor().peak_mb < peak - 300


@pytest.mark.parametrize("counts", [False, True])
def test_throughput_wait_is_that_for_the_loader(counts: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks, batches of three clips; what lies between two epochs is validation, and no wait.

    A loader that counts has been waited for half of the time between two steps.
    """
    now = 0.0
    monkeypatch.setattr("vivit.training.callbacks.throughput.time.perf_counter", lambda: now)
    monkeypatch.setattr("vivit.training.callbacks.throughput.is_logged_step", lambda *_: True)
    monkeypatch.setattr("vivit.training.callbacks.throughput.is_accumulating", lambda *_: False)
    logged: list[tuple[str, float]] = []
    module = Mock(spec=LightningModule)
    module.log = lambda name, value, **_: logged.append((name, value))
    watch, batch = ThroughputMonitor(), [torch.zeros(3)]
    assert watch.speed() == {}
    loader = SimpleNamespace(waited=7.0) if counts else object()
    hooks = (Mock(spec=Trainer, world_size=2, train_dataloader=loader), module)
    watch.on_train_start(*hooks)
    for epoch in ([(1.0, 2.0), (0.5, 2.0)], [(0.5, 2.0)]):
        watch.on_train_epoch_start(*hooks)
        for i, (waits, works) in enumerate(epoch):
            now += waits
            if counts:
                loader.waited += waits / 2
            watch.on_train_batch_start(*hooks, batch, i)
            now += works
            watch.on_train_batch_end(*hooks, None, batch, i)
        now += 100
    part = 0.5 if counts else 1
    assert watch.speed() == {"clips_per_second": 3 * 6 / 8, "data_wait_share": part * 2 / 8}
    assert [value for name, value in logged if name == "speed/data_wait_share"] == pytest.approx(
        [part * 1 / 3, part * 1.5 / 5.5, part * 2 / 8]
    )
    assert watch.step_seconds == (2.25 if counts else 2)
    assert watch.first_step_seconds == 3, "from the beginning, which was at 0, to the end of the first step"


def test_use_is_of_the_devices_matrix_products_and_draws_nothing_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks at 8 clips a second of 3 GFLOPs each, on devices of 48 GFLOPs a second."""
    monkeypatch.setattr("vivit.training.callbacks.throughput.measure_matrix_rate", lambda *_: 24e9)
    watch = ThroughputMonitor()
    assert watch.results() | {"matrix_share": None, "model_tflops": None, "matrix_tflops": None} == watch.results()
    watch.flops_a_clip = flops_of_training(0.5)
    trainer = Mock(spec=Trainer, world_size=2, precision="32-true", train_dataloader=object())
    watch.on_train_start(trainer, Mock(spec=LightningModule))
    assert watch.use(8.0) == {"model_tflops": pytest.approx(0.024), "matrix_share": pytest.approx(0.25)}
    monkeypatch.undo()
    state, begun = torch.get_rng_state(), time.perf_counter()
    rate = measure_matrix_rate(torch.device("cpu"), torch.float32)
    assert time.perf_counter() - begun < 2, "half a second on a machine that does nothing else"
    assert 1e8 < rate < 1e14
    assert torch.equal(torch.get_rng_state(), state)
    words = ("32-true", "bf16-mixed", "bf16-true", "16-mixed")
    assert [matrix_dtype(word) for word in words] == [torch.float32, torch.bfloat16, torch.bfloat16, torch.half]
