"""A run that is killed does not say for ever that it is running."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked import forking
from omegaconf import DictConfig

from vivit.jobs import Job
from vivit.jobs.guard import PERIOD, SAID, guarded, leave_word
from vivit.jobs.run import _follow, _lead
from vivit.runfolder import read_status, write_status


def guarded_run(folder: Path, killed: bool, word: str, goes_on: bool) -> None:
    write_status(folder, "running")
    with guarded(folder, goes_on=goes_on):
        if word:
            leave_word(folder, word)
        if killed:
            os.kill(os.getpid(), signal.SIGKILL)


def ended(folder: Path, killed: bool, word: str = "", goes_on: bool = True) -> dict[str, Any]:
    """Give the status of a run once its guard has had the time to look ten times."""
    (folder / SAID).write_text("of an earlier time")
    process = forking().Process(target=guarded_run, args=(folder, killed, word, goes_on))
    process.start()
    process.join()
    assert process.exitcode == (-signal.SIGKILL if killed else 0)
    end = time.monotonic() + (60 if killed else 10 * PERIOD)
    while read_status(folder)["status"] == "running" and time.monotonic() < end:
        time.sleep(0.05)
    return read_status(folder)


def test_the_end_is_noted_where_it_came_without_a_word(tmp_path: Path) -> None:
    status = ended(tmp_path, killed=True)
    assert status["status"] == "failed"
    assert f"go on as it was with resume={tmp_path}" in status["error"]


def test_what_has_no_checkpoint_to_go_on_from_is_started_again(tmp_path: Path) -> None:
    error = ended(tmp_path, killed=True, goes_on=False)["error"]
    assert "start it again, with a lower batch_size or fewer workers" in error
    assert "checkpoint" not in error
    assert "resume" not in error


@pytest.mark.parametrize(
    ("name", "advice"),
    [("train", "interrupted; go on with resume={folder}"), ("prepare", "interrupted; start it again")],
)
def test_only_what_can_go_on_is_said_to(
    name: str, advice: str, composed: Callable[..., DictConfig], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def asked_to_end(cfg: DictConfig, job: Job) -> dict[str, float]:
        raise SystemExit(130)

    with pytest.raises(SystemExit) as ended:
        _lead(asked_to_end, composed(name=name), Job(tmp_path, {}, [], None))
    assert ended.value.code == 130
    assert read_status(tmp_path)["status"] == "interrupted"
    assert caplog.messages == [advice.format(folder=tmp_path)]


def test_a_guard_is_gone_with_what_it_guards(tmp_path: Path) -> None:
    assert ended(tmp_path, killed=False)["status"] == "running"


def test_the_word_of_another_rank_goes_before_a_guess(tmp_path: Path) -> None:
    status = ended(tmp_path, killed=True, word="a.mp4: no picture")
    assert (status["status"], status["error"]) == ("failed", "in another rank: a.mp4: no picture")


def test_what_every_rank_meets_is_told_by_the_first_alone(tmp_path: Path) -> None:
    """And the others end well, for Lightning kills the first one where they do not."""

    class Shared(ValueError):
        on_every_rank = True

    def raising(error: Exception) -> Callable[..., dict[str, float]]:
        def task(cfg: object, job: object) -> dict[str, float]:
            raise error

        return task

    given = DictConfig({}), Job(tmp_path, {}, [], None)
    with pytest.raises(SystemExit) as silent:
        _follow(raising(Shared("the loss is nan")), *given)
    assert silent.value.code == 0
    with pytest.raises(SystemExit, match="error in another rank: a bad video"):
        _follow(raising(ValueError("a bad video")), *given)
    assert (tmp_path / SAID).read_text() == "a bad video"
