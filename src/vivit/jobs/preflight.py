"""What is checked before Hydra makes a run folder or writes to it."""

from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from vivit.jobs.naming import register_resolvers
from vivit.jobs.resume import check_resume


class Preflight(Callback):
    """Checks that the run folder can be made and written to, and that a run to go on with is one.

    A launcher that has jobs run elsewhere pickles it with all that Hydra knows; where it arrives, configurations are
    about to be read.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the folder of a single run."""
        if config.get("resume"):
            check_resume(Path(config.resume), list(config.hydra.overrides.task))
        check_writable(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the folder of a sweep."""
        if config.get("resume"):
            raise SystemExit("error: resume goes on with one run; to go on with a sweep, start it again as it was")
        check_writable(Path(config.hydra.sweep.dir))

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive, ()


def _arrive() -> Preflight:
    register_resolvers()
    return Preflight()


def check_writable(folder: Path) -> None:
    """End the process with one line where a folder cannot be made or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SystemExit(
            f"error: the run folder {folder} cannot be written ({error.strerror}); set paths.logs to a folder that can"
        ) from None
