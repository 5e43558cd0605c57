"""A run that was interrupted ends, bit for bit, where one that was not ends."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from vivit.data.loader import ClipLoader, StatefulTrainLoader
from vivit.signals import exit_on_signal
from vivit.training import (
    BestCheckpoint,
    CurvePlotter,
    LastCheckpoint,
    PreemptionCheckpoint,
    ThroughputMonitor,
    VideoClassifier,
)

STEPS, EPOCHS = 5, 3


class Interrupted(Exception):
    """The power fails."""


class Power(Callback):
    """Notes the loss of every step; fails behind ``steps`` of them if it is told to."""

    def __init__(self, steps: int | None = None) -> None:
        self.steps = steps
        self.losses: dict[int, float] = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses[trainer.global_step] = float(outputs["loss"])
        if trainer.global_step == self.steps:
            raise Interrupted


def weights(module: VideoClassifier) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.network.state_dict().items()}


@pytest.mark.parametrize(("every", "lost"), [(1, 2), (1, 6), (2, 5), (2, 6), (2, 10), (3, 14)])
def test_resume_ends_with_the_same_weights(
    every: int,
    lost: int,
    tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[[], tuple[StatefulTrainLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:
    """Dropout, stochastic depth, mixup, schedule, optimizer, order of the data: all go on where they stood."""
    whole, power = module(), Power()
    trainer(power, epochs=EPOCHS).fit(whole, *loaders())
    file = tmp_path / "last.ckpt"

    def last() -> LastCheckpoint:
        return LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=every)

    with pytest.raises(Interrupted):
        trainer(last(), Power(lost), epochs=EPOCHS).fit(module(), *loaders())
    resumed, again = module(), Power()
    trainer(again, last(), epochs=EPOCHS).fit(resumed, *loaders(), ckpt_path=file, weights_only=True)
    assert sorted(power.losses) == list(range(1, STEPS * EPOCHS + 1))
    assert again.losses == {step: loss for step, loss in power.losses.items() if step >= min(again.losses)}
    assert min(again.losses) <= lost + 1
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(resumed).items())


@pytest.mark.slow
def test_resume_of_a_run_limited_by_steps_starts_with_the_epoch_that_is_due(
    tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[[], tuple[StatefulTrainLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:
    """From the checkpoint behind the first epoch."""
    limits, file = {"epochs": -1, "max_steps": 2 * STEPS + 2}, tmp_path / "last.ckpt"

    def go_on(*callbacks: Callback, start: Path | None = None) -> tuple[VideoClassifier, CurvePlotter]:
        net, curves = module(), CurvePlotter(str(tmp_path))
        last = LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=100)
        trainer(curves, last, *callbacks, **limits).fit(net, *loaders(), ckpt_path=start, weights_only=True)
        return net, curves

    whole, all_epochs = go_on()
    with pytest.raises(Interrupted):
        go_on(Power(STEPS + 1))
    assert torch.load(file, weights_only=True)["global_step"] == STEPS
    resumed, curves = go_on(start=file)
    assert [row["epoch"] for row in curves.epochs] == [row["epoch"] for row in all_epochs.epochs] == [1, 2, 3]
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(resumed).items())


@pytest.mark.slow
def test_resume_continues_throughput_and_curves(
    tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[[], tuple[StatefulTrainLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:
    def watch() -> tuple[ThroughputMonitor, CurvePlotter, LastCheckpoint]:
        kept = LastCheckpoint(dirpath=str(tmp_path / "kept"), every_n_train_steps=2)
        return ThroughputMonitor(), CurvePlotter(str(tmp_path)), kept

    first, whole = watch(), CurvePlotter(str(tmp_path))
    trainer(whole, epochs=EPOCHS).fit(module(), *loaders())
    with pytest.raises(Interrupted):
        trainer(*first, Power(8), epochs=EPOCHS).fit(module(), *loaders())
    assert [row["epoch"] for row in first[1].epochs] == [1]
    (tmp_path / "curves.png").unlink()
    stopwatch, curves, kept = watch()
    saved = torch.load(tmp_path / "kept" / "last.ckpt", weights_only=True)["callbacks"]["ThroughputMonitor"][
        "train_seconds"
    ]
    assert 0 < saved <= first[0].train_seconds
    trainer(stopwatch, curves, kept, epochs=EPOCHS).fit(
        module(), *loaders(), ckpt_path=tmp_path / "kept" / "last.ckpt", weights_only=True
    )
    assert stopwatch.train_seconds > saved
    assert stopwatch.step_seconds is not None
    assert 0 < stopwatch.step_seconds < stopwatch.train_seconds
    assert stopwatch.peak_mb > 10
    assert [row["epoch"] for row in curves.epochs] == [1, 2, 3]
    assert curves.epochs[0] == first[1].epochs[0]
    assert curves.epochs == whole.epochs, "the second is of all its steps, although it was cut behind the first"
    named = {"epoch", "learning_rate", "train/loss", "train/acc_top1", "val/loss", "val/acc_top1"}
    assert set(curves.epochs[2]) == named
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


class Blackout(Callback):
    """The power fails when validation number ``number`` begins."""

    def __init__(self, number: int) -> None:
        self.left = number

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.left -= 1
        if not self.left:
            raise Interrupted


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 5])
def test_resume_after_a_kill_in_validation_repeats_it(
    every: int,
    tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[[], tuple[StatefulTrainLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:
    """A checkpoint of an epoch's last step, written before the validation, would say that the epoch is complete."""
    whole = module()
    trainer(epochs=EPOCHS).fit(whole, *loaders())

    def kept() -> tuple[LastCheckpoint, CurvePlotter]:
        return LastCheckpoint(dirpath=str(tmp_path / "kept"), every_n_train_steps=every), CurvePlotter(str(tmp_path))

    with pytest.raises(Interrupted):
        trainer(*kept(), Blackout(2), epochs=EPOCHS).fit(module(), *loaders())
    resumed, (last, curves) = module(), kept()
    file = tmp_path / "kept" / "last.ckpt"
    trainer(last, curves, epochs=EPOCHS).fit(resumed, *loaders(), ckpt_path=file, weights_only=True)
    assert [row["epoch"] for row in curves.epochs] == [1, 2, 3]
    assert all("val/loss" in row for row in curves.epochs)
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(resumed).items())


class Marks(Callback):
    """Gives each epoch's validation a mark that is known beforehand."""

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.log("mark", (0.9, 0.5, 0.7)[trainer.current_epoch])


@pytest.mark.parametrize("fate", ["it stands", "it was moved", "it is gone"])
def test_best_checkpoint_is_copied_into_another_folder(
    fate: str,
    tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[[], tuple[StatefulTrainLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:
    def kept(folder: Path) -> tuple[BestCheckpoint, LastCheckpoint, Marks]:
        best = BestCheckpoint(dirpath=str(folder), monitor="mark", mode="max")
        return best, LastCheckpoint(dirpath=str(folder), every_n_train_steps=100), Marks()

    old, new = tmp_path / "old", tmp_path / "new"
    trainer(*kept(old), epochs=1).fit(module(), *loaders())
    start = shutil.copy(old / "last.ckpt", tmp_path / "start.ckpt")
    if fate == "it was moved":
        old.rename(new)
    elif fate == "it is gone":
        shutil.rmtree(old)
    best, *others = kept(new)
    trainer(best, *others, epochs=EPOCHS).fit(module(), *loaders(), ckpt_path=start, weights_only=True)
    assert best.best_model_path == str(new / "best.ckpt")
    step = torch.load(best.best_model_path, weights_only=True)["global_step"]
    if fate == "it is gone":
        assert (float(best.best_model_score), step) == (pytest.approx(0.7), 3 * STEPS), "the best of what followed"
    else:
        assert (float(best.best_model_score), step) == (pytest.approx(0.9), STEPS)


class Asked(Callback):
    """Somebody sends signals to the run in step ``step``, counted from 1."""

    def __init__(self, step: int, times: int = 1, number: int = signal.SIGTERM) -> None:
        self.step, self.left, self.number = step, times, number

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        while trainer.global_step == self.step - 1 and self.left:
            self.left -= 1
            os.kill(os.getpid(), self.number)


@pytest.fixture
def leaving() -> Iterator[None]:
    """Signals end a task as they do in a run."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
    before = {number: signal.signal(number, exit_on_signal) for number in numbers}
    yield
    assert all(signal.getsignal(number) is exit_on_signal for number in numbers), (
        "the run did not give the signals back"
    )
    for number, who in before.items():
        signal.signal(number, who)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "number", "code"), [(7, signal.SIGTERM, 143), (10, signal.SIGINT, 130), (12, signal.SIGUSR2, 140)]
)
@pytest.mark.usefixtures("leaving")
def test_preemption_saves_first(
    step: int,
    number: int,
    code: int,
    tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[[], tuple[StatefulTrainLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:
    """Step 10 is an epoch's last: its validation comes first."""
    whole = module()
    trainer(epochs=EPOCHS).fit(whole, *loaders())

    def kept() -> tuple[PreemptionCheckpoint, LastCheckpoint, CurvePlotter]:
        last = LastCheckpoint(dirpath=str(tmp_path / "kept"), every_n_train_steps=100)
        return PreemptionCheckpoint(), last, CurvePlotter(str(tmp_path))

    with pytest.raises(SystemExit) as left:
        trainer(*kept(), Asked(step, number=number), epochs=EPOCHS).fit(module(), *loaders())
    assert left.value.code == code
    file = tmp_path / "kept" / "last.ckpt"
    assert torch.load(file, weights_only=True)["global_step"] == step
    resumed, watches = module(), kept()
    trainer(*watches, epochs=EPOCHS).fit(resumed, *loaders(), ckpt_path=file, weights_only=True)
    assert [row["epoch"] for row in watches[2].epochs] == [1, 2, 3]
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(resumed).items())


@pytest.mark.parametrize("part", [0, 1])
@pytest.mark.usefixtures("leaving")
def test_preemption_completes_an_accumulated_step(
    part: int,
    tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[[], tuple[StatefulTrainLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:
    """An epoch has steps of two, two and one parts; the wish to end comes in the second epoch's second step."""
    whole = module()
    trainer(epochs=EPOCHS, accumulate_grad_batches=2).fit(whole, *loaders())

    class InPart(Asked):
        def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
            if batch_idx == 2 + part:
                super().on_train_batch_start(trainer, pl_module, batch, batch_idx)

    def kept() -> tuple[PreemptionCheckpoint, LastCheckpoint]:
        return PreemptionCheckpoint(), LastCheckpoint(dirpath=str(tmp_path / "kept"), every_n_train_steps=100)

    with pytest.raises(SystemExit):
        trainer(*kept(), InPart(5), epochs=EPOCHS, accumulate_grad_batches=2).fit(module(), *loaders())
    file = tmp_path / "kept" / "last.ckpt"
    state = torch.load(file, weights_only=True)
    loader = state["loops"]["fit_loop"]["state_dict"]["combined_loader"]
    assert state["global_step"] == 5
    assert [each["delivered"] for each in loader] == [4], "both parts of the step"
    resumed = module()
    trainer(*kept(), epochs=EPOCHS, accumulate_grad_batches=2).fit(
        resumed, *loaders(), ckpt_path=file, weights_only=True
    )
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(resumed).items())


class Outage(Callback):
    """The power fails when there have been so many batches since the start or the resume."""

    def __init__(self, batches: int) -> None:
        self.left = batches

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if not self.left:
            raise Interrupted
        self.left -= 1


def test_resume_saves_no_part_of_an_accumulated_step(
    tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[[], tuple[StatefulTrainLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:
    """An epoch has steps of two, two and one parts; the power fails behind step 4, then behind one part more."""
    whole, file = module(), tmp_path / "last.ckpt"
    trainer(epochs=EPOCHS, accumulate_grad_batches=2).fit(whole, *loaders())

    def go_on(*callbacks: Callback, start: Path | None = file) -> VideoClassifier:
        net, last = module(), LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=2)
        run = trainer(last, *callbacks, epochs=EPOCHS, accumulate_grad_batches=2)
        run.fit(net, *loaders(), ckpt_path=start, weights_only=True)
        return net

    for batches, start in ((7, None), (1, file)):
        with pytest.raises(Interrupted):
            go_on(Outage(batches), start=start)
        state = torch.load(file, weights_only=True)
        loader = state["loops"]["fit_loop"]["state_dict"]["combined_loader"]
        assert (state["global_step"], [each["delivered"] for each in loader]) == (4, [2])
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(go_on()).items())


@pytest.mark.usefixtures("leaving")
def test_preemption_by_a_second_signal_ends_at_once(
    tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[[], tuple[StatefulTrainLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:
    last = LastCheckpoint(dirpath=str(tmp_path / "kept"), every_n_train_steps=100)
    with pytest.raises(SystemExit):
        trainer(PreemptionCheckpoint(), last, Asked(7, times=2), epochs=EPOCHS).fit(module(), *loaders())
    assert torch.load(tmp_path / "kept" / "last.ckpt", weights_only=True)["global_step"] == STEPS


class Validated(Callback):
    """Notes the step behind which each validation was, and what it measured."""

    def __init__(self) -> None:
        self.found: list[tuple[int, float]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.found.append((trainer.global_step, float(trainer.callback_metrics["val/loss"])))


def two_halves(
    folder: Path, module: VideoClassifier, trainer: Callable[..., Trainer], data: tuple[Any, ...],
    *ends: Callback, every: int = 100, start: Path | None = None, **options: Any,
) -> tuple[VideoClassifier, list[tuple[int, float]], list[dict[str, Any]]]:  # fmt: skip
    """Train until something ends it; give the network, its validations and its curves."""
    folder.mkdir(exist_ok=True)
    seen, curves = Validated(), CurvePlotter(str(folder))
    last = LastCheckpoint(dirpath=str(folder / "kept"), every_n_train_steps=every)
    best = BestCheckpoint(dirpath=str(folder / "kept"), monitor="val/loss", mode="min")
    run = trainer(seen, curves, best, last, PreemptionCheckpoint(), *ends, **{"epochs": EPOCHS} | options)
    if ends:
        with pytest.raises((SystemExit, Interrupted)):
            run.fit(module, *data, ckpt_path=start, weights_only=True)
    else:
        run.fit(module, *data, ckpt_path=start, weights_only=True)
    return module, seen.found, curves.epochs


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "options"),
    [
        (2, {"val_check_interval": 2}),
        (4, {"val_check_interval": 4}),
        (7, {"val_check_interval": 0.4}),
        (6, {"val_check_interval": 3, "check_val_every_n_epoch": None}),
        (2, {"val_check_interval": 3, "accumulate_grad_batches": 2}),
    ],
    ids=str,
)
@pytest.mark.usefixtures("leaving")
def test_preemption_does_not_lose_a_validation_within_an_epoch(
    step: int, options: dict[str, Any], tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[[], tuple[StatefulTrainLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:  # fmt: skip
    """The validations of both halves are those of a run that was not asked, and no step is made twice."""
    whole, all_found, epochs = two_halves(tmp_path / "whole", module(), trainer, loaders(), **options)
    _, before, _ = two_halves(tmp_path / "cut", module(), trainer, loaders(), Asked(step), **options)
    file = tmp_path / "cut" / "kept" / "last.ckpt"
    assert torch.load(file, weights_only=True)["global_step"] == step
    rest, after, again = two_halves(tmp_path / "cut", module(), trainer, loaders(), start=file, **options)
    assert before + after == all_found
    assert again == epochs
    expected = weights(whole)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(rest).items())


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 7])
def test_resume_after_a_kill_does_not_lose_a_validation_within_an_epoch(
    every: int, tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[[], tuple[StatefulTrainLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:  # fmt: skip
    """What is saved behind a step that a validation follows is saved behind the validation."""
    options = {"val_check_interval": 2, "every": every}
    _, all_found, epochs = two_halves(tmp_path / "whole", module(), trainer, loaders(), **options)
    _, before, _ = two_halves(tmp_path / "cut", module(), trainer, loaders(), Blackout(3), **options)
    file = tmp_path / "cut" / "kept" / "last.ckpt"
    step = torch.load(file, weights_only=True)["global_step"]
    assert step == {1: 6, 7: 5}[every], "the third validation is behind step 7"
    _, after, again = two_halves(tmp_path / "cut", module(), trainer, loaders(), start=file, **options)
    assert before + after == all_found
    assert again == epochs


@pytest.mark.parametrize(
    ("options", "measured"),
    [
        ({"check_val_every_n_epoch": 2}, [2]),
        ({"limit_val_batches": 0}, []),
        ({"val_check_interval": 7, "check_val_every_n_epoch": None}, [2, 3]),
        ({"val_check_interval": 4}, [1, 2, 3]),
        ({"num_sanity_val_steps": 1, "check_val_every_n_epoch": 3}, [3]),
    ],
    ids=str,
)
def test_curves_have_entries_only_of_measured_epochs(
    options: dict[str, Any], measured: list[int], tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[[], tuple[StatefulTrainLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:  # fmt: skip
    """Batches 7 and 14 of all lie in the second and the third epoch."""
    seen, curves = Validated(), CurvePlotter(str(tmp_path))
    trainer(curves, seen, epochs=EPOCHS, **options).fit(module(), *loaders())
    assert [row["epoch"] for row in curves.epochs if "val/loss" in row] == measured
    assert [row["epoch"] for row in curves.epochs if "train/loss" in row] == [1, 2, 3]
    last_of = {-(-step // STEPS): loss for step, loss in seen.found if step}
    assert {row["epoch"]: row["val/loss"] for row in curves.epochs if "val/loss" in row} == last_of
