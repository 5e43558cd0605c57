"""A run that goes on with other devices: how they share its step, and what it ends with."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from vivit.errors import ConfigError
from vivit.launch.job import Job
from vivit.tasks.step_size import keep_step, share_step
from vivit.training.optimizer_state import StepSize

Compose = Callable[..., DictConfig]


@pytest.mark.parametrize(
    ("before", "devices", "epoch", "expected"),
    [
        ((4, 2, 1), 1, 16, (4, 1, 2)),  # a device keeps its clips
        ((2, 1, 4), 2, 24, (2, 2, 2)),
        ((2, 1, 4), 4, 24, (2, 4, 1)),
        ((2, 1, 4), 2, 22, (1, 2, 4)),  # the last step has six clips, of which two devices have two at a time otherwise
        ((6, 2, 1), 3, 24, (4, 3, 1)),  # twelve clips have no parts of 3 x 6
        ((1, 2, 1), 1, None, (1, 1, 2)),
        ((4, 2, 1), 8, None, (1, 8, 1)),
    ],
    ids=str,
)
def test_devices_keep_their_clips_or_share_those_of_a_part(
    before: tuple[int, int, int], devices: int, epoch: int | None, expected: tuple[int, int, int]
) -> None:
    assert share_step(StepSize(*before), devices, epoch) == StepSize(*expected)


@pytest.mark.parametrize(("before", "devices", "epoch"), [((6, 2, 1), 5, 24), ((1, 1, 4), 4, 22)], ids=str)
def test_devices_that_do_not_share_a_step_are_refused(before: tuple[int, int, int], devices: int, epoch: int) -> None:
    with pytest.raises(ConfigError) as refused:
        share_step(StepSize(*before), devices, epoch)
    assert (refused.value.key, refused.value.value) == ("trainer.devices", devices)


def test_parts_stay_where_keys_count_them(tmp_path: Path, composed: Compose) -> None:
    (tmp_path / ".hydra").mkdir()
    words = ["trainer=ddp_cpu", "data.batch_size=6"]
    key = "+trainer.limit_train_batches"
    for more, expected in (
        ("seed=1", (6, 2)), ("+trainer.val_check_interval=3", (12, 1)), ("+trainer.val_check_interval=0.5", (12, 1)),
        (f"{key}=1", (12, 1)), (f"{key}=1.0", (6, 2)),
    ):  # fmt: skip
        cfg = composed(*words, more)
        OmegaConf.save(cfg, tmp_path / ".hydra" / "config.yaml")
        cfg.trainer.devices = 1
        kept = keep_step(cfg, Job(tmp_path, {}, [], None, resumes=True), None)
        assert (kept.data.batch_size, kept.trainer.accumulate_grad_batches) == expected, more
        assert keep_step(cfg, Job(tmp_path, {}, [], None), None) is cfg, "a run that begins has what is typed"


def test_a_checkpoint_decides_what_a_step_was(tmp_path: Path, composed: Compose) -> None:
    """The run began on two devices, and its last start was on one."""
    state = {"loops": {"fit_loop": {"state_dict": {"combined_loader": [{"of_epoch": [30, 24]}]}}}}
    checkpoint = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir()
    torch.save(state | {"clips_a_step": [6, 1, 2]}, checkpoint)
    job = Job(tmp_path, {}, [], None, resumes=True)
    cfg = composed("trainer=ddp_cpu", "data.batch_size=6")
    kept = keep_step(cfg, job, checkpoint)
    assert (kept.data.batch_size, kept.trainer.devices, kept.trainer.accumulate_grad_batches) == (6, 2, 1)
    cfg.trainer.devices = 4
    kept = keep_step(cfg, job, checkpoint)
    assert (kept.data.batch_size, kept.trainer.accumulate_grad_batches) == (3, 1)
