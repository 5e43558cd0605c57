"""The sweeper of ``sweep=``: a job for every row of a file in ``configs/sweep``, and every seed.

It lies here because Hydra takes sweepers from this namespace alone.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from vivit.errors import ConfigError
from vivit.launch.job_identity import configured_sweep
from vivit.launch.side_by_side import side_by_side
from vivit.launch.sweep_jobs import sweep_jobs
from vivit.launch.user_errors import exit_on_user_error


class RowSweeper(Sweeper):
    """Launches the jobs of a sweep's rows.

    ``content`` is that of the sweep's file with its interpolations resolved. It is read from the configuration instead,
    as it is written, because each job resolves its own. ``jobs`` is how many run side by side.
    """

    def __init__(self, jobs: Any = 1, **content: Any) -> None:
        self.jobs = jobs
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

        Ends the process, with one line, where the rows do not allow what is typed, and where jobs failed that ran side
        by side.
        """
        assert self.config is not None
        assert self.launcher is not None
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        sweep, typed = configured_sweep(self.config.hydra), parser.parse_overrides(arguments)
        assert sweep is not None
        exit_on_user_error(self._check_jobs)
        jobs = exit_on_user_error(lambda: sweep_jobs(sweep, typed))
        self.validate_batch_is_legal(jobs)
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        if self.jobs > 1:
            return [self._launch_side_by_side(sweep.name, jobs)]
        results = self.launcher.launch(jobs, initial_job_idx=0)
        for result in results:
            _ = result.return_value  # raises where the job failed, behind all others
        return [results]

    def _launch_side_by_side(self, sweep: str, jobs: Sequence[Sequence[str]]) -> Sequence[JobReturn]:
        """Launch all jobs, ``self.jobs`` at a time; end the process, with their names, where some failed."""
        assert self.config is not None
        assert self.launcher is not None
        logging.getLogger(type(self.launcher).__module__).setLevel(logging.WARNING)  # it has a line for each, too early
        print(f"{sweep}: {len(jobs)} jobs, {self.jobs} side by side", flush=True)
        with side_by_side(self.jobs, Path(self.config.paths.logs)) as pool:
            results = self.launcher.launch(jobs, initial_job_idx=0)
        failed = [str(result.working_dir) for result in results if result.status == JobStatus.FAILED]
        if failed := [*(Path(folder).name for folder in failed), *pool.failed]:
            raise SystemExit(f"error: {sweep}: {len(failed)} of {len(jobs)} jobs failed: {', '.join(sorted(failed))}")
        return results

    def _check_jobs(self) -> None:
        """Raise ConfigError for a number of jobs side by side that cannot be."""
        assert self.config is not None
        key = "hydra.sweeper.jobs"
        if type(self.jobs) is not int or self.jobs < 1:
            raise ConfigError(key, self.jobs, "is no number of jobs", "set a whole number, 1 or more")
        launcher = self.config.hydra.runtime.choices["hydra/launcher"]
        if self.jobs > 1 and launcher != "basic":
            raise ConfigError(key, self.jobs, f"is for this machine, not for hydra/launcher={launcher}", "set 1")
