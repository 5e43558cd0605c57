"""Small records of finished jobs, kept with the code: from them a report can be made where nothing was ever run."""

import json
import logging
import re
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vivit.io import write_json
from vivit.jobs.job import Job
from vivit.runfolder import finished, read_status

log = logging.getLogger(__name__)

LEFT_OUT = ("config",)
"""What of ``results.json`` is not kept: the configuration, of which the job's name holds a hash."""


def record_file(cfg: DictConfig, job: Job) -> Path | None:
    """Where a job's record lies, or would; None for a run that is no part of a sweep, or if none are kept.

    The hash that ends the names tells jobs apart, not the words before it: one may type ``seed=1`` or leave it out.
    """
    if not job.sweep or not cfg.get("records"):
        return None
    folder = Path(cfg.records) / job.sweep
    hashed = re.search(r"(?:^|_)([0-9a-f]{8})$", job.folder.name)
    same = sorted(file for file in folder.glob("*.json") if hashed and file.stem.endswith(hashed[1]))
    return same[0] if same else folder / f"{job.folder.name}.json"


def keep_record(cfg: DictConfig, job: Job) -> None:
    """Keep a record of a job that is done, unless there is one."""
    file, results = record_file(cfg, job), finished(job.folder)
    if file is None or results is None or file.is_file():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = {key: value for key, value in results.items() if key not in LEFT_OUT}
    write_json(file, kept | {"finished": read_status(job.folder)["time"]})
    log.info("recorded in %s", file)


def recorded(cfg: DictConfig, job: Job) -> dict[str, Any] | None:
    """Read a job's record, if there is one and the configuration asks to skip such jobs."""
    file = record_file(cfg, job)
    if file is None or not cfg.skip_recorded or not file.is_file():
        return None
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise ValueError(f"{file} is no record of a job ({error}); delete it to run the job again") from None
