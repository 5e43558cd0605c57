"""``resume=<run folder>``: continue a run in its own folder, from its own configuration."""

from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from vivit.errors import ConfigError
from vivit.launch.job import Job, sweep_of
from vivit.launch.job_identity import job_identity
from vivit.overrides import CACHE, matches_key, override_key

HYDRA_FOLDER = ".hydra"
"""Where Hydra stores a run's configuration; that of a resume goes into a folder below it."""
CHANGEABLE = ("trainer.devices", "trainer.num_nodes", "data.num_workers", *CACHE, "trainer.max_time", "logger")
"""Keys that may be set beside ``resume``: where, how fast and how long a run continues, not what it computes."""


def check_resume(folder: Path, overrides: list[str]) -> None:
    """Raise ConfigError where a folder is no training run, or where an override would change its result."""
    for file in ("config.yaml", "hydra.yaml"):
        if not (folder / HYDRA_FOLDER / file).is_file():
            raise ConfigError("resume", folder, f"is not a run folder, it has no {HYDRA_FOLDER}/{file}", "set one")
    if "resume" not in OmegaConf.load(folder / HYDRA_FOLDER / "config.yaml"):
        raise ConfigError("resume", folder, "is not a training run", "start its command again")
    for override in overrides:
        if not matches_key(override, ("resume", *CHANGEABLE)):
            raise ConfigError(
                "resume",
                folder,
                f"takes the configuration from there, so {override} is refused",
                f"only {', '.join(CHANGEABLE)} may be changed (to change more, start a run with ckpt_path=)",
            )


def load_resumed_config(cfg: DictConfig, job: Job) -> tuple[DictConfig, Job]:
    """Return the configuration and the job of the run that a command resumes.

    Other devices share a step as its task decides, which reads the checkpoint.
    """
    folder = Path(cfg.resume) / HYDRA_FOLDER
    config = OmegaConf.load(folder / "config.yaml")
    hydra = OmegaConf.load(folder / "hydra.yaml").hydra
    assert isinstance(config, DictConfig)
    for override in job.overrides:
        if matches_key(override, ["logger"]):
            config.logger = cfg.get("logger")
        elif (key := override_key(override)) in ("trainer.devices", "trainer.num_nodes"):
            OmegaConf.update(config, key, OmegaConf.select(cfg, key), force_add=True)
        elif matches_key(override, ["trainer.max_time"]):
            config.trainer.max_time = cfg.trainer.get("max_time")
        elif (key := override_key(override)) in ("data.num_workers", *CACHE):
            OmegaConf.update(config, key, OmegaConf.select(cfg, key))
    sweep_dir = hydra.sweep._get_node("dir")._value()  # may be an interpolation that nobody can resolve any more
    sweep = sweep_of(job.folder, hydra.mode, None if "${" in str(sweep_dir) else sweep_dir)
    overrides = [*hydra.overrides.task, *(text for text in job.overrides if not matches_key(text, ["resume"]))]
    identity = job_identity(config, hydra) if sweep is not None else None
    choices = dict(hydra.runtime.choices)
    return config, replace(job, choices=choices, overrides=overrides, sweep=sweep, resumes=True, identity=identity)
