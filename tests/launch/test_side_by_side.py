"""Jobs of a sweep side by side: no more at once than there are places, each once, and none goes on alone."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from vivit.errors import ConfigError
from vivit.launch.folder_lock import lock_folder
from vivit.launch.job import Job
from vivit.launch.side_by_side import OUTPUT, active_pool, place_file, quiet_overrides, side_by_side
from vivit.run_folder import read_stored_status, write_status

NO_CONFIG = OmegaConf.create({})
TIMES = """
import sys, time
from pathlib import Path
folder = Path(sys.argv[1])
with (folder / "begun").open("a") as file:
    print(time.monotonic(), file=file)
time.sleep(float(sys.argv[2]))
(folder / "ended").write_text(str(time.monotonic()))
"""
MakeJob = Callable[..., Job]


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeJob:
    """Make a job whose process runs some code instead of a training, with its folder as first argument."""
    programs: dict[Path, list[str]] = {}

    def job(name: str, code: str = TIMES, *arguments: str) -> Job:
        folder = tmp_path / "sweep" / name
        folder.mkdir(parents=True)
        programs[folder] = [sys.executable, "-c", code, str(folder), *(arguments or ("0.3",))]
        return Job(folder, {}, [], "sweep")

    monkeypatch.setattr("vivit.launch.subprocess_job.command_of", lambda job: programs[job.folder])
    return job


def seconds(job: Job, file: str) -> float:
    return float((job.folder / file).read_text())


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_two_of_four_run_at_once_and_each_runs_once(job: MakeJob, tmp_path: Path) -> None:
    jobs = [job(name, TIMES, "0.6") for name in "abcd"]
    with side_by_side(2, tmp_path) as pool:
        assert active_pool() is pool
        for one in jobs:
            pool.start(NO_CONFIG, one)
    assert active_pool() is None
    assert pool.failed == []
    spans = [(seconds(one, "begun"), seconds(one, "ended")) for one in jobs]  # a second start would be no number
    running = [sum(begun <= moment < ended for begun, ended in spans) for moment, _ in spans]
    assert max(running) == 2


def test_a_job_that_fails_is_named_and_the_others_go_on(
    job: MakeJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, good = job("bad", "print('the reason'); raise SystemExit(3)"), job("good")
    with side_by_side(1, tmp_path) as pool:
        pool.start(NO_CONFIG, bad)
        pool.start(NO_CONFIG, good)
    assert pool.failed == ["bad"]
    assert (good.folder / "ended").is_file()
    assert read_stored_status(bad.folder)["status"] == "failed"
    assert (bad.folder / OUTPUT).read_text() == "the reason\n"
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ", 1)[1].partition(" (")[0] for line in lines[:2]] == [
        "sweep/bad: started",
        "sweep/bad: failed: ended with exit code 3",
    ]
    assert len(lines) == 4


def test_the_line_of_a_job_that_is_done_has_its_accuracy(
    job: MakeJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = job("one", "")
    (one.folder / "results.json").write_text(json.dumps({"metrics": {"test/acc_top1": 0.875}}))
    write_status(one.folder, "done")
    with side_by_side(1, tmp_path) as pool:
        pool.start(NO_CONFIG, one)
    assert "sweep/one: done with top-1 87.5 % in 0.0 min" in capsys.readouterr().out


def test_an_interruption_ends_the_jobs_once_they_have_cleaned_up(job: MakeJob, tmp_path: Path) -> None:
    code = """
import signal, sys, time
from pathlib import Path
folder = Path(sys.argv[1])
def end(*_):
    time.sleep(0.3)
    (folder / "checkpoint").write_text("")
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
(folder / "begun").write_text("")
time.sleep(60)
(folder / "ended").write_text("")
"""
    jobs = [job("a", code), job("b", code)]
    with pytest.raises(SystemExit) as stopped, side_by_side(2, tmp_path) as pool:
        for one in jobs:
            pool.start(NO_CONFIG, one)
        wait_for(lambda: all((one.folder / "begun").exists() for one in jobs))
        raise SystemExit(130)
    assert stopped.value.code == 130
    assert all((one.folder / "checkpoint").exists() and not (one.folder / "ended").exists() for one in jobs)
    assert active_pool() is None


def hold(folder: Path, file: str) -> int:
    """Fork a process that locks a file, and return its number once it has."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        lock_folder(folder, file)
        os.write(writer, b"1")
        time.sleep(60)
        os._exit(0)
    os.read(reader, 1)
    return pid


def let_go(pid: int) -> None:
    os.kill(pid, 9)
    os.waitpid(pid, 0)


def test_sweeps_of_two_processes_share_the_places(job: MakeJob, tmp_path: Path) -> None:
    other = hold(tmp_path, place_file(0))
    try:
        first, second = job("first"), job("second")
        with side_by_side(2, tmp_path) as pool:
            pool.start(NO_CONFIG, first)
            pool.start(NO_CONFIG, second)
        assert seconds(second, "begun") >= seconds(first, "ended"), "the other process has one of the two places"
    finally:
        let_go(other)


def test_a_job_that_another_process_works_on_is_not_started_and_keeps_its_status(job: MakeJob, tmp_path: Path) -> None:
    one, free = job("one"), job("free")
    write_status(one.folder, "running")
    other = hold(one.folder, ".owner")
    try:
        with side_by_side(1, tmp_path) as pool:
            with pytest.raises(RuntimeError, match="in use"):
                pool.start(NO_CONFIG, one)
            pool.start(NO_CONFIG, free)
        assert not (one.folder / "begun").exists()
        assert read_stored_status(one.folder)["status"] == "running"
        assert (free.folder / "ended").exists(), "its place is free again"
    finally:
        let_go(other)


def test_places_are_free_again_at_the_end(job: MakeJob, tmp_path: Path) -> None:
    with side_by_side(1, tmp_path) as pool:
        pool.start(NO_CONFIG, job("one", ""))
    assert (tmp_path / place_file(0)).read_text() == "", "who has it writes its process there"


def test_a_job_has_its_share_of_the_cores(job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vivit.launch.side_by_side.allowed_cores", lambda: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    code = "import os, sys; print(os.environ['OMP_NUM_THREADS'], *sys.argv[-2:])"
    cfg = OmegaConf.create({"callbacks": {"progress": {}}, "data": {"num_workers": None}})
    one = job("one", code)
    with side_by_side(2, tmp_path) as pool:
        pool.start(cfg, one)
    assert (one.folder / OUTPUT).read_text().split() == ["4", "callbacks.progress=null", "data.num_workers=4"]


def test_a_number_of_workers_that_is_set_stays() -> None:
    assert quiet_overrides(OmegaConf.create({"callbacks": {}, "data": {"num_workers": 1}}), 1) == []


def test_a_job_on_one_core_has_no_workers() -> None:
    cfg = OmegaConf.create({"callbacks": {}, "data": {"num_workers": None}})
    assert quiet_overrides(cfg, 1) == ["data.num_workers=0"] and quiet_overrides(cfg, 2) == ["data.num_workers=2"]


@pytest.mark.parametrize(
    ("jobs", "launcher"), [(0, "basic"), (True, "basic"), ("2", "basic"), (1.5, "basic"), (2, "submitit_slurm")]
)
def test_numbers_of_jobs_that_cannot_be(jobs: object, launcher: str) -> None:
    from hydra_plugins.row_sweeper import RowSweeper

    sweeper = RowSweeper(jobs=jobs)
    sweeper.config = OmegaConf.create({"hydra": {"runtime": {"choices": {"hydra/launcher": launcher}}}})
    with pytest.raises(ConfigError) as error:
        sweeper._check_jobs()
    assert error.value.key == "hydra.sweeper.jobs"
