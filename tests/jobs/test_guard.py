"""A run that is killed does not say for ever that it is running."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import forking
from omegaconf import DictConfig

from vivit.jobs import Job
from vivit.jobs.guard import guarded
from vivit.jobs.run import _follow
from vivit.runfolder import read_status, write_status


def guarded_run(folder: Path, killed: bool) -> None:
    write_status(folder, "running")
    with guarded(folder):
        if killed:
            os.kill(os.getpid(), signal.SIGKILL)
    write_status(folder, "done")


@pytest.mark.parametrize("killed", [True, False])
def test_the_end_is_noted_where_it_came_without_a_word(killed: bool, tmp_path: Path) -> None:
    process = forking().Process(target=guarded_run, args=(tmp_path, killed))
    process.start()
    process.join()
    assert process.exitcode == (-signal.SIGKILL if killed else 0)
    end = time.monotonic() + 60
    while read_status(tmp_path)["status"] == "running" and time.monotonic() < end:
        time.sleep(0.05)
    status = read_status(tmp_path)
    assert status["status"] == ("failed" if killed else "done")
    assert not killed or f"go on as it was with resume={tmp_path}" in status["error"]


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
