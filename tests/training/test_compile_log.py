"""What compiling took is logged as it was measured, and that it does not pay in a short run."""

import logging
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from lightning import LightningModule, Trainer

from vivit.training import Compile
from vivit.training.callbacks import compile as module
from vivit.training.time_left import TimeLeft


@pytest.mark.parametrize(
    ("seconds", "steps", "parts", "level", "expected"),
    [
        (
            [42.0, 0.5, 9.0, *[1.0] * 8, 0.5, 0.5], 20, 1, logging.WARNING,
            "compiling took 41 s, as long as 41 of this run's 20 steps: it pays in longer runs only, "
            "unless a step without it takes more than 3.05 s in place of 1 s",
        ),
        (
            [42.0, *[1.0] * 10], 410, 2, logging.INFO,
            "compiling took 41 s, as long as 20 of this run's 410 steps: "
            "it pays where a step without it takes more than 2.1 s in place of 2 s",
        ),
        (
            [5.0, 1.0, 1.0], 3, 1, logging.WARNING,
            "compiling took 4 s, as long as 4 of this run's 3 steps: it pays in longer runs only, "
            "unless a step without it takes more than 2.33 s in place of 1 s",
        ),
        ([1.5, *[1.0] * 20], 20, 1, None, ""),  # a search for the rate has run the network before
        ([5.0, 1.0], 2, 1, None, ""),
        ([42.0, *[1.0] * 20], None, 1, None, ""),  # no end
    ],
)  # fmt: skip
def test_what_compiling_took_is_logged_once(
    seconds: list[float],
    steps: int | None,
    parts: int,
    level: int | None,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    monkeypatch.setattr(module.time, "perf_counter", lambda: now)
    monkeypatch.setattr(module, "time_left", lambda trainer: None if steps is None else TimeLeft(steps))
    trainer = Mock(spec=Trainer, accumulate_grad_batches=parts, is_global_zero=True)
    trainer.strategy = SimpleNamespace(root_device=SimpleNamespace(type="cpu"))
    callback, hooks = Compile(), (trainer, Mock(spec=LightningModule))
    with caplog.at_level(logging.INFO, logger=module.__name__):
        callback.on_train_start(*hooks)
        for index, duration in enumerate(seconds):
            callback.on_train_batch_start(*hooks, None, index)
            now += duration
            callback.on_train_batch_end(*hooks, None, None, index)
            now += 100  # a wait for data is no part of a step
        callback.on_train_end(*hooks)
    lines = [(record.levelno, record.message) for record in caplog.records if record.name == module.__name__]
    assert lines == ([] if level is None else [(level, expected)])
