"""Runs that start in the same second, in one folder, or lose their terminal."""

import csv
import json
import os
import signal
from pathlib import Path

import pytest
from forked import Command, start

pytestmark = pytest.mark.slow

SHORT = ("data.num_workers=0", "data.batch_size=8", "optim.warmup_epochs=0", "views=1x1", "trainer.log_every_n_steps=1")


def train(output: Path, data: Path, logs: Path, *words: str) -> Command:
    fixed = (f"data.root={data}", f"paths.logs={logs}", *SHORT)
    return start(output, "src/train.py", *words[: words[0] == "-m"], *fixed, *words[words[0] == "-m" :])


def metrics(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "csv" / "metrics.csv").read_text().splitlines()))


def read(folder: Path, file: str = "status.json") -> dict:
    return json.loads((folder / file).read_text())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has an output that takes nothing")
def test_runs_of_the_same_second_have_separate_folders(small_motion: Path, tmp_path: Path) -> None:
    """One of them prints to a disk that is full."""
    outputs = (tmp_path / "output.txt", Path("/dev/full"))
    commands = [
        train(output, small_motion, tmp_path / "logs", "trainer.max_epochs=1", f"seed={seed}")
        for seed, output in enumerate(outputs, 1)
    ]
    assert [command.wait() for command in commands] == [0, 0], outputs[0].read_text()
    folders = sorted((tmp_path / "logs" / "train" / "runs").iterdir())
    assert [read(folder)["status"] for folder in folders] == ["done", "done"]
    seeds = [read(folder, "results.json")["seed"] for folder in folders]
    assert sorted(seeds) == [1, 2]
    for folder, seed in zip(folders, seeds, strict=True):
        assert f"seed: {seed}\n" in (folder / ".hydra" / "config.yaml").read_text()
        assert (folder / "checkpoints" / "last.ckpt").is_file()


def test_sweep_started_twice_runs_once(small_motion: Path, tmp_path: Path) -> None:
    words = ("-m", "seed=1,2", "trainer.max_epochs=1", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    first = train(tmp_path / "first.txt", small_motion, tmp_path, *words)
    first.wait_for(lambda: list(tmp_path.glob("sweep/*/status.json")))
    second = train(tmp_path / "second.txt", small_motion, tmp_path, *words)
    assert second.wait() == 1
    assert f"error: {tmp_path / 'sweep'}: is in use by process {first.pid} on " in second.said
    assert "Traceback" not in second.said
    assert first.wait() == 0, first.said
    assert [read(file.parent)["status"] for file in tmp_path.glob("sweep/*/status.json")] == ["done", "done"]


def test_run_saves_when_its_terminal_closes_and_resumes(small_motion: Path, tmp_path: Path) -> None:
    """All of its processes, ranks and workers, are told so twice, as by a terminal; what was logged before stays."""
    folder = tmp_path / "run"
    words = ("trainer=ddp_cpu", "data.batch_size=4", "data.num_workers=1", "trainer.max_epochs=8", "test=no")
    few = ("+trainer.limit_train_batches=4", "callbacks.checkpoint.every_n_train_steps=2", f"hydra.run.dir={folder}")
    command = train(tmp_path / "output.txt", small_motion, tmp_path, *words, *few)
    command.wait_for(lambda: (folder / "checkpoints" / "last.ckpt").is_file())
    for _ in range(2):
        os.killpg(command.pid, signal.SIGHUP)
    assert command.wait() == 128 + signal.SIGHUP, command.said
    assert read(folder)["status"] == "interrupted"
    assert "SIGHUP at step " in command.said
    assert "Traceback" not in command.said
    before = metrics(folder)
    assert len(before) >= 2
    again = start(tmp_path / "output.txt", "src/train.py", f"resume={folder}", "data.num_workers=0")
    assert again.wait() == 0, again.said
    rows = metrics(folder)
    assert [int(row["step"]) for row in rows if row["train/loss"]] == list(range(32))
    assert [row["train/loss"] for row in rows[: len(before)]] == [row["train/loss"] for row in before]
