"""Runs that are killed, asked to end, or lose their disk, their folder or a worker; and go on."""

import json
import os
import random
import re
import resource
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import Command, start

from vivit.run_folder import read_status

pytestmark = pytest.mark.slow

STEPS, EPOCHS = 12, 4
HARD = ("model.dropout=0.1", "model.stochastic_depth=0.3", "loss.mixup=0.3")
"""All that is random in a step."""

Run = Callable[..., Command]


def launch(data: Path, folder: Path, *words: str, workers: int = 0) -> Command:
    """Start a short training run in a folder, or go on with it."""
    fixed = (f"data.root={data}", f"paths.logs={folder.parent}", f"data.num_workers={workers}", "optim.warmup_epochs=1")
    sized = ("data.batch_size=4", f"trainer.max_epochs={EPOCHS}", "callbacks.checkpoint.every_n_train_steps=2")
    named = (f"hydra.run.dir={folder}", "ckpt_path=auto")
    return start(folder.parent / "output.txt", "src/train.py", *fixed, *sized, *HARD, *named, *words)


@pytest.fixture
def run(small_motion: Path) -> Run:
    """Launch with the small data set."""
    return partial(launch, small_motion)


def last(folder: Path) -> dict[str, Any]:
    """Read the last checkpoint; nothing where there is none."""
    file = folder / "checkpoints" / "last.ckpt"
    return torch.load(file, weights_only=True) if file.is_file() else {}


def step(folder: Path) -> int:
    return last(folder).get("global_step", 0)


def status(folder: Path) -> str:
    return read_status(folder)["status"]


@pytest.fixture(scope="module")
def undisturbed(small_motion: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Last checkpoint of the run that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed")
    command = launch(small_motion, folder / "run", "test=false")
    assert command.wait() == 0, command.said
    assert "a start at step 0" in command.said
    return last(folder / "run")


def kill_in_mid_epoch(command: Command, folder: Path, after: int) -> int:
    """Kill a run behind step ``after``, once there is a checkpoint of the epoch it is in; give that one's step."""

    def stopped() -> int:
        """Look while the run holds still, so that it cannot reach the epoch's end in between."""
        if step(folder) <= after:
            return 0
        os.kill(command.pid, signal.SIGSTOP)
        if (now := step(folder)) % STEPS:
            return now
        os.kill(command.pid, signal.SIGCONT)
        return 0

    now = command.wait_for(stopped)
    os.killpg(command.pid, signal.SIGKILL)
    assert command.wait() == -signal.SIGKILL
    assert status(folder) == "failed", "its process is gone"
    return now


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_killed_five_times_ends_as_one_that_never_was(
    workers: int, run: Run, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    """Bit for bit, with dropout, stochastic depth and mixup; killed in mid-epoch, at random, and gone on with."""
    folder, rng = tmp_path / "run", random.Random(workers)
    points = sorted(rng.sample(range(STEPS * EPOCHS - STEPS), 5))
    command, reached = run(folder, workers=workers), 0
    for number, point in enumerate(points):
        reached = kill_in_mid_epoch(command, folder, max(point, reached))
        if number % 2:
            command = run(folder, workers=workers)
        else:
            command = start(tmp_path / "output.txt", "src/train.py", f"resume={folder}")
        command.wait_for(lambda: f"resumed at step {reached}," in command.said)  # noqa: B023
    assert command.wait() == 0, command.said
    assert status(folder) == "done"
    ours = last(folder)
    assert ours["global_step"] == undisturbed["global_step"] == STEPS * EPOCHS
    expected = undisturbed["state_dict"]
    assert all(torch.equal(tensor, expected[name]) for name, tensor in ours["state_dict"].items())
    assert ours["callbacks"]["ThroughputMonitor"]["train_seconds"] > 0


def test_a_run_asked_to_end_saves_and_one_that_is_done_goes_to_its_test(run: Run, tmp_path: Path) -> None:
    """The signal reaches every process of the run, as Ctrl-C and a cluster's do."""
    folder = tmp_path / "run"
    command = run(folder, "trainer.max_epochs=2", workers=2)
    command.wait_for(lambda: step(folder) > STEPS)
    os.killpg(command.pid, signal.SIGTERM)
    assert command.wait() == 128 + signal.SIGTERM
    assert "Traceback" not in command.said
    assert status(folder) == "interrupted"
    saved = step(folder)
    assert f"SIGTERM at step {saved}, which is saved" in command.said
    command = start(tmp_path / "output.txt", "src/train.py", f"resume={folder}", "data.num_workers=0")
    assert command.wait() == 0, command.said
    assert f"resumed at step {saved}," in command.said
    results = json.loads((folder / "results.json").read_text())
    assert "data.num_workers=0" in results["overrides"]
    assert results["config"]["model"]["stochastic_depth"] == 0.3
    again = run(folder, "trainer.max_epochs=2")
    assert again.wait() == 0, again.said
    assert f"resumed at step {2 * STEPS}," in again.said
    once_more = json.loads((folder / "results.json").read_text())
    assert once_more["metrics"] == results["metrics"]


def full_disk(command: Command, folder: Path) -> None:
    resource.prlimit(command.pid, resource.RLIMIT_FSIZE, (200_000, 200_000))


def removed_folder(command: Command, folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def killed_worker(command: Command, folder: Path) -> None:
    tasks = Path(f"/proc/{command.pid}/task")
    children = [child for task in tasks.iterdir() for child in (task / "children").read_text().split()]
    os.kill(int(children[0]), signal.SIGKILL)


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux lets others limit a process")
@pytest.mark.parametrize(
    ("trouble", "message"),
    [
        (full_disk, "last.ckpt cannot be written, the one before it is intact: "),
        (removed_folder, "the run folder .* is gone: "),
        (
            killed_worker,
            "DataLoader worker .*(is killed by signal: Killed|exited unexpectedly).*lower data.num_workers",
        ),
    ],
)
def test_trouble_is_one_clear_message_and_the_last_checkpoint(
    trouble: Callable[[Command, Path], None], message: str, run: Run, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    command = run(folder, workers=1)
    command.wait_for(lambda: step(folder))
    trouble(command, folder)
    assert command.wait() == 1
    errors = [line for line in command.said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert re.search(message, errors[0])
    assert "Traceback" not in command.said
    if trouble is removed_folder:
        assert not folder.exists(), "it was made anew"
        return
    assert status(folder) == "failed"
    assert not list((folder / "checkpoints").glob(".*")), "half a checkpoint was left"
    good = step(folder)
    assert good
    again = run(folder, "trainer.max_epochs=2", "test=false")
    again.wait_for(lambda: f"resumed at step {good}," in again.said)
    os.killpg(again.pid, signal.SIGKILL)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds processes in Linux's /proc")
def test_a_run_that_loses_a_rank_says_so_and_goes_on_from_its_last_checkpoint(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    words = ("trainer=ddp_cpu", "data.batch_size=2", "trainer.max_epochs=40", "test=false")
    command = run(folder, *words)
    command.wait_for(lambda: step(folder))
    tasks = Path(f"/proc/{command.pid}/task")
    children = [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
    (rank,) = [child for child in children if b"train.py" in Path(f"/proc/{child}/cmdline").read_bytes()]
    os.kill(rank, signal.SIGKILL)
    assert command.wait() != 0
    told = read_status(folder)
    assert told["status"] == "failed"
    assert re.search("another rank has ended|a process of this run was killed", told["error"])
    assert command.said.count("error: ") <= 1
    good = step(folder)
    assert good
    again = run(folder, *words)
    again.wait_for(lambda: f"resumed at step {good}," in again.said)
    again.wait_for(lambda: step(folder) > good)
    os.killpg(again.pid, signal.SIGKILL)
