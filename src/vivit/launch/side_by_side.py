"""Jobs of a sweep side by side: each a process of its own, no more of them at once than there are places."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vivit.cores import allowed_cores
from vivit.launch.folder_lock import FolderInUseError, lock_folder, release_folder
from vivit.launch.job import Job
from vivit.launch.subprocess_job import check_ended, start_process
from vivit.run_folder import read_finished_results, read_stored_status, top1_name

OUTPUT = "output.txt"
"""File in a job's folder with all that it prints."""
PAUSE = 0.2
"""Seconds between two looks at the processes."""
_active: list["SideBySide"] = []
"""What runs this process's jobs; empty where they run one after the other."""


@dataclass
class RunningJob:
    """A job and its process, the status of its folder before, and when it was started."""

    job: Job
    process: subprocess.Popen
    before: Mapping[str, Any]
    since: float = field(default_factory=time.monotonic)


class SideBySide:
    """Runs jobs as processes, of which this machine has no more at once than ``places``.

    A place is a locked file in ``folder``. Sweeps that are started at once therefore share the places, and one whose
    last jobs still run leaves the others to the next. Each job has an even share of the cores.
    """

    def __init__(self, places: int, folder: Path) -> None:
        self.places, self.folder = places, folder
        self.failed: list[str] = []
        """Names of the jobs that failed."""
        self._running: dict[int, RunningJob] = {}

    def start(self, cfg: DictConfig, job: Job) -> None:
        """Start a job once there is a place, and return while it runs. Raises RuntimeError if its folder is in use."""
        place = self._free_place()
        try:
            lock_folder(job.folder)  # its process locks it again
            release_folder(job.folder)
            with (job.folder / OUTPUT).open("ab") as output:
                before, share = read_stored_status(job.folder), max(1, len(allowed_cores()) // self.places)
                env = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(share))}
                process = start_process(job, *quiet_overrides(cfg, share), env=env, output=output)
            self._running[place] = RunningJob(job, process, before)
        except FolderInUseError as error:
            raise RuntimeError(str(error)) from None
        finally:
            if place not in self._running:
                release_folder(self.folder, place_file(place))
        _print(f"{_name(job)}: started")

    def wait(self) -> None:
        """Wait until no job runs any more."""
        while self._running:
            self._collect()
            time.sleep(PAUSE if self._running else 0)

    def end(self) -> None:
        """End the jobs that run, each once its checkpoint is written; kill them where this is interrupted too."""
        try:
            if self._running:
                _print(f"interrupted: {len(self._running)} running jobs write their checkpoints and end")
            for running in self._running.values():
                running.process.terminate()
            for running in self._running.values():
                running.process.wait()
        finally:
            for place, running in self._running.items():
                running.process.kill()
                release_folder(self.folder, place_file(place))
            self._running.clear()

    def _free_place(self) -> int:
        """Return a place that no process has, once there is one; it is locked."""
        while True:
            self._collect()
            for place in (place for place in range(self.places) if place not in self._running):
                try:
                    lock_folder(self.folder, place_file(place))
                except FolderInUseError:
                    continue
                return place
            time.sleep(PAUSE)

    def _collect(self) -> None:
        """Print how jobs ended, and free their places."""
        for place, running in list(self._running.items()):
            if (code := running.process.poll()) is None:
                continue
            del self._running[place]
            release_folder(self.folder, place_file(place))
            try:
                check_ended(running.job, code, running.before)
            except RuntimeError as error:
                self.failed.append(running.job.folder.name)
                _print(f"{_name(running.job)}: failed: {error} (see {running.job.folder / OUTPUT})")
            else:
                results = read_finished_results(running.job.folder) or {}
                top1 = (results.get("metrics") or {}).get(top1_name(results))
                accuracy = "" if top1 is None else f" with top-1 {100 * top1:.1f} %"
                _print(f"{_name(running.job)}: done{accuracy} in {(time.monotonic() - running.since) / 60:.1f} min")


@contextmanager
def side_by_side(places: int, folder: Path) -> Iterator[SideBySide]:
    """Have this process's jobs run side by side, and wait for them; end them where an exception leaves the context."""
    folder.mkdir(parents=True, exist_ok=True)
    pool = SideBySide(places, folder)
    _active.append(pool)
    try:
        yield pool
        pool.wait()
    finally:
        _active.remove(pool)
        pool.end()


def active_pool() -> SideBySide | None:
    """Return what runs this process's jobs side by side; None where they run one after the other."""
    return _active[-1] if _active else None


def quiet_overrides(cfg: DictConfig, share: int) -> list[str]:
    """Return what a job beside others is started with: no progress bar, and as many workers as it has cores.

    On one core it has none: a worker would take from the training what it gives. A number that is set stays as it is.
    """
    overrides = []
    if OmegaConf.select(cfg, "callbacks.progress") is not None:
        overrides.append("callbacks.progress=null")
    if "num_workers" in (cfg.get("data") or {}) and cfg.data.num_workers is None:
        overrides.append(f"data.num_workers={share if share > 1 else 0}")
    return overrides


def place_file(place: int) -> str:
    """Return the name of the file that is a place on this machine, whose disk others may share."""
    return f".place-{socket.gethostname()}-{place}"


def _name(job: Job) -> str:
    return f"{job.sweep}/{job.folder.name}"


def _print(line: str) -> None:
    print(f"{datetime.now():%H:%M:%S} {line}", flush=True)
