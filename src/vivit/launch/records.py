"""Which job of a sweep a run folder holds, and records of finished jobs, kept with the code.

Tables can be made from records where nothing was ever run.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vivit.errors import ConfigError
from vivit.io import write_json
from vivit.launch.job import Job
from vivit.launch.job_identity import JobIdentity, decisive_overrides, flatten, plain_config
from vivit.overrides import HARDWARE_KEYS, matches_key
from vivit.run_folder import JOB_FILE, read_finished_results, read_status

log = logging.getLogger(__name__)

EXCLUDED = ("config", "classes")
"""Keys of ``results.json`` that a record leaves out: the configuration, from which its overrides are what differs, and
the table of classes."""
OUTPUTS = ("results.json", "checkpoints/*.ckpt")
MAX_DIFFERENCES = 3
"""Keys that an error names."""


def write_job_file(cfg: DictConfig, job: Job) -> None:
    """Write which job of a row a run folder holds, and its configuration."""
    if job.identity is not None:
        write_json(job.folder / JOB_FILE, job.identity.plain() | {"config": plain_config(cfg)})


def check_same_job(cfg: DictConfig, job: Job) -> None:
    """Raise ConfigError where a run folder holds its job with other settings: a file or a default was changed since.

    Keys that there were not at that time are no difference, and neither is the hardware. A folder without results and
    checkpoints holds nothing that would be lost.
    """
    file = job.folder / JOB_FILE
    if job.identity is None or not file.is_file() or not any(next(job.folder.glob(name), None) for name in OUTPUTS):
        return
    before = _read_json(file, "hydra.sweep.dir", "move its folder away")
    now = json.loads(json.dumps(plain_config(cfg)))
    changed = _changed(before.get("config") or {}, now)
    differences = [f"{key}={old} instead of {new}" for key, old, new in changed]
    if difference := _difference(before, job.identity):
        differences.append(difference)
    if differences:
        more = f" and {len(differences) - MAX_DIFFERENCES} more" if len(differences) > MAX_DIFFERENCES else ""
        settings = ", ".join(differences[:MAX_DIFFERENCES]) + more
        raise ConfigError(
            "hydra.sweep.dir", job.folder, f"holds this job with {settings}", "move it away, or set another folder"
        )


def _changed(before: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return every key that two configurations set to other values, hardware aside, and both values."""
    old, new = flatten(before), flatten(now)
    keys = [key for key in old if key in new and old[key] != new[key] and not matches_key(key, HARDWARE_KEYS)]
    return [(key, old[key], new[key]) for key in keys]


def record_file(cfg: DictConfig, job: Job) -> Path | None:
    """Return where a job's record lies, or would; None for what is no row of a sweep, or where no records are kept."""
    if job.identity is None or not cfg.get("records"):
        return None
    return Path(cfg.records) / job.identity.sweep / f"{job.identity.name}.json"


def write_record(cfg: DictConfig, job: Job) -> None:
    """Write the record of a job that is done, unless there is one of the same settings."""
    file, results = record_file(cfg, job), read_finished_results(job.folder)
    if file is None or results is None or _read(file, job) is not None:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    record = {key: value for key, value in results.items() if key not in EXCLUDED}
    write_json(file, record | {"finished": read_status(job.folder)["time"]})
    log.info("recorded in %s", file)


def read_record(cfg: DictConfig, job: Job) -> dict[str, Any] | None:
    """Return a job's record, if there is one and the configuration skips such jobs.

    One of another format of the data or of other overrides is of another job, which the log says.
    """
    file = record_file(cfg, job)
    return None if file is None or not cfg.skip_recorded else _read(file, job)


def _read(file: Path, job: Job) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    record = _read_json(file, "records", "delete it to run the job again")
    assert job.identity is not None
    if (difference := _difference(record, job.identity)) is not None:
        log.info("%s is of another job (%s), which a new record replaces", file, difference)
        return None
    return record


def _read_json(file: Path, key: str, remedy: str) -> dict[str, Any]:
    """Return the object that a file holds. Raises ConfigError, about a key, where it holds none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(key, file, f"is damaged ({error})", remedy) from None
    if not isinstance(content, dict):
        raise ConfigError(key, file, "holds no object of JSON", remedy)
    return content


def _difference(stored: Mapping[str, Any], job: JobIdentity) -> str | None:
    """Return the first thing by which what is stored is of another job; None where it is of this one."""
    if stored.get("data_format") != job.data_format:
        return f"format {stored.get('data_format')} of the data instead of {job.data_format}"
    before, now = decisive_overrides(stored.get("overrides") or ()), job.overrides
    if differing := [text for text in before if text not in now]:
        return f"{differing[0]}, which is not set now"
    if differing := [text for text in now if text not in before]:
        return f"{differing[0]} not set"
    return None
