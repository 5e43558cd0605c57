"""Runs that torchrun, srun and submitit start, on this machine: killed, started again, and equal bit for bit."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import PATIENCE, REPOSITORY, Command, start

from vivit.run_folder import read_status

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds processes in Linux's /proc"),
]

SHORT = (
    *("trainer=ddp_cpu", "trainer.max_epochs=3", "data.batch_size=2", "data.num_workers=0", "optim.warmup_epochs=1"),
    *("callbacks.checkpoint.every_n_train_steps=2", "model.dropout=0.1", "model.stochastic_depth=0.3"),
    *("loss.mixup=0.3", "test=false", "callbacks.curves=null", "callbacks.batch_picture=null"),
)
"""A short run of all that is random, on two ranks of the CPU."""
STEPS = 36
LAUNCHERS = ("RANK", "WORLD_SIZE", "MASTER_", "TORCHELASTIC", "SLURM", "SUBMITIT", "LOCAL_")
"""How variables begin that launchers set."""


def words(data: Path, logs: Path) -> tuple[str, ...]:
    return (*SHORT, f"data.root={data}", f"paths.logs={logs}")


def environment(**variables: str) -> dict[str, str]:
    """Give the environment of a command that no launcher has started, with more variables."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHERS)}
    return plain | {"OMP_NUM_THREADS": "1", "PYTHON": sys.executable} | variables


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start commands whose output goes to a file; none outlives the test."""
    begun = []

    def begin(*command: str, output: str = "output.txt", **variables: str) -> subprocess.Popen:
        with (tmp_path / output).open("w") as file:
            options: Mapping[str, Any] = {"cwd": REPOSITORY, "stdout": file, "stderr": file, "start_new_session": True}
            begun.append(subprocess.Popen(command, env=environment(**variables), **options))
        return begun[-1]

    yield begin
    for process in begun:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def last(folder: Path) -> dict[str, Any]:
    """Read the last checkpoint; nothing where there is none."""
    file = folder / "checkpoints" / "last.ckpt"
    return torch.load(file, weights_only=True) if file.is_file() else {}


@pytest.fixture(scope="module")
def undisturbed(small_motion: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Weights of the run that starts its two ranks itself, and that nobody disturbs."""
    logs = tmp_path_factory.mktemp("undisturbed")
    command = start(
        logs / "output.txt", "src/train.py", *words(small_motion, logs), "hydra.run.dir=" + str(logs / "run")
    )
    assert command.wait() == 0, command.said
    return last(logs / "run")["state_dict"]


def check_ended(folder: Path, undisturbed: dict[str, Any]) -> None:
    """Check that a run is done, and has learned what one learns that nobody disturbs."""
    assert read_status(folder)["status"] == "done"
    ended = last(folder)
    assert ended["global_step"] == STEPS
    assert all(torch.equal(tensor, undisturbed[name]) for name, tensor in ended["state_dict"].items())


def only_folder(logs: Path) -> Path:
    (folder,) = [path for path in (logs / "train" / "runs").iterdir() if path.is_dir()]
    return folder


def wait_for(what: Callable[[], Any], process: subprocess.Popen, output: Path) -> Any:
    end = time.monotonic() + PATIENCE
    while not (result := what()):
        assert process.poll() is None, f"it ended before:\n{output.read_text()[-3000:]}"
        assert time.monotonic() < end, f"not within {PATIENCE} s:\n{output.read_text()[-3000:]}"
        time.sleep(0.02)
    return result


def children(parent: int) -> list[int]:
    """Give the processes that a process has started."""
    tasks = Path(f"/proc/{parent}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


def ranks_of(torchrun: int, rank: int) -> list[int]:
    """Give the processes that torchrun has started as a rank, one where it is on its machine."""
    variable = f"\0RANK={rank}\0"
    return [child for child in children(torchrun) if variable in Path(f"/proc/{child}/environ").read_text()]


def test_torchrun_starts_a_killed_rank_again_and_the_run_ends_as_one_that_nobody_disturbed(
    begin: Callable[..., subprocess.Popen], small_motion: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """Nobody has named it: the folder is named after the time of its first start, and stays."""
    torchrun = begin("deploy/torchrun.sh", *words(small_motion, tmp_path / "logs"), GPUS="2", RESTARTS="1")
    output, runs = tmp_path / "output.txt", tmp_path / "logs" / "train" / "runs"
    wait_for(lambda: any(last(folder) for folder in runs.glob("2*")), torchrun, output)
    (process,) = ranks_of(torchrun.pid, 1)
    os.kill(process, signal.SIGKILL)
    assert torchrun.wait(PATIENCE) == 0, output.read_text()
    assert f"from {only_folder(tmp_path / 'logs')}/checkpoints/last.ckpt" in output.read_text()
    assert "resumed at step 36" not in output.read_text(), "it was killed too late to show anything"
    check_ended(only_folder(tmp_path / "logs"), undisturbed)
    assert not list(runs.glob(".ranks-*"))


def test_two_machines_share_the_run_that_torchrun_names(
    begin: Callable[..., subprocess.Popen], small_motion: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """One rank on each, both of them here."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        variables = {"GPUS": "1", "NODES": "2", "RUN": "mine", "ENDPOINT": f"127.0.0.1:{probe.getsockname()[1]}"}
    command = ("deploy/torchrun.sh", *words(small_motion, tmp_path / "logs"))
    nodes = [begin(*command, output=f"output{node}.txt", **variables) for node in range(2)]
    said = [node.wait(PATIENCE) or (tmp_path / f"output{number}.txt").read_text() for number, node in enumerate(nodes)]
    assert [node.returncode for node in nodes] == [0, 0], said
    assert only_folder(tmp_path / "logs").name == "mine"
    check_ended(only_folder(tmp_path / "logs"), undisturbed)


def test_two_machines_start_again_where_a_rank_of_one_is_killed(
    begin: Callable[..., subprocess.Popen], small_motion: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """The first rank's machine counts no restart then; its rank, and its port, may be on the other one afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        variables = {"GPUS": "1", "NODES": "2", "RUN": "mine", "ENDPOINT": f"127.0.0.1:{probe.getsockname()[1]}"}
    command = ("deploy/torchrun.sh", *words(small_motion, tmp_path / "logs"))
    nodes = [begin(*command, output=f"output{node}.txt", RESTARTS="1", **variables) for node in range(2)]
    folder, output = tmp_path / "logs" / "train" / "runs" / "mine", tmp_path / "output0.txt"
    wait_for(lambda: last(folder), nodes[0], output)
    os.kill(next(process for node in nodes for process in ranks_of(node.pid, 1)), signal.SIGKILL)
    ended = [node.wait(PATIENCE) for node in nodes]
    said = "".join((tmp_path / f"output{number}.txt").read_text() for number in range(2))
    assert ended == [0, 0], said
    assert f"from {folder}/checkpoints/last.ckpt" in said
    assert f"resumed at step {STEPS}" not in said, "it was killed too late to show anything"
    assert only_folder(tmp_path / "logs") == folder
    check_ended(folder, undisturbed)


def test_submitit_starts_the_ranks_as_tasks_of_a_job_and_puts_it_back_into_the_queue(
    small_motion: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """Its local executor stands for SLURM's, SIGUSR2 for the end of the job's time."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="make install EXTRAS=slurm")
    tasks = ("-m", "hydra/launcher=submitit_local", "hydra.launcher.tasks_per_node=2")
    sweep = tmp_path / "sweep"
    command = start(
        tmp_path / "output.txt", "src/train.py", *tasks, *words(small_motion, tmp_path), f"hydra.sweep.dir={sweep}"
    )
    command.wait_for(lambda: any(last(folder) for folder in sweep.iterdir()) if sweep.is_dir() else False)
    (controller,) = children(command.pid)
    for task in children(controller):
        os.kill(task, signal.SIGUSR2)
    assert command.wait() == 0, command.said
    (status,) = sweep.glob("*/status.json")
    check_ended(status.parent, undisturbed)
    said = "".join(file.read_text() for file in sweep.glob(".submitit/*/*_0_log.*"))
    assert said.count("resumed at step ") == 1
    assert not list(status.parent.glob(".ranks-*"))


@pytest.fixture
def sbatch(begin: Callable[..., subprocess.Popen], tmp_path: Path) -> Callable[..., list[str]]:
    """Run the script of the job with a ``srun`` that ends with an exit code; give its arguments."""
    for name in ("srun", "scontrol"):
        (tmp_path / name).write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/{name}.txt\nexit ${{CODE:-0}}\n')
        (tmp_path / name).chmod(0o755)

    def sbatch(*words: str, code: int) -> list[str]:
        variables = {"SLURM_NTASKS_PER_NODE": "2", "SLURM_NNODES": "1", "SLURM_JOB_ID": "77", "CODE": str(code)}
        path = f"{tmp_path}:{os.environ['PATH']}"
        assert begin("bash", "deploy/slurm.sbatch", *words, PATH=path, **variables).wait(60) == code
        return (tmp_path / "srun.txt").read_text().splitlines()

    return sbatch


def test_a_job_of_slurm_that_is_out_of_time_saves_joins_the_queue_and_goes_on_in_its_folder(
    sbatch: Callable[..., list[str]], small_motion: Path, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    arguments = sbatch(*words(small_motion, tmp_path / "logs"), code=138)
    assert (tmp_path / "scontrol.txt").read_text().split() == ["requeue", "77"]
    typed = arguments[arguments.index("src/train.py") :]
    folder = tmp_path / "logs" / "train" / "runs" / "slurm-77"

    def srun(restarts: int) -> list[Command]:
        shared = {"SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "vivit", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2"}
        shared |= {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NUM_NODES": "1", "SLURM_RESTART_COUNT": str(restarts)}
        places = [{"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_NODEID": "0"} for rank in ("0", "1")]
        return [
            start(tmp_path / f"rank{rank}.txt", *typed, environment=shared | place) for rank, place in enumerate(places)
        ]

    ranks = srun(0)
    ranks[0].wait_for(lambda: last(folder))
    for rank in ranks:
        os.kill(rank.pid, signal.SIGUSR1)
    assert [rank.wait() for rank in ranks] == [138, 0], ranks[0].said
    assert read_status(folder)["status"] == "interrupted"
    saved = last(folder)["global_step"]
    assert saved < STEPS
    ranks = srun(1)
    assert [rank.wait() for rank in ranks] == [0, 0], ranks[0].said
    assert f"resumed at step {saved}, from {folder}" in ranks[0].said
    check_ended(folder, undisturbed)
    ranks = srun(2)
    assert [rank.wait() for rank in ranks] == [0, 0], ranks[0].said
    assert f"{folder} is done" in ranks[0].said
    assert only_folder(tmp_path / "logs") == folder
