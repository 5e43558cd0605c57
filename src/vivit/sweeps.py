"""Sweeps: ``configs/sweep/<name>.yaml``, a table of the paper a file, read by the sweeper and by the report alike."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from vivit.config_folder import CONFIGS
from vivit.errors import ConfigError

SCALES = ("laptop", "paper")
"""The embedded data set, and the paper's; the first is the default."""
KEYS = ("title", "caption", "overrides", *SCALES, "rows", "findings")
SCALE_KEYS = ("seeds", "overrides")
ROW_KEYS = ("label", "stand_in", "overrides", *SCALES, "printed")
FINDING_KEYS = ("text", "row", "better_than", "equals", "printed")
HYDRA_KEYS = ("defaults", "_target_")
"""Keys that only Hydra reads."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its label, the overrides of its jobs by scale, and the numbers that the paper prints.

    ``stand_in`` is what the row is at laptop scale, where that differs. Of the numbers, ``k400`` is top-1 on
    Kinetics-400 and ``epic`` that of actions on EPIC-Kitchens-100, in percent; ``gflops`` are 10^9 FLOPs as the paper
    counts them, ``params`` 10^6, ``ms`` measured on a TPU-v3.
    """

    name: str
    label: str
    overrides: Mapping[str, tuple[str, ...]]
    printed: Mapping[str, float]
    stand_in: str | None = None

    def label_at(self, scale: str) -> str:
        """Return the label, and what stands in for the row at laptop scale."""
        return f"{self.label} (here {self.stand_in})" if scale == SCALES[0] and self.stand_in else self.label


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim of the paper: a row is better than another, or equals a percentage.

    ``printed`` are the paper's accuracies of both rows, where it prints them.
    """

    text: str
    row: str
    better_than: str | None = None
    equals: float | None = None
    printed: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Sweep:
    """A table or figure: its rows, the seeds of each by scale, and the overrides by scale that all of its jobs have."""

    name: str
    title: str
    caption: str
    rows: tuple[Row, ...]
    seeds: Mapping[str, int]
    overrides: Mapping[str, tuple[str, ...]]
    findings: tuple[Finding, ...] = ()

    @property
    def default_scale(self) -> str:
        """Scale of its table in the report: the first that it has."""
        return next(iter(self.seeds))

    def row(self, name: str | None) -> Row | None:
        """Return the row of a name; None where there is no such row."""
        return next((row for row in self.rows if row.name == name), None)

    def job_overrides(self, row: Row, scale: str) -> tuple[str, ...]:
        """Return the overrides of a row's jobs at a scale, beside the seed."""
        return (*self.overrides[scale], *row.overrides[scale])


@cache
def read_sweeps() -> dict[str, Sweep]:
    """Return all sweeps by name: the paper's tables and figures in its order, then the others."""
    files = [file for file in (CONFIGS / "sweep").glob("*.yaml") if not file.stem.startswith("_")]
    sweeps = [parse_sweep(file.stem, _read_yaml(file)) for file in files]
    return {sweep.name: sweep for sweep in sorted(sweeps, key=_order)}


def parse_sweep(name: str, content: Mapping[str, Any]) -> Sweep:
    """Return a sweep from the plain content of its file. Raises ConfigError for a key that is unknown or missing."""
    file = f"sweep={name}"
    _check_keys(file, content, KEYS, required=("title", "rows"))
    scales = [scale for scale in SCALES if content.get(scale) is not None]
    if not scales:
        raise ConfigError(file, problem="has neither laptop nor paper", remedy="set laptop: {seeds: 1}")
    for scale in scales:
        _check_keys(f"{file}: {scale}", content[scale], SCALE_KEYS)
        if type(seeds := content[scale].get("seeds", 1)) is not int or seeds < 1:
            raise ConfigError(f"{file}: {scale}.seeds", seeds, "is no number of seeds", "set a whole number, 1 or more")
    if not isinstance(content["rows"], Mapping):
        raise ConfigError(f"{file}: rows", content["rows"], "is no mapping", "set name: {label: ..., overrides: [...]}")
    rows = tuple(_row(f"{file}: rows.{row}", str(row), of, scales) for row, of in content["rows"].items())
    findings = [_finding(file, of, [row.name for row in rows]) for of in content.get("findings") or ()]
    return Sweep(
        name=name,
        title=content["title"],
        caption=content.get("caption") or "",
        rows=rows,
        seeds={scale: content[scale].get("seeds", 1) for scale in scales},
        overrides={
            scale: _overrides(file, content.get("overrides"), content[scale].get("overrides")) for scale in scales
        },
        findings=tuple(findings),
    )


def _row(place: str, name: str, content: Mapping[str, Any], scales: Sequence[str]) -> Row:
    _check_keys(place, content, ROW_KEYS, required=("label",))
    overrides = {scale: _overrides(place, content.get("overrides"), content.get(scale)) for scale in scales}
    return Row(name, content["label"], overrides, content.get("printed") or {}, content.get("stand_in"))


def _finding(file: str, content: Mapping[str, Any], rows: Sequence[str]) -> Finding:
    _check_keys(f"{file}: findings", content, FINDING_KEYS, required=("text", "row"))
    equals, printed = content.get("equals"), content.get("printed")
    finding = Finding(
        text=content["text"],
        row=content["row"],
        better_than=content.get("better_than"),
        equals=None if equals is None else float(equals),
        printed=None if printed is None else (float(printed[0]), float(printed[1])),
    )
    if (finding.better_than is None) == (finding.equals is None):
        raise ConfigError(f"{file}: findings", finding.text, "has to have one of better_than and equals", "set one")
    for row in (finding.row, finding.better_than):
        if row is not None and row not in rows:
            raise ConfigError(f"{file}: findings", row, "is no row of it", f"set one of {', '.join(rows)}")
    return finding


def _overrides(place: str, *parts: Any) -> tuple[str, ...]:
    for part in parts:
        if part is not None and not (isinstance(part, list) and all(isinstance(text, str) for text in part)):
            raise ConfigError(place, part, "is no list of overrides", "set one, as [model.pool=cls, data.frames=8]")
    return tuple(override for part in parts for override in part or ())


def _read_yaml(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ConfigError(f"sweep={file.stem}", problem=f"is no YAML: {problem}", remedy="mend the file") from None


def _check_keys(place: str, content: Any, keys: Sequence[str], required: Sequence[str] = ()) -> None:
    if not isinstance(content, Mapping):
        raise ConfigError(place, content, "is no mapping", f"set {', '.join(required or keys)}")
    for key in content:
        if key not in (*keys, *HYDRA_KEYS):
            raise ConfigError(place, key, "is no key of it", f"set one of {', '.join(keys)}")
    for key in required:
        if not content.get(key):
            raise ConfigError(place, problem=f"lacks {key}", remedy="set it")


def _order(sweep: Sweep) -> tuple[int, int, str]:
    """Return where a sweep stands in the report, by its title."""
    match = re.match(r"(Table|Figure) (\d+)", sweep.title)
    return (("Table", "Figure").index(match[1]), int(match[2]), "") if match else (2, 0, sweep.name)
