"""Run a task in its folder: lock, status, record, and errors as one line."""

import logging
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vivit.errors import ConfigError
from vivit.launch.folder_lock import FolderInUseError, lock_folder, release_folder
from vivit.launch.job import Job
from vivit.launch.launcher_checks import COMMANDS, check_launcher
from vivit.launch.meeting import meet
from vivit.launch.quiet_libraries import quiet_libraries
from vivit.launch.records import check_same_job, read_record, write_job_file, write_record
from vivit.launch.resume import load_resumed_config
from vivit.launch.side_by_side import active_pool
from vivit.launch.subprocess_job import needs_subprocess, run_in_subprocess
from vivit.launch.trainer_checks import check_trainer
from vivit.launch.typed_rate import prefer_typed_rate, typed_overrides
from vivit.launch.typed_values import parse_typed_values
from vivit.launch.user_errors import format_error, is_user_error
from vivit.plugins import import_plugins
from vivit.ranks import in_slurm_job, is_rank_zero
from vivit.run_folder import (
    RANK_ERROR,
    State,
    read_finished_results,
    read_stored_status,
    write_rank_error,
    write_status,
)
from vivit.signals import DEFERRED_SIGNALS, TERMINATION_SIGNALS, install_exit_handlers

log = logging.getLogger(__name__)

Task = Callable[[DictConfig, Job], Mapping[str, float]]
OPTIMIZED_METRICS = ("test/map", "test/acc_top1", "val/map", "val/acc_top1")
"""What a sweeper maximises: the first of them that a run has."""


def run(task: Task, cfg: DictConfig) -> float | None:
    """Run a task in its folder, keep its status there, and return the metric that a sweeper may maximise.

    An error that a user can mend is printed as one line. A single run that fails ends the process with exit code 1; a
    job of a sweep raises, and Hydra continues with the next. A job that is done, or that has a record where those
    count, is skipped. One that runs beside others is started, and its metric not waited for. SIGTERM, Ctrl-C and a
    closed terminal end the process with exit codes 143, 130 and 129, in training after a checkpoint is written.
    """
    quiet_libraries()
    logging.raiseExceptions = False  # a full disk is reported once, not by every line of the log
    job = Job.current(cfg)
    resumes = bool(cfg.get("resume"))
    if resumes:
        cfg, job = load_resumed_config(cfg, job)
    prefer_typed_rate(cfg, typed_overrides(job))
    if not resumes and job.sweep is not None:
        try:
            check_same_job(cfg, job)
        except ConfigError as error:  # of this command: the run stays as it is
            log.error("%s is not started: %s", job.folder.name, error)
            raise RuntimeError(str(error)) from None
    if not cfg.get("resume") and job.sweep is not None and (results := read_finished_results(job.folder)):
        log.info("%s is done, skipped; delete its folder to run it again", job.folder.name)
        write_record(cfg, job)
        return optimized_metric(results["metrics"])
    checked = _checked(task, cfg)
    if checked is task and not cfg.get("resume") and (record := read_record(cfg, job)):
        log.info("%s is recorded in %s, skipped", job.folder.name, cfg.records)
        return optimized_metric(record["metrics"])
    if isinstance(checked, Refusal) and job.resumes and read_stored_status(job.folder).get("status") == "done":
        raise SystemExit(f"error: {format_error(checked.error)}")  # of this command, not of the run
    install_exit_handlers(DEFERRED_SIGNALS if in_slurm_job() else TERMINATION_SIGNALS)
    if checked is task and (pool := active_pool()) is not None:
        pool.start(cfg, job)
        return None
    if checked is task and needs_subprocess(cfg):
        run_in_subprocess(job)
        return optimized_metric((read_finished_results(job.folder) or {"metrics": {}})["metrics"])
    if HydraConfig.get().job.config_name in COMMANDS:
        meet(job.folder)
    if not is_rank_zero():
        return optimized_metric(_run_other_rank(checked, cfg, job))
    with locked(job):
        return optimized_metric(_run_rank_zero(checked, cfg, job))


def optimized_metric(metrics: Mapping[str, float]) -> float | None:
    """Return the metric that a sweeper may maximise; None where a run has none."""
    return next((metrics[name] for name in OPTIMIZED_METRICS if name in metrics), None)


def _checked(task: Task, cfg: DictConfig) -> Task:
    """Return the task or, where the configuration has an impossible value, a task that raises its error."""
    try:
        import_plugins(cfg.get("plugins"))
        parse_typed_values(cfg)
        check_trainer(cfg)
        check_launcher(cfg, HydraConfig.get().job.config_name)
    except ValueError as error:
        return Refusal(error)
    return task


@dataclass(frozen=True)
class Refusal:
    """A task that raises the error which keeps the real one from beginning."""

    error: Exception

    def __call__(self, cfg: DictConfig, job: Job) -> Mapping[str, float]:
        """Raise the error."""
        raise self.error


@contextmanager
def locked(job: Job) -> Iterator[None]:
    """Lock a job's folder for this process; that of a single run was locked before anything was written there."""
    try:
        lock_folder(job.folder)
    except FolderInUseError as error:
        raise RuntimeError(str(error)) from None
    try:
        yield
    finally:
        release_folder(job.folder)


def _run_other_rank(task: Task, cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Run a task in a rank that leaves the folder and the terminal to the first."""
    logging.getLogger().setLevel(logging.WARNING)
    try:
        return task(cfg, job)
    except SystemExit:
        raise SystemExit(0) from None  # Lightning kills the first rank, which still saves, where another has failed
    except Exception as error:
        if getattr(error, "on_every_rank", False):
            raise SystemExit(0) from None  # the first rank prints it
        write_rank_error(job.folder, format_error(error))
        raise SystemExit(f"error in another rank: {format_error(error)}") from None


def _run_rank_zero(task: Task, cfg: DictConfig, job: Job) -> Mapping[str, float]:
    (job.folder / RANK_ERROR).unlink(missing_ok=True)  # of an earlier start
    write_status(job.folder, "running")
    try:
        write_job_file(cfg, job)
        metrics = task(cfg, job)
    except (SystemExit, KeyboardInterrupt) as stopped:
        code = stopped.code if isinstance(stopped, SystemExit) else 128 + signal.SIGINT
        _note(job.folder, "interrupted", f"ended with exit code {code}")
        log.warning("interrupted; %s", f"go on with resume={job.folder}" if "resume" in cfg else "start it again")
        raise SystemExit(code) from None
    except BaseException as error:
        noted = _note(job.folder, "failed", format_error(error), traceback.format_exc())
        message = format_error(error)
        if not job.folder.is_dir():
            message = f"the run folder {job.folder} is gone: {message}"
        if job.sweep is not None:  # Hydra prints it again when the sweep is over
            log.error("%s failed: %s", job.folder.name, message)
        if not is_user_error(error):
            raise
        if job.sweep is not None:
            raise RuntimeError(message) from error
        where = f"\n(the traceback is in {job.folder / 'error.txt'})" if noted else ""
        raise SystemExit(f"\nerror: {message}{where}") from None  # below what a progress bar left
    write_status(job.folder, "done")
    write_record(cfg, job)
    return metrics


def _note(folder: Path, status: State, error: str, trace: str | None = None) -> bool:
    """Write the error into the run folder; return whether it could be written."""
    try:
        write_status(folder, status, error)
        if trace is not None:
            (folder / "error.txt").write_text(trace, encoding="utf-8")
    except OSError:
        return False
    return True
