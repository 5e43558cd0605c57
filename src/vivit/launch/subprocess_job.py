"""Run a job of a sweep as a command of its own: where it has several ranks, or runs beside others."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vivit.config_folder import CONFIGS
from vivit.entry_points import start_arguments
from vivit.launch.folder_lock import FolderInUseError, lock_folder, release_folder
from vivit.launch.job import Job
from vivit.overrides import quote_value
from vivit.ranks import rank_group
from vivit.run_folder import error_of_killed, read_stored_status, write_status
from vivit.signals import DeferredSignals

log = logging.getLogger(__name__)

SWEEP_ONLY = ("hydra/launcher", "hydra/sweeper", "hydra.launcher", "hydra.sweeper", "hydra.mode", "hydra.sweep.")
"""Overrides of Hydra that are about the sweep and not about its jobs."""
PR_SET_PDEATHSIG = 1


def needs_subprocess(cfg: DictConfig) -> bool:
    """Whether Lightning will start several ranks of a job of a sweep.

    It repeats the command line of the process that it is in, and that of a sweep would run all of the sweep again in
    every rank. Where a launcher has started the ranks, nothing is repeated.
    """
    if HydraConfig.get().mode != RunMode.MULTIRUN or rank_group() is not None:
        return False
    trainer = cfg.get("trainer")
    return trainer is not None and (str(trainer.get("devices", "auto")) != "1" or trainer.get("num_nodes", 1) != 1)


def run_in_subprocess(job: Job) -> None:
    """Run a job by the command line that a user would type for it alone, in the same folder, and wait for it.

    Forwards signals, waits while the job saves its checkpoint, and kills it if this process dies. Raises RuntimeError
    where it failed; one that was killed gets a status.
    """
    before = read_stored_status(job.folder)
    signals = DeferredSignals()
    signals.save_handlers()
    signals.install()
    with start_process(job) as process:
        try:
            code = _wait(process, signals)
        except BaseException:
            process.kill()
            raise
    signals.restore()
    if signals.caught is not None:
        signals.reraise(signals.caught)
    check_ended(job, code, before)


def start_process(
    job: Job, *overrides: str, env: Mapping[str, str] | None = None, output: IO[bytes] | None = None
) -> subprocess.Popen:
    """Start a job as a command of its own, in a session of its own, which Ctrl-C does not reach; return the process.

    ``env`` are further variables of its environment, ``output`` is where all goes that it prints.
    """
    return subprocess.Popen(
        [*command_of(job), *overrides],
        start_new_session=True,
        preexec_fn=_end_with_parent,
        env=os.environ | dict(env or {}),
        stdin=None if output is None else subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
    )


def check_ended(job: Job, code: int, before: Mapping[str, Any]) -> None:
    """Raise RuntimeError where a job's process failed, whose folder had the status ``before``.

    One that was killed gets a status, unless another process works in its folder.
    """
    if code == 0:
        return
    status = read_stored_status(job.folder)
    if status.get("status") != "failed" or status == before:
        reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        begun = status.get("status") == "running" and status != before
        reason = f"{reason}: {error_of_killed(job.folder)}" if begun else reason
        try:
            lock_folder(job.folder)
        except FolderInUseError as error:
            raise RuntimeError(str(error)) from None
        status = write_status(job.folder, "failed", reason)
        release_folder(job.folder)
    raise RuntimeError(status["error"])


def _wait(process: subprocess.Popen, signals: DeferredSignals) -> int:
    forwarded = False
    while True:
        try:
            return process.wait(0.2)
        except subprocess.TimeoutExpired:
            if signals.caught is not None and not forwarded:
                process.send_signal(signal.SIGTERM)
                forwarded = True


def command_of(job: Job) -> list[str]:
    """Return the command line of a job."""
    hydra = HydraConfig.get()
    typed: Any = OmegaConf.to_container(hydra.overrides.hydra, resolve=False)
    hydra_overrides = [override for override in typed if not override.startswith(SWEEP_ONLY)]
    folders = {"hydra.run.dir": job.folder, "hydra.sweep.dir": job.folder.parent}
    program = start_arguments(hydra.job.name) or [sys.argv[0]]  # a queue starts its own script, which runs our task
    start = [sys.executable, *program, f"--config-name={hydra.job.config_name}", *config_options()]
    quoted = [f"{key}={quote_value(str(folder))}" for key, folder in folders.items()]
    return [*start, *job.overrides, *hydra_overrides, "hydra.mode=RUN", *quoted]


def config_options() -> list[str]:
    """Return the options that name folders of configurations, beside the one that a command reads by itself."""
    options = {"main": "--config-path", "command-line": "--config-dir"}
    sources = HydraConfig.get().runtime.config_sources
    named = [(options[source.provider], source.path) for source in sources if source.provider in options]
    return [f"{option}={path}" for option, path in named if Path(path).absolute() != CONFIGS]


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
