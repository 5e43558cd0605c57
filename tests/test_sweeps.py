"""Sweeps whose jobs fail or are killed."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from forked import Command, start

SHORT = (
    "trainer.max_epochs=1",
    "data.batch_size=4",
    "optim.warmup_epochs=0",
    "callbacks.checkpoint.every_n_train_steps=2",
)


def sweep(data: Path, folder: Path, *words: str) -> Command:
    """Start a sweep, or start it again."""
    where = (f"data.root={data}", f"paths.logs={folder.parent / 'logs'}", f"hydra.sweep.dir={folder}", "data.workers=0")
    return start(folder.parent / "output.txt", "src/train.py", "-m", *where, *SHORT, *words)


def jobs(folder: Path) -> dict[str, Path]:
    """Job folders by name."""
    return {file.name: file for file in folder.iterdir() if file.is_dir() and file.name != ".submitit"}


def read(folder: Path, file: str) -> dict[str, Any]:
    return json.loads((folder / file).read_text())


def test_a_sweep_started_again_runs_what_is_not_done(small_motion: Path, tmp_path: Path) -> None:
    """One job fails, the next is done, the last is killed: only that one has something left to do, and goes on."""
    folder = tmp_path / "crops"
    words = ("data.crop=[30,32],[32,32],[24,32]", "trainer.max_epochs=2")
    command = sweep(small_motion, folder, *words)

    def killable() -> Path | None:
        (job,) = [path for name, path in jobs(folder).items() if "-24-32-" in name] if folder.exists() else [None]
        return job if job is not None and (job / "checkpoints" / "last.ckpt").is_file() else None

    def state(crop: str) -> tuple[Path, str]:
        (job,) = [path for name, path in jobs(folder).items() if crop in name]
        return job, read(job, "status.json")["status"]

    command.wait_for(lambda: any("-24-32-" in name for name in (jobs(folder) if folder.exists() else ())))
    command.wait_for(killable)
    os.killpg(command.pid, signal.SIGKILL)
    command.wait()
    killed, running = state("-24-32-")
    failed, marked = state("-30-32-")
    done, complete = state("-32-32-")
    assert (running, marked, complete) == ("running", "failed", "done")
    assert "height 30 cannot be cut" in read(failed, "status.json")["error"]
    results = (done / "results.json").stat().st_mtime_ns
    again = sweep(small_motion, folder, *words)
    assert again.wait() == 1, "one job fails"
    assert f"{done.name} is done, skipped" in again.said
    assert (done / "results.json").stat().st_mtime_ns == results
    assert f"from {killed}/checkpoints/last.ckpt" in again.said
    assert "resumed at step 0," not in again.said
    assert read(killed, "status.json")["status"] == "done"
    assert read(failed, "status.json")["status"] == "failed"
    assert len(jobs(folder)) == 3
