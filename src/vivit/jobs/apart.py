"""A job of a sweep as a command of its own."""

import ctypes
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from vivit.jobs.command import CONFIGS
from vivit.jobs.job import Job
from vivit.runfolder import read_status, write_status
from vivit.signals import DeferredSignals

log = logging.getLogger(__name__)

SWEEP_ONLY = ("hydra/launcher", "hydra/sweeper", "hydra.launcher", "hydra.sweeper", "hydra.mode", "hydra.sweep.")
"""What was said to Hydra about the sweep and not about its jobs."""
PR_SET_PDEATHSIG = 1


def needs_own_process(cfg: DictConfig) -> bool:
    """Whether Lightning will start several ranks of a job of a sweep.

    It does so by repeating the command line of the process that it is in, and that of a sweep would run all of the
    sweep again in every rank. Where a cluster has started the ranks, nothing is repeated.
    """
    if HydraConfig.get().mode != RunMode.MULTIRUN or int(os.environ.get("SLURM_NTASKS", 1)) > 1:
        return False
    return several_ranks(cfg)


def several_ranks(cfg: DictConfig) -> bool:
    """Whether a configuration asks for more than one rank, or leaves it to Lightning how many."""
    trainer = cfg.get("trainer")
    return trainer is not None and (str(trainer.get("devices", "auto")) != "1" or trainer.get("num_nodes", 1) != 1)


def run_apart(job: Job) -> None:
    """Run a job by the command line that a user would type for it alone, in the same folder, and wait for it.

    It is told of a signal, and waited for while it saves; it does not outlive this process. Where it was killed, its
    status says so.
    """
    signals = DeferredSignals()
    signals.save_handlers()
    signals.install()
    # a session of its own: Ctrl-C reaches this process, which passes it on once
    with subprocess.Popen(
        command(job), start_new_session=True, preexec_fn=_end_with_parent, env=environment()
    ) as process:
        try:
            code = _wait(process, signals)
        except BaseException:
            process.kill()
            raise
    signals.restore()
    if signals.caught is not None:
        signals.reraise(signals.caught)
    if code == 0:
        return
    told = read_status(job.folder)
    if told.get("status") != "failed":
        reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        told = write_status(job.folder, "failed", reason)
    raise RuntimeError(told["error"])


def _wait(process: subprocess.Popen, signals: DeferredSignals) -> int:
    told = False
    while True:
        try:
            return process.wait(0.2)
        except subprocess.TimeoutExpired:
            if signals.caught is not None and not told:
                process.send_signal(signal.SIGTERM)
                told = True


def command(job: Job) -> list[str]:
    """Write the command line of a job."""
    hydra = HydraConfig.get()
    ours = [override for override in hydra.overrides.hydra if not override.startswith(SWEEP_ONLY)]
    folders = {"hydra.run.dir": job.folder, "hydra.sweep.dir": job.folder.parent}
    where = [f"{key}={quoted(folder)}" for key, folder in folders.items()]
    script = Path(__file__).parents[2] / f"{hydra.job.name}.py"
    started = str(script) if script.is_file() else sys.argv[0]  # a queue starts its own script, which has our task run
    start = [sys.executable, started, f"--config-name={hydra.job.config_name}", *configurations()]
    return [*start, *job.overrides, *ours, "hydra.mode=RUN", *where]


def configurations() -> list[str]:
    """Write where a command looks for configurations, beside the places where it does so by itself."""
    options = {"main": "--config-path", "command-line": "--config-dir"}
    sources = HydraConfig.get().runtime.config_sources
    given = [(options[source.provider], source.path) for source in sources if source.provider in options]
    return [f"{option}={path}" for option, path in given if Path(path).absolute() != CONFIGS]


def quoted(path: Path) -> str:
    """Write a path so that Hydra reads nothing into it."""
    escaped = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def environment() -> dict[str, str]:
    """Give a job this environment, save that of a cluster's single task, within which Lightning starts no ranks."""
    return {name: value for name, value in os.environ.items() if name not in ("SLURM_NTASKS", "SLURM_JOB_NAME")}


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
