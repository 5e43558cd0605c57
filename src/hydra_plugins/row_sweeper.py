"""The sweeper of ``sweep=``: a job for every row of a file in ``configs/sweep``, and every seed.

It lies here because Hydra takes sweepers from this namespace alone.
"""

from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from vivit.launch.job_identity import configured_sweep
from vivit.launch.preflight import exit_on_user_error
from vivit.launch.sweep_jobs import sweep_jobs


class RowSweeper(Sweeper):
    """Launches the jobs of a sweep's rows.

    ``content`` is that of the sweep's file with its interpolations resolved. It is read from the configuration instead,
    as it is written, because each job resolves its own.
    """

    def __init__(self, **content: Any) -> None:
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None
        self.hydra_context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store what Hydra hands over, and make the launcher."""
        self.config, self.hydra_context = config, hydra_context
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[Any]:
        """Launch all jobs; return what they return, and raise what the first raised that failed.

        Ends the process, with one line, where the rows do not allow what is typed.
        """
        assert self.config is not None
        assert self.launcher is not None
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        sweep, typed = configured_sweep(self.config.hydra), parser.parse_overrides(arguments)
        assert sweep is not None
        jobs = exit_on_user_error(lambda: sweep_jobs(sweep, typed))
        self.validate_batch_is_legal(jobs)
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        results = self.launcher.launch(jobs, initial_job_idx=0)
        for result in results:
            _ = result.return_value  # raises where the job failed, behind all others
        return [results]
