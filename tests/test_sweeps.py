"""Sweeps whose jobs have several ranks, fail, are killed, or wait in a queue."""

import json
import os
import re
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


def beside(data: Path, tmp_path: Path, *words: str) -> Command:
    """Start a sweep of rows, two jobs side by side, or start it again."""
    where = (f"data.root={data}", f"paths.logs={tmp_path / 'logs'}", f"paths.data={tmp_path}", "data.num_workers=0")
    records = (f"records={tmp_path / 'records'}", "hydra.sweeper.jobs=2", "seed=1")
    return start(tmp_path / "output.txt", "src/train.py", *where, *records, *SHORT, *words)


def test_jobs_side_by_side_end_with_the_sweep_and_go_on(small_motion: Path, tmp_path: Path) -> None:
    """Ctrl-C once both have a checkpoint; started again, both go on from it, and leave records."""
    folder = tmp_path / "logs" / "train" / "multiruns" / "pooling"
    command = beside(small_motion, tmp_path, "sweep=pooling", "trainer.max_epochs=40")

    def running() -> list[Path]:
        return [path.parents[1] for path in folder.glob("*/checkpoints/last.ckpt")]

    command.wait_for(lambda: len(running()) == 2)
    pids = [read(job, "status.json")["process"]["pid"] for job in running()]
    os.kill(command.pid, signal.SIGINT)
    assert command.wait() == 130, command.said
    assert not [pid for pid in pids if Path(f"/proc/{pid}/cmdline").is_file()], "a job went on alone"
    assert [read(job, "status.json")["status"] for job in running()] == ["interrupted"] * 2
    again = beside(small_motion, tmp_path, "sweep=pooling", "trainer.max_epochs=40")
    assert again.wait() == 0, again.said
    assert len(re.findall(r"pooling/\S+: started\n", again.said)) == 2
    assert len(re.findall(r"pooling/\S+: done with top-1 \d+\.\d % in", again.said)) == 2
    assert "it/s" not in again.said
    for job in running():
        assert "resumed at step " in (job / "output.txt").read_text()
        results = read(job, "results.json")
        assert results["test_seconds"] > 0
        assert read(tmp_path / "records" / "pooling", f"{job.name}.json")["metrics"] == results["metrics"]


def test_jobs_side_by_side_that_fail_are_named_at_the_end(small_motion: Path, tmp_path: Path) -> None:
    """There is no image ViT to start from."""
    command = beside(small_motion, tmp_path, "sweep=temporal_init", "row=zero,copy")
    assert command.wait() == 1
    last = command.said.strip().splitlines()[-1]
    assert last.startswith("error: temporal_init: 2 of 2 jobs failed: copy_")
    assert last.count("seed-1") == 2
