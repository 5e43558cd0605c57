"""What surrounds a run's configuration: its folder, its sweep, the options and overrides of its command."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from vivit.launch.job_identity import JobIdentity, job_identity, task_overrides
from vivit.overrides import distinguishing_overrides, matches_key
from vivit.ranks import named_run, rank_group


@dataclass(frozen=True)
class Job:
    """A run's folder, the options of its groups, its overrides, and the sweep that it is part of.

    ``resumes`` means that the run starts from the last checkpoint of its own folder, wherever there is one.
    ``identity`` is what a job of a row is found again by.
    """

    folder: Path
    choices: Mapping[str, str | None]
    overrides: list[str]
    sweep: str | None
    resumes: bool = False
    identity: JobIdentity | None = None

    def cli_overrides(self, *keys: str) -> list[str]:
        """Return the overrides of some keys and those below them that the command line sets itself."""
        return [override for override in self.overrides if matches_key(override, keys)]

    @classmethod
    def current(cls, cfg: DictConfig) -> "Job":
        """Return the job that Hydra runs now, with its configuration.

        A job of a sweep that is started again resumes, and so does a run that a launcher or a queue starts again: its
        folder, where it has a checkpoint, is its own.
        """
        hydra: Any = HydraConfig.get()
        folder = Path(hydra.runtime.output_dir)
        sweep = sweep_of(folder, str(hydra.mode), hydra.sweep.dir)
        return cls(
            folder,
            dict(hydra.runtime.choices),
            task_overrides(hydra),
            sweep,
            resumes=sweep is not None or rank_group() is not None or named_run() is not None,
            identity=job_identity(cfg, hydra) if sweep is not None else None,
        )

    @property
    def group(self) -> str:
        """Name of the runs that differ in nothing but their seed: one row of a table."""
        if self.identity is not None:
            return " ".join([self.identity.row, *self.identity.extra])
        return " ".join(text.lstrip("+") for text in distinguishing_overrides(self.overrides)) or "default"


def sweep_of(folder: Path, mode: Any, sweep_dir: str | None) -> str | None:
    """Return the name of a run folder's sweep; None for a single run.

    A job that runs as a command of its own is a single run to Hydra, in a folder of the sweep.
    """
    if str(mode).endswith(RunMode.MULTIRUN.name):
        return Path(sweep_dir).name if sweep_dir else folder.parent.name
    return folder.parent.name if sweep_dir and Path(sweep_dir).absolute() == folder.absolute().parent else None
