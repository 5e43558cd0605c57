"""Records of finished jobs, kept with the code: tables can be made from them where nothing was ever run."""

import json
import logging
import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vivit.errors import ConfigError
from vivit.io import write_json
from vivit.launch.job import Job
from vivit.run_folder import read_finished_results, read_status

log = logging.getLogger(__name__)

EXCLUDED = ("config",)
"""Keys of ``results.json`` that a record leaves out: the configuration, of which the job's name contains a hash."""


def record_file(cfg: DictConfig, job: Job) -> Path | None:
    """Return where a job's record lies, or would; None for a single run, or where no records are kept.

    The hash that ends the names identifies a job, not the words before it: ``seed=1`` may be typed or left out.
    """
    if not job.sweep or not cfg.get("records"):
        return None
    folder = Path(cfg.records) / job.sweep
    digest = re.search(r"(?:^|_)([0-9a-f]{8})$", job.folder.name)
    same = sorted(file for file in folder.glob("*.json") if digest and file.stem.endswith(digest[1]))
    return same[0] if same else folder / f"{job.folder.name}.json"


def write_record(cfg: DictConfig, job: Job) -> None:
    """Write the record of a job that is done, unless there is one."""
    file, results = record_file(cfg, job), read_finished_results(job.folder)
    if file is None or results is None or file.is_file():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    record = {key: value for key, value in results.items() if key not in EXCLUDED}
    write_json(file, record | {"finished": read_status(job.folder)["time"]})
    log.info("recorded in %s", file)


def read_record(cfg: DictConfig, job: Job) -> dict[str, Any] | None:
    """Return a job's record, if there is one and the configuration skips such jobs."""
    file = record_file(cfg, job)
    if file is None or not cfg.skip_recorded or not file.is_file():
        return None
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ConfigError("records", file, f"is no record ({error})", "delete it to run the job again") from None
