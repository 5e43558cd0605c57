"""What happens where a multirun of train.py ends, however it ends: its summary is written and printed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig

from vivit.ranks import is_rank_zero

SUMMARIZED = "train"
"""The command whose multiruns have a summary."""
_folders: list[Path] = []
_jobs: list[Path] = []


def begin_multirun(config: DictConfig) -> None:
    """Note the folder of the multirun that begins in this process."""
    if config.hydra.job.name == SUMMARIZED and is_rank_zero():
        _folders.append(Path(config.hydra.sweep.dir))


def begin_job(config: DictConfig) -> None:
    """Note the folder of a job, which has its place in the summary by it."""
    if _folders:
        _jobs.append(Path(config.hydra.runtime.output_dir))


@contextmanager
def summary_at_end() -> Iterator[None]:
    """Summarise the multirun that began in this context, after jobs that failed, and a Ctrl-C, too.

    A summary that cannot be made is one line, and changes neither the exit code nor an exception.
    """
    _folders.clear()  # of a multirun that began in no such context
    _jobs.clear()
    try:
        yield
    finally:
        folders, jobs = _folders.copy(), _jobs.copy()
        _folders.clear()
        _jobs.clear()
        for folder in folders:
            from vivit.reporting.multirun import summarize_multirun

            try:
                summarize_multirun(folder, jobs)
            except Exception as error:
                print(f"no summary of {folder}: {type(error).__name__}: {' '.join(str(error).split())}", flush=True)
