"""``resume=<run folder>``: a run goes on in its own folder, from its own configuration."""

from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from vivit.indifferent import is_about
from vivit.jobs.job import Job, sweep_of

RECORD = ".hydra"
"""Where Hydra records a run's configuration; that of a resume goes into a folder below it."""
CHANGEABLE = ("trainer.devices", "data.workers", "logger")
"""What may be said anew beside ``resume``: where and how fast a run goes on, not what it computes."""


def check_resume(folder: Path, overrides: list[str]) -> None:
    """End the process with one line where a folder is no training run, or what decides the result is said anew."""
    for file in ("config.yaml", "hydra.yaml"):
        if not (folder / RECORD / file).is_file():
            raise SystemExit(f"error: resume={folder} is not a run folder, it has no {RECORD}/{file}")
    if "resume" not in OmegaConf.load(folder / RECORD / "config.yaml"):
        raise SystemExit(f"error: resume={folder} is not a training run, which alone goes on; start its command again")
    for override in overrides:
        if not is_about(override, ("resume", *CHANGEABLE)):
            raise SystemExit(
                f"error: resume takes the configuration from {folder}, so {override} is refused; only "
                f"{', '.join(CHANGEABLE)} may be set anew (to change more, start a run with ckpt_path=)"
            )


def own(cfg: DictConfig, job: Job) -> tuple[DictConfig, Job]:
    """Put a run's own configuration and what is known of it in the place of those of the command that resumes it.

    Where the number of devices changes, the videos on one device change with it, so that a step stays what it was.
    """
    record = Path(cfg.resume) / RECORD
    theirs = OmegaConf.load(record / "config.yaml")
    hydra = OmegaConf.load(record / "hydra.yaml").hydra
    assert isinstance(theirs, DictConfig)
    for override in job.overrides:
        if is_about(override, ["logger"]):
            theirs.logger = cfg.get("logger")
        elif is_about(override, ["trainer.devices"]):
            theirs.data.batch_size = _share(theirs, cfg.trainer.devices)
            theirs.trainer.devices = cfg.trainer.devices
        elif is_about(override, ["data.workers"]):
            theirs.data.workers = cfg.data.workers
    sweep_dir = hydra.sweep._get_node("dir")._value()  # may be an interpolation that nobody can resolve any more
    sweep = sweep_of(job.folder, hydra.mode, None if "${" in str(sweep_dir) else sweep_dir)
    said = [*hydra.overrides.task, *(override for override in job.overrides if not is_about(override, ["resume"]))]
    return theirs, replace(job, choices=dict(hydra.runtime.choices), overrides=said, sweep=sweep, goes_on=True)


def _share(theirs: DictConfig, devices: int) -> int:
    """Videos on each of ``devices`` devices that make up the global batch of a run."""
    before = theirs.trainer.devices
    if not isinstance(before, int) or not isinstance(devices, int):
        raise ValueError(f"resume can go from one number of trainer.devices to another, not from {before} to {devices}")
    total = theirs.data.batch_size * before
    if total % devices:
        raise ValueError(f"trainer.devices={devices} cannot share the run's global batch of {total} videos evenly")
    return total // devices
