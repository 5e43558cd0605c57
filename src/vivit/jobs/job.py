"""What is known of a run beside its configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode


@dataclass(frozen=True)
class Job:
    """A run's folder, the options chosen, the overrides that were typed, and the sweep that it is part of.

    ``goes_on`` says that the run starts from the last checkpoint of its own folder, wherever there is one.
    """

    folder: Path
    choices: Mapping[str, str | None]
    overrides: list[str]
    sweep: str | None
    goes_on: bool = False

    def typed(self, *keys: str) -> list[str]:
        """Give what the command line says of keys and those below them; data sets and experiments may set them too."""
        names = [(override, override.lstrip("+~").partition("=")[0]) for override in self.overrides]
        return [said for said, name in names if name in keys or name.startswith(tuple(f"{key}." for key in keys))]

    @classmethod
    def current(cls) -> "Job":
        """Ask Hydra. A job of a sweep that was started once more goes on where it was."""
        hydra = HydraConfig.get()
        folder = Path(hydra.runtime.output_dir)
        sweep = sweep_of(folder, str(hydra.mode), hydra.sweep.dir)
        return cls(folder, dict(hydra.runtime.choices), list(hydra.overrides.task), sweep, goes_on=sweep is not None)


def sweep_of(folder: Path, mode: Any, sweep_dir: str | None) -> str | None:
    """Name the sweep of a run folder; None for a single run.

    A job that runs as a command of its own is a single run to Hydra, in a folder of the sweep.
    """
    if str(mode).endswith(RunMode.MULTIRUN.name):
        return Path(sweep_dir).name if sweep_dir else folder.parent.name
    return folder.parent.name if sweep_dir and Path(sweep_dir).absolute() == folder.absolute().parent else None
