"""A run is seen to be alive: before its first step, while one takes its time, and at every epoch."""

import csv
import io
import logging
import os
import shlex
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning import Callback, Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from tqdm import tqdm

from vivit.progress_bars import ProgressBar
from vivit.tasks.results_json import last_metrics
from vivit.tasks.run_summary import best_epoch, compare_to_majority, next_commands, print_epochs, selected_epochs
from vivit.text import format_duration
from vivit.training import BestCheckpoint, CurvePlotter, ResumableCSVLogger, RunProgress, VideoClassifier
from vivit.training import heartbeat as heartbeats
from vivit.training.callbacks.progress import renew_lock_of_bars_in_forks
from vivit.training.heartbeat import Wait
from vivit.training.time_left import TimeLeft

Module = Callable[..., VideoClassifier]
Trainers = Callable[..., Trainer]
Loaders = Callable[..., tuple[Any, Any]]


def test_an_estimate_is_of_recent_steps_without_the_first() -> None:
    left = TimeLeft(steps=10, validations=2, val_batches=6, parts_a_step=2)
    assert left.seconds() == 0
    left.add_step(100.0)
    assert left.step_seconds == 100
    for _ in range(2):
        left.add_step(4.0)
    assert left.step_seconds == 4
    assert left.seconds() == pytest.approx(7 * 4 + 2 * (6 * 4 / 2 / 3))
    left.add_validation(1.0)
    assert left.seconds() == pytest.approx(7 * 4 + 1), "a validation that was measured replaces the guess"
    for _ in range(60):
        left.add_step(2.0)
    assert (left.step_seconds, left.steps) == (2, 0)


def test_durations_are_in_the_unit_that_they_have_two_of() -> None:
    assert [format_duration(seconds) for seconds in (0.2, 94, 200, 9000)] == ["less than 1 s", "94 s", "3 min", "2.5 h"]


def test_a_wait_is_logged_within_ten_seconds_and_then_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    wait, signs = Wait("the first step runs", 0.0), []
    for second in range(1, 200):
        now = float(second)
        if (sign := wait.sign()) is not None:
            signs.append((second, sign))
    assert [second for second, _ in signs] == [8, 30, 60, 120, 180]
    assert signs[0][1] == "the first step runs, for 8 s so far"


class Slow(Callback):
    """Takes its time over the first step."""

    def on_before_zero_grad(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == 0:
            time.sleep(1.0)


def test_a_run_logs_what_it_is_its_waits_an_estimate_and_every_epoch(
    module: Module, loaders: Loaders, trainer: Trainers, tmp_path: Path, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(heartbeats, "BEAT", 0.05)
    monkeypatch.setattr(heartbeats, "FIRST_SIGNS", (0.3, 30.0))
    logger = ResumableCSVLogger(str(tmp_path), "csv", "")
    callbacks = (Slow(), CurvePlotter(str(tmp_path)), RunProgress())
    fitted = trainer(*callbacks, epochs=2, enable_progress_bar=True, logger=logger)
    with caplog.at_level(logging.INFO, "vivit"):
        fitted.fit(module(), *loaders())
    said = [record.getMessage() for record in caplog.records if record.name.startswith("vivit")]
    assert said[0].startswith("5 steps of 4 clips an epoch, 2 epochs, 10 in all; on cpu")
    assert said[1].startswith("the first batch was read in less than 1 s")
    assert "the first step runs, for less than 1 s so far" in said[2:4]
    (estimate,) = [line for line in said if line.startswith("a step takes")]
    assert "an epoch with its validation " in estimate
    assert "GB of memory" in estimate
    epochs = [line for line in said if line.startswith("epoch ")]
    means = callbacks[1].epochs
    assert [f"train loss {values['train/loss']:.3f}" in line for line, values in zip(epochs, means, strict=True)]
    assert "left" in epochs[0]
    assert "left" not in epochs[1]
    output = "".join(capfd.readouterr())
    assert "\r" not in output, "no bars where there is no terminal"

    with (tmp_path / "csv" / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["train/loss_epoch"]]
    assert [float(row["train/loss_epoch"]) for row in rows] == pytest.approx([row["train/loss"] for row in means])
    assert [float(row["train/acc_top1_epoch"]) for row in rows] == pytest.approx([e["train/acc_top1"] for e in means])
    last = last_metrics(fitted)
    assert last["train/loss"] == pytest.approx(means[-1]["train/loss"]), "the epoch's, not the last batch's"
    assert last["train/acc_top1"] == pytest.approx(means[-1]["train/acc_top1"])
    assert not [name for name in last if name.endswith("_epoch")]


class Terminal(io.StringIO):
    """A stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_has_a_bar_that_moves_while_a_step_runs(
    module: Module, loaders: Loaders, trainer: Trainers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vivit.training.callbacks import progress

    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(heartbeats, "BEAT", 0.1)
    monkeypatch.setattr(progress, "BEAT", 0.1)
    trainer(Slow(), RunProgress(), epochs=1, enable_progress_bar=True).fit(module(), *loaders())
    drawn = terminal.getvalue().split("\r")
    assert sum("Epoch 0:   0%" in line for line in drawn) > 4, "it is drawn again while the first step runs"
    assert any("5/5" in line and "loss=" in line for line in drawn)


def test_weights_are_the_same_with_and_without_progress(module: Module, loaders: Loaders, trainer: Trainers) -> None:
    networks = []
    for callbacks in ((), (RunProgress(),)):
        networks.append(module())
        trainer(*callbacks, epochs=1, enable_progress_bar=bool(callbacks)).fit(networks[-1], *loaders())
    ours, before = (network.state_dict() for network in networks)
    assert all(ours[name].equal(before[name]) for name in before)


def test_long_work_is_lines_without_a_terminal_and_a_bar_on_one() -> None:
    texts = []
    for file in (io.StringIO(), Terminal()):
        with ProgressBar(desc="reading", total=3, unit=" files", file=file) as bar:
            for _ in range(3):
                bar.update()
        texts.append(file.getvalue())
    lines, bars = texts
    assert "\r" not in lines
    assert [line.partition(" after")[0] for line in lines.splitlines()] == [
        "reading: 0 of 3 files",
        "reading: 3 of 3 files",
    ]
    assert "\r" in bars


EPOCHS = [
    {"epoch": n + 1, "train/loss": 1 / (n + 1), "val/loss": 2.0, "val/acc_top1": [0.1, 0.5][n == 17]} for n in range(30)
]


def test_the_table_of_epochs_is_short_and_has_the_best(capsys: pytest.CaptureFixture[str]) -> None:
    assert selected_epochs(3, None) == [0, 1, 2]
    rows = selected_epochs(30, 17)
    assert {0, 17, 29} <= set(rows)
    assert len(rows) <= 13
    assert best_epoch(EPOCHS, "val/acc_top1") == 17
    assert best_epoch(EPOCHS, "train/loss", "min") == 29
    assert best_epoch(EPOCHS, "val/map") is None
    print_epochs(EPOCHS, "val/acc_top1")
    text = capsys.readouterr().out
    assert "18 *" in text
    assert "50.0" in text
    print_epochs(EPOCHS[:1])
    assert not capsys.readouterr().out


def test_a_process_that_is_forked_while_a_bar_is_drawn_can_draw_one_too() -> None:
    renew_lock_of_bars_in_forks()
    held, done = threading.Event(), threading.Event()

    def draw() -> None:
        with tqdm.get_lock():
            held.set()
            done.wait()

    thread = threading.Thread(target=draw)
    thread.start()
    held.wait()
    child = os.fork()
    if not child:
        signal.alarm(10)
        tqdm.write("", file=io.StringIO())
        os._exit(0)
    try:
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        done.set()
        thread.join()


def test_a_network_that_is_no_better_than_one_answer_is_called_that() -> None:
    rows = [{"class": "calm", "videos": 30}, {"class": "fight", "videos": 10}]
    results = {"metrics": {"test/acc_top1": 0.85}, "confidence_95": {"test/acc_top1": (0.7, 0.9)}}
    (sentence,) = compare_to_majority(results | {"classes": {"label": rows}})
    assert 'the answer "calm" for every video is right for 75.0 %, and test/acc_top1 is 85.0 % [70.0, 90.0]' in sentence
    better = results | {"confidence_95": {"test/acc_top1": (0.76, 0.9)}}
    assert not list(compare_to_majority(better | {"classes": {"label": rows}}))
    heads = {"verb": rows, "noun": rows}
    metrics = {"val/verb_acc_top1": 0.9, "val/noun_acc_top1": 0.7, "val/acc_top1": 0.65}
    intervals = {"val/verb_acc_top1": (0.8, 0.95), "val/noun_acc_top1": (0.55, 0.8), "val/acc_top1": (0.5, 0.7)}
    several = {"scored_split": "val", "metrics": metrics, "confidence_95": intervals, "classes": heads}
    assert ["noun_acc_top1" in each for each in compare_to_majority(several)] == [True]
    assert not list(compare_to_majority({"metrics": {}})), "nothing was scored"


def test_what_to_type_next_has_real_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "logs" / "run"
    assert [line.split()[1] for line in next_commands(folder, tmp_path / "logs", "a.mp4")] == ["src/report.py"]
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "best.ckpt").touch()
    score, predict, report = next_commands(folder, tmp_path / "elsewhere", "/videos/it's (1).mp4", "4x3")
    assert score == "python src/eval.py ckpt_path=logs/run/checkpoints/best.ckpt views=4x3"
    plain, *_ = next_commands(folder, tmp_path / "elsewhere", None)
    assert plain == "python src/eval.py ckpt_path=logs/run/checkpoints/best.ckpt", "the run's views suit the videos"
    assert shlex.split(predict) == [
        *("python", "src/predict.py", "ckpt_path=logs/run/checkpoints/best.ckpt", "video=/videos/it's (1).mp4")
    ]
    assert report == "python src/report.py", "which finds a run folder that was named by hand"
    *_, report = next_commands(tmp_path / "elsewhere" / "train" / "runs" / "a", tmp_path / "elsewhere", None)
    assert report == "python src/report.py logs=elsewhere"
    *_, report = next_commands(tmp_path / "my runs" / "a", tmp_path / "logs", None)
    assert report == "python src/report.py 'logs=my runs'"
    held_out = next(iter(next_commands(folder, tmp_path / "logs", None, "10x3", "val")))
    assert held_out.endswith("best.ckpt split=val views=10x3")


def test_one_step_ends_cleanly_without_a_best_checkpoint(
    module: Module, loaders: Loaders, trainer: Trainers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    best = BestCheckpoint(dirpath=str(tmp_path), monitor="val/loss", mode="min")
    fitted = trainer(best, RunProgress(), epochs=30, max_steps=1, enable_progress_bar=True)
    with caplog.at_level(logging.INFO, "vivit"), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        fitted.fit(module(), *loaders())
    said = [record.getMessage() for record in caplog.records if record.name.startswith("vivit")]
    assert any(line.startswith("5 steps of 4 clips an epoch, 1 epoch, 1 in all") for line in said)
    assert any(line.startswith("epoch 1/1: ") for line in said)
    assert said[-1] == "the training ended before a validation: there is no best.ckpt, and the last weights are used"
    assert not [str(each.message) for each in warned if "ModelCheckpoint" in str(each.message)]
    assert (best.best_model_path, list(tmp_path.glob("best*"))) == ("", [])
    misspelt = BestCheckpoint(dirpath=str(tmp_path), monitor="val/los", mode="min")
    with pytest.raises(MisconfigurationException, match="val/los"):
        trainer(misspelt, epochs=1).fit(module(), *loaders())
