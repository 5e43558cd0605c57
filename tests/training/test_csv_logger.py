"""A run that goes on adds to its ``metrics.csv``: no row is lost, and none is there twice."""

import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning import Callback, Trainer

from vivit.data.loader import ClipLoader, StatefulTrainLoader
from vivit.signals import exit_on_signal
from vivit.training import (
    LastCheckpoint,
    PreemptionCheckpoint,
    ResumableCSVLogger,
    RunMetadata,
    VideoClassifier,
    log_test_metrics,
)

Loaders = Callable[..., tuple[StatefulTrainLoader, ClipLoader]]
Module = Callable[..., VideoClassifier]
Trainers = Callable[..., Trainer]
TIMES = ("speed/",)
"""What no two runs have in common."""


class Stop(Callback):
    """End the run behind a step, by the error or signal that is raised."""

    def __init__(self, step: int, how: Callable[[], Any]) -> None:
        self.step, self.how = step, how

    def on_train_batch_end(self, trainer: Trainer, *others: Any) -> None:
        if trainer.global_step == self.step:
            self.how()


def killed() -> None:
    raise KeyError("killed")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if not k.startswith(TIMES)} for row in csv.DictReader(file)]


@pytest.fixture
def fit(module: Module, loaders: Loaders, trainer: Trainers) -> Callable[..., Trainer]:
    """Train in a folder for two epochs of five steps, or go on there; log every step."""

    def fit(folder: Path, *callbacks: Callback, start: str | None = None, told: bool = True, **others: Any) -> Trainer:
        log = ResumableCSVLogger(str(folder), name="csv", version="")
        usual = [LastCheckpoint(dirpath=str(folder / "checkpoints"), every_n_train_steps=3)]
        usual += [RunMetadata(str(folder), {})] if told else []
        folder.mkdir(exist_ok=True)
        run = trainer(*callbacks, *usual, epochs=2, log_every_n_steps=1, **others)
        run.loggers = [log]
        run.fit(module(), *loaders(), ckpt_path=start, weights_only=True)
        return run

    return fit


@pytest.mark.parametrize("told", [True, False], ids=["from its step", "by its first row"])
@pytest.mark.parametrize("step", [2, 4, 7, 8])
def test_csv_rows_after_a_kill_equal_those_of_an_uninterrupted_run(
    step: int, told: bool, fit: Callable[..., Trainer], tmp_path: Path
) -> None:
    fit(tmp_path / "whole", told=told)
    with pytest.raises(KeyError):
        fit(tmp_path / "cut", Stop(step, killed), told=told)
    last = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    fit(tmp_path / "cut", start=str(last) if last.is_file() else None, told=told)
    expected = rows(tmp_path / "whole")
    assert len(expected) == 2 * (5 + 2), "steps; of each epoch its validation and its sums"
    assert rows(tmp_path / "cut") == expected


@pytest.mark.parametrize("step", [4, 5, 8])
def test_csv_logs_the_step_that_preemption_saves(step: int, fit: Callable[..., Trainer], tmp_path: Path) -> None:
    def asked() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, exit_on_signal)
    fit(tmp_path / "whole", PreemptionCheckpoint())
    with pytest.raises(SystemExit):
        fit(tmp_path / "cut", Stop(step, asked), PreemptionCheckpoint())
    signal.signal(signal.SIGTERM, before)
    fit(tmp_path / "cut", PreemptionCheckpoint(), start=str(tmp_path / "cut" / "checkpoints" / "last.ckpt"))
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_csv_rows_stay_when_a_finished_run_is_tested_again(
    fit: Callable[..., Trainer], loaders: Loaders, tmp_path: Path
) -> None:
    found = []
    for start in (None, str(tmp_path / "run" / "checkpoints" / "last.ckpt")):
        run = fit(tmp_path / "run", start=start)
        run.test(run.lightning_module, loaders()[1], verbose=False)
        log_test_metrics(run, {"test/acc_top1": 0.5})
        found.append(rows(tmp_path / "run"))
    assert found[0] == found[1]
    assert [row["test/acc_top1"] for row in found[0]].count("") == len(found[0]) - 1


def test_csv_survives_new_columns_and_a_truncated_row(tmp_path: Path) -> None:
    log = ResumableCSVLogger(str(tmp_path), name="csv", version="")
    for step, row in enumerate([{"a": 1.0}, {"a": 2.0, "b": 3.0}, {"c": 4.0}]):
        log.log_metrics(row, step)
        log.save()
    file = tmp_path / "csv" / "metrics.csv"
    assert file.read_text() == "a,b,c,step\n1.0,,,0\n2.0,3.0,,1\n,,4.0,2\n"
    with file.open("a") as cut:
        cut.write("5.")
    again = ResumableCSVLogger(str(tmp_path), name="csv", version="")
    again.log_hyperparams({"started_at_step": 2})
    again.log_metrics({"A, b": 6.0}, 2)
    again.save()
    assert file.read_text() == '"A, b",a,b,c,step\n,1.0,,,0\n,2.0,3.0,,1\n6.0,,,,2\n'


def test_csv_rows_survive_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    log = ResumableCSVLogger(str(tmp_path), name="csv", version="")
    log.log_metrics({"a": 1.0}, 0)
    log.save()
    monkeypatch.setattr(Path, "replace", full)
    log.log_metrics({"b": 1.0}, 1)
    with pytest.raises(OSError, match="No space"):
        log.save()
    assert (tmp_path / "csv" / "metrics.csv").read_text() == "a,step\n1.0,0\n"
