"""Names that configurations ask for: the folder of a sweep's job, the folder of a run that goes on."""

import hashlib
import json
import re
from collections.abc import Sequence
from contextlib import suppress

from omegaconf import DictConfig, OmegaConf

from vivit.indifferent import INDIFFERENT, is_about, telling
from vivit.jobs.booleans import settle_booleans
from vivit.jobs.resume import RECORD
from vivit.jobs.sharing import clips_a_device

SOURCES = ("image_vit", "vivit")
"""Weights that a sweep may start from; where it does, another key says so too."""
PLACES = {"root": ".", "data": "./data", "logs": "./logs", "run": "."}
"""Put in place of ``paths``, so that what lies below them is called the same wherever they are."""
LONGEST = 180
"""Characters of a name before its hash; most disks allow 255 in all."""
ELSEWHERE = dict.fromkeys(("loader", "resampling", "seed", "views"))
"""What a data set refers to and not every script has."""

LATER = {"resampling.square_pixels": False, "data.resampling.square_pixels": False, "weights.key": None}
"""Keys that came later, with the value that is what was done before: where they have it, no job is another for it."""


def job_name(*, _root_: DictConfig) -> str:
    """Name the folder of a sweep's job: what varies, without '=', and a hash of all that decides its result."""
    said = [override for override in _root_.hydra.overrides.task if not is_about(override, ("sweep=", *INDIFFERENT))]
    words = "_".join(re.sub(r"[^A-Za-z0-9_.-]+", "-", override.lstrip("+")) for override in said)
    short = words[-LONGEST:].lstrip("-_.")
    hashed = hashlib.sha256(json.dumps(decisive(_root_), sort_keys=True).encode()).hexdigest()[:8]
    return f"{short}_{hashed}" if short else hashed


def setting(overrides: Sequence[str]) -> str:
    """Name what a job varies beside its seed: equal for the runs that make one row of a table."""
    return " ".join(said.lstrip("+") for said in telling(overrides)) or "default"


def decisive(cfg: DictConfig) -> dict:
    """Give all of a configuration that decides a run's result, in plain values."""
    unresolved = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(unresolved, dict)
    copy = OmegaConf.create(ELSEWHERE | {key: node for key, node in unresolved.items() if key != "hydra"})
    copy.paths.update(PLACES)
    with suppress(ValueError):  # which the job itself tells
        settle_booleans(copy)
    plain = OmegaConf.to_container(copy, resolve=True)
    assert isinstance(plain, dict)
    unchanged = [key for key, before in LATER.items() if OmegaConf.select(copy, key) == before]
    for key in (*INDIFFERENT, *SOURCES, *unchanged):
        place = plain
        *groups, name = key.split(".")
        for group in groups:
            place = place.get(group) or {}
        place.pop(name, None)
    return plain


def run_folder(new: str, *, _root_: DictConfig) -> str:
    """Name the folder of a single run: the one that is resumed, or a new one."""
    return str(_root_.get("resume") or new)


def record_folder(*, _root_: DictConfig) -> str:
    """Name the folder for Hydra's record of a command, below the run folder; a resume leaves the run's own alone."""
    return f"{RECORD}/resume" if _root_.get("resume") else RECORD


def register_resolvers() -> None:
    """Teach configurations ``${job_name:}``, ``${divide:a,b}`` and more; scripts call it before Hydra reads any."""
    OmegaConf.register_new_resolver("job_name", job_name, replace=True)
    OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)
    OmegaConf.register_new_resolver("record_folder", record_folder, replace=True)
    OmegaConf.register_new_resolver("clips_a_device", clips_a_device, replace=True)
    OmegaConf.register_new_resolver("divide", lambda a, b: a // b, replace=True)
    OmegaConf.register_new_resolver("add", lambda a, b: a + b, replace=True)
