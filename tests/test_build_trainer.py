"""The trainer of a configuration has what the configuration says, and Lightning gets plain values."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Timer
from omegaconf import DictConfig

from vivit.errors import ConfigError
from vivit.tasks.build import build_trainer
from vivit.tasks.compute import check_accelerator, keep_settings, trainer_options
from vivit.training.lightning_compat import get_callbacks

Compose = Callable[..., DictConfig]
GPU_TRAINERS = ("gpu", "ddp", "fsdp")


@pytest.fixture(autouse=True)
def _products() -> Iterator[None]:
    """Put the precision of products back, which is one for the whole process."""
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


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


def pretend(monkeypatch: pytest.MonkeyPatch, *, gpu: bool, bfloat16: bool = True) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16 or including_emulation)


@pytest.mark.parametrize("trainer", GPU_TRAINERS)
@pytest.mark.parametrize(("bfloat16", "precision"), [(True, "bf16-mixed"), (False, "32-true")])
def test_precision_of_gpus_is_that_of_the_machine_that_computes(
    trainer: str, bfloat16: bool, precision: str, composed: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that of the one that composes, as a queue's; and products of float32 have fewer bits there."""
    pretend(monkeypatch, gpu=False)
    cfg = composed(f"trainer={trainer}")
    assert cfg.trainer.precision == "auto"
    pretend(monkeypatch, gpu=True, bfloat16=bfloat16)
    options = trainer_options(cfg.trainer)
    assert options["precision"] == precision
    assert "matmul_precision" not in options
    assert torch.get_float32_matmul_precision() == "high"


@pytest.mark.parametrize(
    ("words", "gpu"),
    [
        (("trainer=cpu",), True),
        (("trainer=default",), True),
        (("trainer=cpu", "trainer.precision=auto", "+trainer.matmul_precision=high"), True),
        (("trainer=ddp_cpu",), True),
        (("trainer=gpu",), False),
        (("trainer=gpu", "trainer.precision=32-true", "trainer.matmul_precision=null"), True),
    ],
    ids=str,
)
def test_precision_is_that_of_float32_elsewhere_and_where_it_is_set(
    words: tuple[str, ...], gpu: bool, composed: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = composed(*words)
    pretend(monkeypatch, gpu=gpu)
    torch.set_float32_matmul_precision("highest")
    options = trainer_options(cfg.trainer)
    assert options["precision"] == "32-true"
    assert "matmul_precision" not in options
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.parametrize("trainer", ["gpu", "cpu"])
def test_precision_of_products_that_there_is_not_is_refused(trainer: str, composed: Compose) -> None:
    with pytest.raises(ConfigError) as error:
        trainer_options(composed(f"trainer={trainer}", "++trainer.matmul_precision=low").trainer)
    assert (error.value.key, error.value.value) == ("trainer.matmul_precision", "low")


@pytest.mark.parametrize(
    ("options", "gpus", "key"),
    [
        ({"accelerator": "gpu", "devices": 1}, 0, "trainer.accelerator"),
        ({"accelerator": "cuda", "devices": 1}, 0, "trainer.accelerator"),
        ({"accelerator": "gpu", "devices": 8}, 2, "trainer.devices"),
        ({"accelerator": "gpu", "devices": 2}, 2, None),
        ({"accelerator": "gpu", "devices": "auto"}, 2, None),
        ({"accelerator": "auto", "devices": 1}, 0, None),
        ({"accelerator": "cpu", "devices": 4}, 0, None),
    ],
    ids=str,
)
def test_gpus_that_there_are_not_are_refused_before_training(
    options: dict[str, Any], gpus: int, key: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    if key is None:
        check_accelerator(options)
        return
    with pytest.raises(ConfigError) as error:
        check_accelerator(options)
    assert error.value.key == key


@pytest.mark.parametrize(
    ("words", "saved", "expected"),
    [
        (("trainer=gpu",), {"precision": "bf16-mixed", "fused": True}, ("bf16-mixed", True)),
        (("trainer=gpu",), {"precision": "32-true", "fused": False}, ("32-true", False)),
        (("trainer=gpu", "trainer.precision=32-true", "optim.fused=false"), {"precision": "bf16-mixed", "fused": True},
         ("32-true", False)),
        (("trainer=gpu", "optim=sgd"), {"precision": "bf16-mixed", "fused": True}, ("bf16-mixed", "auto")),
        (("trainer=gpu",), None, ("auto", "auto")),
    ],
    ids=str,
)  # fmt: skip
def test_resume_keeps_what_the_machine_of_the_run_decided(
    words: tuple[str, ...], saved: dict | None, expected: tuple, composed: Compose, tmp_path: Path
) -> None:
    """Unless it is set now, or is another optimizer's; a checkpoint of an earlier version says nothing."""
    torch.save({} if saved is None else {"compute": saved, "optimizer": "AdamW"}, tmp_path / "last.ckpt")
    cfg = composed(*words)
    resumed = keep_settings(cfg, tmp_path / "last.ckpt")
    assert (resumed.trainer.precision, resumed.optim.fused) == expected
    assert cfg == composed(*words)
