"""What is checked before Hydra makes a run folder or writes to it."""

from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from vivit.jobs.naming import register_resolvers
from vivit.jobs.resume import check_resume

DEFAULT_SCALE = "laptop"


class Preflight(Callback):
    """Checks that the run folder can be made and written to, that a run to go on with is one, and a sweep's scale.

    A launcher that has jobs run elsewhere pickles it with all that Hydra knows; where it arrives, configurations are
    about to be read.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the folder of a single run."""
        if config.get("resume"):
            check_resume(Path(config.resume), list(config.hydra.overrides.task))
        check_scale(config)
        check_writable(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check the folder of a sweep."""
        if config.get("resume"):
            raise SystemExit("error: resume goes on with one run; to go on with a sweep, start it again as it was")
        check_scale(config)
        check_writable(Path(config.hydra.sweep.dir))

    def __reduce__(self) -> tuple[Any, ...]:
        return _arrive, ()


def _arrive() -> Preflight:
    register_resolvers()
    return Preflight()


def check_scale(config: DictConfig) -> None:
    """End the process with one line where a scale is asked for that nothing here has."""
    choices = config.hydra.runtime.choices
    sweep, scale = choices.get("sweep"), choices.get("scale")
    if scale in (None, DEFAULT_SCALE):
        return
    if sweep is None:
        raise SystemExit(f"error: scale={scale} is for sweeps; a single run as published is an experiment: experiment=")
    (configs,) = (Path(source.path) for source in config.hydra.runtime.config_sources if source.provider == "main")
    if not (configs / "sweep_scale" / f"{sweep}_{scale}.yaml").is_file():
        raise SystemExit(f"error: sweep={sweep} has no scale={scale}: it answers no table of the paper")


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
