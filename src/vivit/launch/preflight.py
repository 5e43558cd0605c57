"""Checks before Hydra makes a run folder or writes to it."""

import logging
from functools import partial
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from vivit.addresses import check_address
from vivit.errors import ConfigError
from vivit.launch.find_folder import agreed, run_folder, sweep_folder
from vivit.launch.job_identity import configured_sweep, task_overrides
from vivit.launch.launcher_checks import check_launcher, check_queue, check_restarts, check_slurm, fix_ranks
from vivit.launch.multirun_end import begin_job, begin_multirun
from vivit.launch.resolvers import register_resolvers
from vivit.launch.resume import check_resume
from vivit.launch.typed_rate import prefer_typed_rate
from vivit.launch.typed_values import parse_typed_values
from vivit.launch.user_errors import exit_on_user_error, missing_value
from vivit.overrides import quote_value
from vivit.ranks import is_rank_zero, rank_group
from vivit.sweeps import SCALES

log = logging.getLogger(__name__)

SLOW_TO_START = ("train", "eval", "features")
"""Commands that load torch and Lightning."""
ROOTLESS = ("convert",)
"""Commands that take the settings of a data set without its videos."""


class Preflight(Callback):
    """Finds the run folder, and checks what can be checked before anything is written.

    That the folder can be made and written to, contains nothing that would be lost, and is this process's alone; that a
    run to resume is one; a sweep's scale. A launcher that has jobs run elsewhere pickles it with all that Hydra knows;
    where it arrives, configurations are about to be read.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Find the folder of a single run."""
        exit_on_user_error(lambda: check_run(config))
        with open_dict(config), read_write(config):
            config.hydra.run.dir = str(agreed(config, "run", partial(run_folder, config)))
            if not is_rank_zero():
                config.hydra.output_subdir = None  # the first rank's is that of the run

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Find the folder of a sweep."""
        exit_on_user_error(lambda: check_sweep(config))
        folder = agreed(config, "sweep", lambda _: sweep_folder(config))
        with open_dict(config), read_write(config):
            config.hydra.sweep.dir = str(folder)
            config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quote_value(str(folder))}")  # jobs are composed anew
        begin_multirun(config)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Note a job of a sweep; log where it writes, before libraries are loaded that take seconds."""
        begin_job(config)
        if config.hydra.job.name in SLOW_TO_START and is_rank_zero():
            log.info("run folder: %s", config.hydra.runtime.output_dir)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, ()


def _unpickle() -> Preflight:
    register_resolvers()
    return Preflight()


def check_run(config: DictConfig) -> None:
    """Raise ConfigError for a single run that cannot be what its command asks for."""
    if config.get("resume"):
        check_resume(Path(config.resume), task_overrides(config.hydra))
    check_required(config)
    check_scale(config)
    if config.hydra.runtime.choices.get("sweep") and config.get("row") is None:
        sweep = config.hydra.runtime.choices.sweep
        raise ConfigError("sweep", sweep, "has jobs of several rows", "leave out hydra.mode=RUN, or set row=")
    check_working_folder(config)
    if not config.get("resume"):  # whose trainer is that of the run
        check_launcher(config, config.hydra.job.config_name)
        check_restarts()
        fix_ranks(config)
    parse_typed_values(config)
    prefer_typed_rate(config, task_overrides(config.hydra))


def check_required(config: DictConfig) -> None:
    """Raise ConfigError for a key of the command that has no value and needs one, and for a data set without root."""
    for key in config:
        if OmegaConf.is_missing(config, key):
            raise missing_value(str(key))
        config.get(key)  # raises for a reference to nothing
    data = config.get("data")
    for key in ("data.root", "data.dataset.index_dir"):
        check_address(key, OmegaConf.select(config, key, throw_on_missing=False))
    if data and OmegaConf.is_missing(data, "root") and config.hydra.job.config_name not in ROOTLESS:
        raise missing_value("data.root")


def check_sweep(config: DictConfig) -> None:
    """Raise ConfigError for a sweep that cannot be what its command asks for."""
    if config.get("resume"):
        raise ConfigError("resume", config.resume, "is for one run", "to go on with a sweep, start it again as it was")
    group = rank_group()
    if group is not None and group.launcher == "torchrun":
        raise ConfigError(
            "-m",
            problem="torchrun starts ranks of one run, a sweep those of its jobs",
            remedy="leave one of them out",
        )
    check_scale(config)
    check_working_folder(config)
    check_queue(config)
    check_slurm(config)
    parse_typed_values(config)


def check_scale(config: DictConfig) -> None:
    """Raise ConfigError for a scale that the sweep does not have, and for a row of no sweep."""
    choices = config.hydra.runtime.choices
    scale, sweep = choices.get("scale"), configured_sweep(config.hydra)
    if sweep is None:
        if config.get("row") is not None:
            raise ConfigError("row", config.row, "is for sweeps", "set sweep=, or leave it out")
        if scale not in (None, SCALES[0]):
            raise ConfigError(
                "scale", scale, "is for sweeps", "a single run as published is an experiment: experiment="
            )
    elif scale not in sweep.seeds:
        raise ConfigError(
            "scale", scale, f"sweep={sweep.name} does not have it", f"set one of {', '.join(sweep.seeds)}"
        )


def check_working_folder(config: DictConfig) -> None:
    """Raise ConfigError where jobs would run in another folder than the one that relative paths are meant from."""
    if config.hydra.job.chdir:
        raise ConfigError(
            "hydra.job.chdir",
            True,
            "the configuration's paths would be looked for below the run folder, where they are not",
            "leave it false; all that a run writes lies there anyway",
        )
