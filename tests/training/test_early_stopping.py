"""Runs that end before their last epoch, and what they watch to know when."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import Timer
from omegaconf import DictConfig

from vivit.data.loader import ClipLoader, StatefulTrainLoader
from vivit.tasks.train import log_time_is_over
from vivit.tasks.training_checks import check_monitors
from vivit.training import LastCheckpoint, ResumableCSVLogger, ResumableEarlyStopping, VideoClassifier

STEPS = 5
Compose = Callable[..., DictConfig]
Loaders = Callable[..., tuple[StatefulTrainLoader, ClipLoader]]
Module = Callable[..., VideoClassifier]
Trainers = Callable[..., Trainer]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["callbacks.checkpoint_best.monitor=val/acc_topp1"],
            "callbacks.checkpoint_best.monitor=val/acc_topp1: is not logged",
        ),
        (
            ["callbacks.checkpoint_best.monitor=acc_top1"],
            "set one of val/loss, val/acc_mean_class, val/acc_top1, train/loss",
        ),
        (
            ["callbacks.checkpoint_best.monitor=val/loss"],
            "callbacks.checkpoint_best.mode=max: takes the worst .* for the best; set min",
        ),
        (
            ["callbacks.checkpoint_best.mode=min"],
            "callbacks.checkpoint_best.mode=min: takes the worst .* for the best; set max",
        ),
        (
            ["callbacks=[default,early_stopping]", "callbacks.early_stopping.monitor=val/acc"],
            "callbacks.early_stopping.monitor=val/acc: is not logged",
        ),
    ],
)
def test_monitor_of_an_unlogged_metric_is_refused(
    words: list[str], said: str, composed: Compose, module: Callable[..., VideoClassifier]
) -> None:
    with pytest.raises(ValueError, match=said):
        check_monitors(composed(*words), module())


@pytest.mark.parametrize(
    "words",
    [
        ["callbacks=[default,early_stopping]"],
        ["callbacks.checkpoint_best.monitor=val/loss", "callbacks.checkpoint_best.mode=min"],
        ["callbacks.checkpoint_best.monitor=null"],
        ["callbacks.checkpoint_best=null"],
        ["callbacks.checkpoint_best.monitor=step"],
        ["callbacks.checkpoint_best.monitor=train/bad_videos", "callbacks.checkpoint_best.mode=min"],
        ["+callbacks.mine={_target_: mylab.Logs}", "callbacks.checkpoint_best.monitor=mine/score"],
        ["callbacks=none"],
    ],
    ids=str,
)
def test_monitor_of_a_logged_metric_is_accepted(
    words: list[str], composed: Compose, module: Callable[..., VideoClassifier]
) -> None:
    check_monitors(composed(*words), module())


class TimeIsOver(Timer):
    """A clock of steps: the time is over behind batch ``batch`` of all."""

    def __init__(self, batch: int) -> None:
        super().__init__(duration={"hours": 1})
        self.batch, self.done = batch, 0

    def on_train_batch_end(self, trainer: Trainer, *others: Any, **more: Any) -> None:
        self.done += 1
        super().on_train_batch_end(trainer)

    def time_elapsed(self, *stage: Any) -> float:
        return 0.0 if self.done < self.batch else 7200.0


def weights(module: VideoClassifier) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in module.network.state_dict().items()}


@pytest.mark.parametrize(
    ("batch", "parts", "stopped"), [(3, 1, 3), (5, 1, 5), (7, 1, 7), (3, 2, 2), (6, 2, 3)], ids=str
)
def test_resume_after_max_time_equals_an_uninterrupted_run(
    batch: int, parts: int, stopped: int, tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """All of its steps are made; parts of a step are put together first."""

    def fit(*callbacks: Callback, start: Path | None = None) -> tuple[VideoClassifier, Trainer]:
        last = LastCheckpoint(dirpath=str(tmp_path / "kept"), every_n_train_steps=100)
        run, net = trainer(*callbacks, last, epochs=3, accumulate_grad_batches=parts, limit_train_batches=4), module()
        run.fit(net, *loaders(), ckpt_path=start, weights_only=True)
        return net, run

    whole, run = fit()
    steps = run.global_step
    fit(TimeIsOver(batch))
    file = tmp_path / "kept" / "last.ckpt"
    assert torch.load(file, weights_only=True)["global_step"] == stopped
    rest, run = fit(TimeIsOver(1000), start=file)
    assert run.global_step == steps == 3 * 4 // parts
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(rest).items())


@pytest.mark.parametrize(("batch", "parts"), [(1, 1), (6, 1), (8, 1), (6, 2)], ids=str)
def test_steps_of_the_log_after_max_time_are_those_of_an_uninterrupted_run(
    batch: int, parts: int, tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """Only the validation where the time was over is added."""

    def fit(*callbacks: Callback, folder: str, start: Path | None = None) -> list[tuple[int, int, bool]]:
        files = str(tmp_path / folder)
        callbacks += (LastCheckpoint(dirpath=files, every_n_train_steps=100),)
        logger = ResumableCSVLogger(files, name="", version="")
        others = {"accumulate_grad_batches": parts, "limit_train_batches": 4, "log_every_n_steps": 1}
        trainer(*callbacks, epochs=3, logger=logger, **others).fit(
            module(), *loaders(), ckpt_path=start, weights_only=True
        )
        with (tmp_path / folder / "metrics.csv").open(newline="") as file:
            return [(int(row["epoch"]), int(row["step"]), bool(row["val/loss"])) for row in csv.DictReader(file)]

    whole = fit(folder="whole")
    stopped = fit(TimeIsOver(batch), folder="parts")
    ended = stopped[-1][1] + 1
    rest = fit(TimeIsOver(1000), folder="parts", start=tmp_path / "parts" / "last.ckpt")
    assert [row for row in rest if row[1] >= ended] == [row for row in whole if row[1] >= ended]


@pytest.mark.parametrize("batch", [3, 8, 12, 99])
def test_a_run_whose_time_is_over_logs_how_it_goes_on(
    batch: int, tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where it is resumed with no more time, and not where the last step is done."""
    last = LastCheckpoint(dirpath=str(tmp_path / "checkpoints"), every_n_train_steps=100)
    for time in (TimeIsOver(batch), TimeIsOver(0 if batch < 12 else 99)):
        caplog.clear()
        run = trainer(time, last, epochs=3, limit_train_batches=4)
        file = tmp_path / "checkpoints" / "last.ckpt"
        run.fit(module(), *loaders(), ckpt_path=file if file.is_file() else None, weights_only=True)
        log_time_is_over(run, tmp_path)
        said = f"trainer.max_time was over at step {batch} of 12; go on with resume={tmp_path} +trainer.max_time=..., "
        assert (said in caplog.text) == (batch < 12)


def test_early_stopping_stays_stopped_after_a_resume(
    tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """And goes on where it is to be more patient. At a rate of zero nothing improves."""

    def fit(patience: int, start: bool) -> int:
        last = LastCheckpoint(dirpath=str(tmp_path / "kept"), every_n_train_steps=100)
        run = trainer(ResumableEarlyStopping("val/acc_top1", mode="max", patience=patience), last, epochs=9)
        run.fit(module(rate=0.0), *loaders(), ckpt_path=tmp_path / "kept" / "last.ckpt" if start else None,
                weights_only=True)  # fmt: skip
        return run.global_step // STEPS

    assert fit(2, start=False) == 3
    assert fit(2, start=True) == 3
    assert fit(2, start=True) == 3
    assert fit(4, start=True) == 5
