"""A job of several ranks is the command that a user would type for it alone."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vivit.launch.job import Job
from vivit.launch.subprocess_job import command_of, needs_subprocess, run_in_subprocess
from vivit.run_folder import read_status, read_stored_status, write_status

Compose = Callable[..., DictConfig]
FOLDER = Path("/somewhere/it's a sweep/seed-7_12345678")


@pytest.fixture
def within(composed: Compose) -> Iterator[Callable[..., DictConfig]]:
    """Compose a configuration and be within the run that it describes."""

    def within(*overrides: str) -> DictConfig:
        cfg = composed(*overrides, hydra=True)
        HydraConfig.instance().set_config(cfg)
        return cfg

    yield within
    HydraConfig.instance().cfg = None


def test_its_command_composes_to_the_same_run(
    within: Compose, composed: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["src/train.py", "-m", "seed=1,7"])
    job_s = ["sweep=time_order", "trainer=ddp_cpu", "seed=7"]
    sweep_s = ["hydra.sweep.dir=elsewhere", "hydra/launcher=basic", "hydra.mode=MULTIRUN", "hydra.job.chdir=false"]
    cfg = within(*job_s, *sweep_s)
    python, script, name, *overrides = command_of(Job(FOLDER, {}, job_s, FOLDER.parent.name))
    assert (python, script, name) == (sys.executable, "src/train.py", "--config-name=train")
    again = composed(*overrides, hydra=True)
    assert again.hydra.mode == RunMode.RUN
    assert (Path(again.hydra.run.dir), Path(again.hydra.sweep.dir)) == (FOLDER, FOLDER.parent)
    assert again.hydra.job.chdir is False
    ours, theirs = (
        OmegaConf.to_container(OmegaConf.masked_copy(c, [k for k in c if k != "hydra"])) for c in (cfg, again)
    )
    assert ours == theirs


def test_a_command_of_ours_starts_its_own_script(within: Compose, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the sweep: the process of a queue has an ``sys.argv`` of its own."""
    monkeypatch.setattr(sys, "argv", ["queue.py"])
    within("hydra.job.name=train", "hydra.mode=MULTIRUN")
    command = command_of(Job(FOLDER, {}, [], FOLDER.parent.name))
    assert command[1] == str(Path(__file__).parents[2] / "src" / "train.py")


@pytest.mark.parametrize(
    ("overrides", "apart"),
    [
        (["hydra.mode=MULTIRUN", "trainer=ddp_cpu"], True),
        (["hydra.mode=MULTIRUN", "trainer=ddp", "trainer.devices=auto"], True),
        (["hydra.mode=MULTIRUN", "trainer.devices=3"], True),
        (["hydra.mode=MULTIRUN", "trainer=ddp_cpu", "trainer.num_nodes=2"], True),
        (["hydra.mode=MULTIRUN"], False),
        (["hydra.mode=RUN", "trainer=ddp_cpu"], False),
    ],
)
def test_only_a_job_of_a_sweep_with_several_ranks_is_apart(
    overrides: list[str], apart: bool, within: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = within(*overrides)
    assert needs_subprocess(cfg) is apart
    monkeypatch.setenv("SUBMITIT_LOCAL_NTASKS", "2")
    assert needs_subprocess(cfg) is False, "the queue has started the ranks"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
        ("import sys; sys.exit(3)", "ended with exit code 3"),
    ],
)
def test_a_job_that_ends_badly_is_marked(
    words: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vivit.launch.subprocess_job.command_of", lambda job: [sys.executable, "-c", words])
    with pytest.raises(RuntimeError, match=reason):
        run_in_subprocess(Job(tmp_path, {}, [], "sweep"))
    assert read_status(tmp_path)["status"] == "failed"
    assert read_status(tmp_path)["error"] == reason


def test_an_error_of_an_earlier_try_is_not_that_of_a_killed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_status(tmp_path, "failed", "an error that was mended")
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    monkeypatch.setattr("vivit.launch.subprocess_job.command_of", lambda job: [sys.executable, "-c", kill])
    with pytest.raises(RuntimeError, match="^killed by SIGKILL$"):
        run_in_subprocess(Job(tmp_path, {}, [], "sweep"))
    assert read_stored_status(tmp_path)["error"] == "killed by SIGKILL"


def test_a_job_killed_at_work_has_a_final_status_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import os, pathlib, signal; from vivit.run_folder import write_status; "
        f"write_status(pathlib.Path({str(tmp_path)!r}), 'running'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    monkeypatch.setattr("vivit.launch.subprocess_job.command_of", lambda job: [sys.executable, "-c", code])
    with pytest.raises(RuntimeError, match="^killed by SIGKILL: a process of this run was killed"):
        run_in_subprocess(Job(tmp_path, {}, [], "sweep"))
    assert read_stored_status(tmp_path)["status"] == "failed", "readers on other machines see it too"


def test_a_job_that_ends_well_raises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vivit.launch.subprocess_job.command_of", lambda job: [sys.executable, "-c", ""])
    run_in_subprocess(Job(tmp_path, {}, [], "sweep"))
