"""What a job of a sweep is found again by, the name of its folder, and what decides its result."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vivit.launch.typed_values import parse_typed_values
from vivit.overrides import NEUTRAL_KEYS, distinguishing_overrides, override_key, override_value
from vivit.sweeps import SCALES, Row, Sweep, parse_sweep

MAX_NAME_LENGTH = 180
"""Characters of a name before its hash; most disks allow 255 in all."""
LEAST_LENGTH = 12
"""Characters of an override that a name keeps in any case, where there is room."""
JOB_KEYS = ("sweep", "scale", "row", "seed")
"""Keys by which a job is found, beside what is typed."""
INITIAL_WEIGHTS = ("init_from",)
"""Weights that a sweep may start from; where it does, ``weights.source`` holds the path too."""
PATHS = {"root": ".", "data": "./data", "logs": "./logs", "run": "."}
"""Values of ``paths`` for comparisons, which must not depend on where they lie."""
TRAIN_ONLY = dict.fromkeys(("loader", "resampling", "seed", "views"))
"""Keys that a data set refers to and that not every command has."""


@dataclass(frozen=True, slots=True)
class JobIdentity:
    """What a job of a sweep is found again by.

    ``overrides`` are all that decide its result, ``extra`` those of them that are not the row's but typed beside it;
    ``data_format`` is the version of the files that the data set draws, None where it draws none.
    """

    sweep: str
    row: str
    scale: str
    seed: str
    extra: tuple[str, ...]
    data_format: int | None
    overrides: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the job's folder, and of its record."""
        parts = [self.row, *([] if self.scale == SCALES[0] else [self.scale]), *self.extra, f"seed={self.seed}"]
        return file_name(parts)

    def plain(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def configured_sweep(hydra: DictConfig) -> Sweep | None:
    """Return the sweep that is selected; None without one. ``hydra`` is that node of the configuration."""
    name = hydra.runtime.choices.get("sweep")
    if not name:
        return None
    content: Any = OmegaConf.to_container(hydra.sweeper, resolve=False)
    return parse_sweep(name, content)


def job_identity(cfg: DictConfig, hydra: DictConfig) -> JobIdentity | None:
    """Return what the job of a configuration is found again by; None where it is no row of a sweep."""
    sweep = configured_sweep(hydra)
    row = None if sweep is None else sweep.row(cfg.get("row"))
    if sweep is None or row is None:
        return None
    scale = hydra.runtime.choices.get("scale", SCALES[0])
    data_format = OmegaConf.select(cfg, "data.dataset.format")
    return identity(sweep, row, scale, task_overrides(hydra), data_format)


def task_overrides(hydra: DictConfig) -> list[str]:
    """Return the overrides of a job as they were typed, with what they refer to."""
    overrides: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    return overrides


def identity(sweep: Sweep, row: Row, scale: str, overrides: Sequence[str], data_format: int | None) -> JobIdentity:
    """Return what a job of a row is found again by, from its overrides."""
    decisive, of_row = decisive_overrides(overrides), decisive_overrides(sweep.job_overrides(row, scale))
    return JobIdentity(
        sweep=sweep.name,
        row=row.name,
        scale=scale,
        seed=override_value(overrides, "seed") or "1",
        extra=tuple(text for text in decisive if text not in of_row),
        data_format=data_format,
        overrides=decisive,
    )


def decisive_overrides(overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides that decide a job's result beside its row and seed, sorted, whatever its hardware."""
    rest = [text for text in distinguishing_overrides(overrides) if override_key(text) not in JOB_KEYS]
    return tuple(sorted(text.lstrip("+") for text in rest))


def file_name(parts: Sequence[str]) -> str:
    """Return overrides as the name of a file: without '=', and with a hash where another letter was replaced or cut."""
    text = "_".join(parts).replace("=", "-")
    short = shorten([part.replace("=", "-") for part in parts])
    return short if short == text else f"{short}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def shorten(parts: Sequence[str]) -> str:
    """Return parts in one text without letters that a name of a file cannot have, and no longer than it can be.

    Where they are too long all in all, the longest lose letters in their middle, so that short ones, the seed among
    them, stay as they are.
    """
    parts = [re.sub(r"[^A-Za-z0-9_.-]+", "-", part) for part in parts]
    most = max(map(len, parts), default=0)
    while most > LEAST_LENGTH and sum(min(len(part), most) + 1 for part in parts) > MAX_NAME_LENGTH + 1:
        most -= 1
    return "_".join(_cut(part, most) for part in parts)[-MAX_NAME_LENGTH:].lstrip("-_.")


def _cut(part: str, most: int) -> str:
    head = most // 3
    return part if len(part) <= most else f"{part[:head]}-{part[len(part) - most + head + 1 :]}"


def plain_config(cfg: DictConfig) -> dict[str, Any]:
    """Return all of a configuration that decides a run's result, in plain values, wherever its folders lie."""
    unresolved = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(unresolved, dict)
    copy = OmegaConf.create(TRAIN_ONLY | {key: node for key, node in unresolved.items() if key != "hydra"})
    copy.paths.update(PATHS)
    with suppress(ValueError):  # which the job itself raises
        parse_typed_values(copy)
    plain: Any = OmegaConf.to_container(copy, resolve=True)
    for key in (*NEUTRAL_KEYS, *INITIAL_WEIGHTS):
        node = plain
        *groups, name = key.split(".")
        for group in groups:
            node = node.get(group) or {}
        node.pop(name, None)
    return plain


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a plain configuration with one entry for each value, by its dotted key."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat
