"""The trainer of a configuration has what the configuration says, and Lightning gets plain values."""

from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch.callbacks import Timer
from omegaconf import DictConfig

from vivit.tasks.build import build_trainer
from vivit.training.lightning_compat import get_callbacks

Compose = Callable[..., DictConfig]


@pytest.mark.parametrize(
    ("override", "seconds"),
    [
        ("+trainer.max_time={minutes: 1, seconds: 30}", 90.0),
        ("+trainer.max_time.hours=0.5", 1800.0),
        ("+trainer.max_time='00:00:01:30'", 90.0),
        ("+trainer.max_time={_target_: datetime.timedelta, seconds: 4}", 4.0),
    ],
)
def test_time_limits_of_every_form_are_read(override: str, seconds: float, composed: Compose, tmp_path: Path) -> None:
    cfg = composed(override, "trainer=cpu", "callbacks=none", "logger=none", f"paths.run={tmp_path}")
    (timer,) = (callback for callback in get_callbacks(build_trainer(cfg)) if isinstance(callback, Timer))
    assert timer.time_remaining() == seconds
