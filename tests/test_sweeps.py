"""Sweeps whose jobs have several ranks, fail, are killed, or wait in a queue."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from forked import Command, start

pytestmark = pytest.mark.slow

SHORT = (
    "trainer.max_epochs=1",
    "data.batch_size=4",
    "optim.warmup_epochs=0",
    "callbacks.checkpoint.every_n_train_steps=2",
)


def sweep(data: Path, folder: Path, *words: str) -> Command:
    """Start a sweep, or start it again."""
    where = (
        f"data.root={data}",
        f"paths.logs={folder.parent / 'logs'}",
        f"hydra.sweep.dir={folder}",
        "data.num_workers=0",
    )
    return start(folder.parent / "output.txt", "src/train.py", "-m", *where, *SHORT, *words)


def jobs(folder: Path) -> dict[str, Path]:
    """Job folders by name."""
    return {file.name: file for file in folder.iterdir() if file.is_dir() and file.name != ".submitit"}


def read(folder: Path, file: str) -> dict[str, Any]:
    return json.loads((folder / file).read_text())


def test_two_jobs_of_two_ranks_leave_two_folders(small_motion: Path, tmp_path: Path) -> None:
    """And each scores every one of 17 videos once, which two ranks do not divide."""
    folder = tmp_path / "two ranks"
    command = sweep(small_motion, folder, "trainer=ddp_cpu", "seed=1,2", "+trainer.limit_train_batches=3")
    assert command.wait() == 0, command.said
    done = jobs(folder)
    assert len(done) == 2
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [folder.name], "a rank made its own sweep"
    for job in done.values():
        results = read(job, "results.json")
        assert read(job, "status.json")["status"] == "done"
        assert (results["sweep"], results["run_name"]) == (folder.name, job.name)
        assert f"seed={results['seed']}" in results["overrides"]
        right = 17 * results["metrics"]["test/acc_top1"]
        assert right == pytest.approx(round(right), abs=1e-4)
        assert (job / ".hydra" / "config.yaml").is_file()


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
    assert "data.crop.0=30" in read(failed, "status.json")["error"]
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


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds processes in Linux's /proc")
def test_a_job_put_back_into_the_queue_goes_on(small_motion: Path, tmp_path: Path) -> None:
    """SIGUSR2 is what submitit sends before the time is over; its local executor stands for that of SLURM."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="make install EXTRAS=slurm")
    folder = tmp_path / "queue"
    words = ("hydra/launcher=submitit_local", "seed=1", "trainer.max_epochs=3")
    command = sweep(small_motion, folder, *words)
    job = command.wait_for(lambda: next((path.parents[1] for path in folder.glob("*/checkpoints/last.ckpt")), None))
    (controller,) = children(command.pid)
    (task,) = children(controller)
    os.kill(task, signal.SIGUSR2)
    assert command.wait() == 0, command.said
    said = "".join(file.read_text() for file in folder.glob(".submitit/*/*.out"))
    assert said.count("resumed at step ") == 1
    assert "SIGUSR2 at step " in said
    assert f"resumed at step {said.partition('SIGUSR2 at step ')[2].partition(',')[0]}," in said
    assert list(jobs(folder).values()) == [job]
    assert read(job, "status.json")["status"] == "done"
