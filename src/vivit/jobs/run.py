"""Run a task in its folder."""

import logging
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from vivit.jobs.apart import needs_own_process, run_apart, several_ranks
from vivit.jobs.booleans import settle_booleans
from vivit.jobs.errors import explain, mendable
from vivit.jobs.guard import guarded, leave_word
from vivit.jobs.job import Job
from vivit.jobs.owner import TakenError, give_back, take
from vivit.jobs.records import keep_record, recorded
from vivit.jobs.resume import own
from vivit.jobs.trainer import check_trainer
from vivit.runfolder import State, finished, leads, write_status
from vivit.signals import install_exit_handlers

log = logging.getLogger(__name__)

Task = Callable[[DictConfig, Job], Mapping[str, float]]
OPTIMISED = "test/acc_top1"


def run(task: Task, cfg: DictConfig) -> float | None:
    """Run a task in its folder, keep its status there, and say in one line what a user can mend.

    A single run that fails ends the process with exit code 1; a job of a sweep raises, and Hydra goes on with the
    next. A job that is done, or has a record where those count, is skipped: its folder's name holds a hash of all that
    decides its result. SIGTERM, Ctrl-C and a closed terminal end the process with exit codes 143, 130 and 129, in
    training after a checkpoint is written.
    """
    logging.raiseExceptions = False  # a full disk is told once, not by every line of the log
    job = Job.current()
    if cfg.get("resume"):
        cfg, job = own(cfg, job)
    elif job.sweep is not None and (done := finished(job.folder)):
        log.info("%s is done, skipped; delete its folder to run it again", job.folder.name)
        keep_record(cfg, job)
        return done["metrics"].get(OPTIMISED)
    checked = _checked(task, cfg)
    if checked is task and not cfg.get("resume") and (kept := recorded(cfg, job)):
        log.info("%s is recorded in %s, skipped", job.folder.name, cfg.records)
        return kept["metrics"].get(OPTIMISED)
    install_exit_handlers()
    if checked is task and needs_own_process(cfg):
        run_apart(job)
        return (finished(job.folder) or {"metrics": {}})["metrics"].get(OPTIMISED)
    if not leads():
        return _follow(checked, cfg, job).get(OPTIMISED)
    with owned(job), guarded(job.folder, goes_on="resume" in cfg) if several_ranks(cfg) else nullcontext():
        return _lead(checked, cfg, job).get(OPTIMISED)


def _checked(task: Task, cfg: DictConfig) -> Task:
    """Settle what a configuration says; return the task or, where something cannot be, one that says so."""
    try:
        settle_booleans(cfg)
        check_trainer(cfg)
    except ValueError as error:
        return partial(_refused, error)
    return task


def _refused(error: Exception, cfg: DictConfig, job: Job) -> Mapping[str, float]:
    raise error


@contextmanager
def owned(job: Job) -> Iterator[None]:
    """Have a job's folder for this process alone; of a single run it was taken before anything was written there."""
    try:
        take(job.folder)
    except TakenError as error:
        raise RuntimeError(str(error)) from None
    try:
        yield
    finally:
        give_back(job.folder)


def _follow(task: Task, cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Run a task in a rank that leaves the folder and the talking to the first."""
    logging.getLogger().setLevel(logging.WARNING)
    try:
        return task(cfg, job)
    except SystemExit:
        raise SystemExit(0) from None  # Lightning kills the first rank, which still saves, where another has failed
    except Exception as error:
        if getattr(error, "on_every_rank", False):
            raise SystemExit(0) from None  # the first rank tells it
        leave_word(job.folder, explain(error))
        raise SystemExit(f"error in another rank: {explain(error)}") from None


def _lead(task: Task, cfg: DictConfig, job: Job) -> Mapping[str, float]:
    write_status(job.folder, "running")
    try:
        metrics = task(cfg, job)
    except (SystemExit, KeyboardInterrupt) as stopped:
        code = stopped.code if isinstance(stopped, SystemExit) else 128 + signal.SIGINT
        _note(job.folder, "interrupted", f"ended with exit code {code}")
        log.warning("interrupted; %s", f"go on with resume={job.folder}" if "resume" in cfg else "start it again")
        raise SystemExit(code) from None
    except BaseException as error:
        noted = _note(job.folder, "failed", explain(error), traceback.format_exc())
        said = explain(error) if job.folder.is_dir() else f"the run folder {job.folder} is gone: {explain(error)}"
        if job.sweep is not None:  # Hydra tells it again when the sweep is over
            log.error("%s failed: %s", job.folder.name, said)
        if not mendable(error):
            raise
        if job.sweep is not None:
            raise RuntimeError(said) from error
        where = f"\n(the traceback is in {job.folder / 'error.txt'})" if noted else ""
        raise SystemExit(f"\nerror: {said}{where}") from None  # behind what a progress bar left
    write_status(job.folder, "done")
    keep_record(cfg, job)
    return metrics


def _note(folder: Path, status: State, error: str, trace: str | None = None) -> bool:
    """Leave the error in the run folder, if that can still be written; say whether it could."""
    try:
        write_status(folder, status, error)
        if trace is not None:
            (folder / "error.txt").write_text(trace, encoding="utf-8")
    except OSError:
        return False
    return True
