"""A run that is killed is read as failed; ranks beside the first leave their errors."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked import forking
from omegaconf import DictConfig

from vivit.io import write_json
from vivit.launch import Job
from vivit.launch.run import _run_other_rank, _run_rank_zero
from vivit.run_folder import RANK_ERROR, read_status, write_rank_error, write_status


def killed_run(folder: Path, error: str) -> None:
    write_status(folder, "running")
    if error:
        write_rank_error(folder, error)
    os.kill(os.getpid(), signal.SIGKILL)


def status_of_killed(folder: Path, error: str = "") -> dict[str, Any]:
    process = forking().Process(target=killed_run, args=(folder, error))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    return read_status(folder)


def test_killed_run_with_a_checkpoint_is_failed_and_can_be_resumed(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    status = status_of_killed(tmp_path)
    assert status["status"] == "failed"
    assert f"resume={tmp_path}" in status["error"]


def test_killed_run_without_a_checkpoint_is_failed_and_has_to_be_started_again(tmp_path: Path) -> None:
    status = status_of_killed(tmp_path)
    assert status["status"] == "failed"
    assert "start it again" in status["error"]
    assert "resume" not in status["error"]


def test_killed_run_has_the_error_of_another_rank(tmp_path: Path) -> None:
    status = status_of_killed(tmp_path, "a.mp4: no picture")
    assert (status["status"], status["error"]) == ("failed", "in another rank: a.mp4: no picture")


def test_running_status_of_a_living_process_or_another_machine_stays(tmp_path: Path) -> None:
    status = write_status(tmp_path, "running")
    assert read_status(tmp_path)["status"] == "running"
    for other, state in (
        ({"host": "elsewhere"}, "running"),
        ({"namespace": "pid:[1]", "started": "another boot 17"}, "running"),
        ({"started": "another boot 17"}, "failed"),
    ):
        process = status["process"] | other
        write_json(tmp_path / "status.json", status | {"process": process})
        assert read_status(tmp_path)["status"] == state


@pytest.mark.parametrize("text", ["", "null", "[1]", "17", '"running"', "{"])
def test_damaged_status_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(text)
    assert read_status(tmp_path) == {}


@pytest.mark.parametrize("process", ["x", [1], {"pid": "1"}, {}])
def test_running_status_of_a_process_that_cannot_be_read(process: Any, tmp_path: Path) -> None:
    write_json(tmp_path / "status.json", {"status": "running", "process": process})
    assert read_status(tmp_path)["status"] == ("failed" if process else "running")


@pytest.mark.parametrize(
    ("name", "advice"),
    [("train", "interrupted; go on with resume={folder}"), ("prepare", "interrupted; start it again")],
)
def test_interrupted_training_is_advised_to_resume_and_other_commands_to_start_again(
    name: str, advice: str, composed: Callable[..., DictConfig], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def asked_to_end(cfg: DictConfig, job: Job) -> dict[str, float]:
        raise SystemExit(130)

    with pytest.raises(SystemExit) as ended:
        _run_rank_zero(asked_to_end, composed(name=name), Job(tmp_path, {}, [], None))
    assert ended.value.code == 130
    assert read_status(tmp_path)["status"] == "interrupted"
    assert caplog.messages == [advice.format(folder=tmp_path)]


def test_error_of_every_rank_is_printed_by_the_first_alone(tmp_path: Path) -> None:
    """And the others end well, for Lightning kills the first one where they do not."""

    class Shared(ValueError):
        on_every_rank = True

    def raising(error: Exception) -> Callable[..., dict[str, float]]:
        def task(cfg: object, job: object) -> dict[str, float]:
            raise error

        return task

    run = DictConfig({}), Job(tmp_path, {}, [], None)
    with pytest.raises(SystemExit) as silent:
        _run_other_rank(raising(Shared("the loss is nan")), *run)
    assert silent.value.code == 0
    with pytest.raises(SystemExit, match="error in another rank: a bad video"):
        _run_other_rank(raising(ValueError("a bad video")), *run)
    assert (tmp_path / RANK_ERROR).read_text() == "a bad video"


def test_error_of_another_rank_in_an_earlier_start_is_deleted(tmp_path: Path) -> None:
    write_rank_error(tmp_path, "of an earlier time")
    _run_rank_zero(lambda cfg, job: {}, DictConfig({}), Job(tmp_path, {}, [], None))
    assert not (tmp_path / RANK_ERROR).exists()
