"""Sweeps: ``configs/sweep/<name>.yaml``, a table of the paper a file, read by the sweeper and by the report alike."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from vivit.config_folder import CONFIGS
from vivit.errors import ConfigError

SCALES = ("laptop", "paper")
"""The embedded data set, and the paper's; the first is the default."""
KEYS = ("title", "caption", "overrides", *SCALES, "rows", "claims")
SCALE_KEYS = ("seeds", "minutes", "overrides")
ROW_KEYS = ("label", "stand_in", "overrides", *SCALES, "seeds", "printed")
COMPARISONS = ("better_than", "better_than_views", "same_as", "same_as_views", "equals")
"""Keys of a claim, of which it has one: what its row is compared with."""
CLAIM_KEYS = ("text", "row", "views", *COMPARISONS, "margin", "metric", "printed")
TOP1 = "test/acc_top1"
"""Name of top-1 accuracy in results, of noun and verb together where there are both."""
HYDRA_KEYS = ("defaults", "_target_", "jobs")
"""Keys that only Hydra and its sweeper read."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: its label, the overrides of its jobs by scale, and the numbers that the paper prints.

    ``stand_in`` is what the row is at laptop scale, where that differs. Of the numbers, ``k400`` is top-1 on
    Kinetics-400 and ``epic`` that of actions on EPIC-Kitchens-100, in percent; ``gflops`` are 10^9 FLOPs as the paper
    counts them, ``params`` 10^6, ``ms`` measured on a TPU-v3. ``seeds`` is its number of seeds at laptop scale, where
    that is not the sweep's.
    """

    name: str
    label: str
    overrides: Mapping[str, tuple[str, ...]]
    printed: Mapping[str, float]
    stand_in: str | None = None
    seeds: int | None = None

    def label_at(self, scale: str) -> str:
        """Return the label, and what stands in for the row at laptop scale."""
        return f"{self.label} (here {self.stand_in})" if scale == SCALES[0] and self.stand_in else self.label


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement of the paper about two rows, about one row at two numbers of views, or about a row and a percentage.

    Either ``row`` is better than the other, or (``same_as`` and ``equals``) they differ by ``margin`` points at most.
    ``views`` is the number of temporal views at which rows are scored, by default that of their test, and
    ``other_views`` that of the other side. ``printed`` are the paper's accuracies of both sides, where the rows lack
    them.
    """

    text: str
    row: str
    other: str | None = None
    equals: float | None = None
    views: int | None = None
    other_views: int | None = None
    margin: float | None = None
    metric: str = TOP1
    printed: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Sweep:
    """A table or figure: its rows, the seeds of each by scale, and the overrides by scale that all of its jobs have.

    ``minutes`` are about how long one job takes on one core, by scale, where its file has that.
    """

    name: str
    title: str
    caption: str
    rows: tuple[Row, ...]
    seeds: Mapping[str, int]
    overrides: Mapping[str, tuple[str, ...]]
    claims: tuple[Claim, ...] = ()
    minutes: Mapping[str, float] = field(default_factory=dict)

    @property
    def default_scale(self) -> str:
        """Scale of its table in the report: the first that it has."""
        return next(iter(self.seeds))

    def row(self, name: str | None) -> Row | None:
        """Return the row of a name; None where there is no such row."""
        return next((row for row in self.rows if row.name == name), None)

    def seeds_of(self, row: Row, scale: str) -> range:
        """Return the seeds of a row at a scale; none at a scale that the sweep does not have."""
        number = row.seeds if row.seeds is not None and scale == SCALES[0] else self.seeds.get(scale, 0)
        return range(1, number + 1)

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
        _check_count(f"{file}: {scale}.seeds", content[scale].get("seeds", 1))
    if not isinstance(content["rows"], Mapping):
        raise ConfigError(f"{file}: rows", content["rows"], "is no mapping", "set name: {label: ..., overrides: [...]}")
    rows = tuple(_row(f"{file}: rows.{row}", str(row), of, scales) for row, of in content["rows"].items())
    claims = [_claim(f"{file}: claims", of, [row.name for row in rows]) for of in content.get("claims") or ()]
    return Sweep(
        name=name,
        title=content["title"],
        caption=content.get("caption") or "",
        rows=rows,
        seeds={scale: content[scale].get("seeds", 1) for scale in scales},
        overrides={
            scale: _overrides(file, content.get("overrides"), content[scale].get("overrides")) for scale in scales
        },
        claims=tuple(claims),
        minutes={
            scale: _number(f"{file}: {scale}.minutes", content[scale]["minutes"], "of a job on one core")
            for scale in scales
            if content[scale].get("minutes") is not None
        },
    )


def _row(place: str, name: str, content: Mapping[str, Any], scales: Sequence[str]) -> Row:
    _check_keys(place, content, ROW_KEYS, required=("label",))
    overrides = {scale: _overrides(place, content.get("overrides"), content.get(scale)) for scale in scales}
    if (seeds := content.get("seeds")) is not None:
        _check_count(f"{place}.seeds", seeds)
        if SCALES[0] not in scales:
            raise ConfigError(
                f"{place}.seeds", seeds, f"is for scale={SCALES[0]}, which the sweep lacks", "leave it out"
            )
    return Row(name, content["label"], overrides, content.get("printed") or {}, content.get("stand_in"), seeds)


def _claim(place: str, content: Mapping[str, Any], rows: Sequence[str]) -> Claim:
    _check_keys(place, content, CLAIM_KEYS, required=("text", "row"))
    text, comparisons = content["text"], [key for key in COMPARISONS if content.get(key) is not None]
    if len(comparisons) != 1:
        raise ConfigError(place, text, f"has to have one of {', '.join(COMPARISONS)}", "set one")
    (comparison,) = comparisons
    of_views, better = comparison.endswith("_views"), comparison.startswith("better_than")
    if better == (content.get("margin") is not None):
        remedy = "leave it out" if better else "set how many points count as no difference"
        raise ConfigError(place, text, f"has {'' if better else 'no '}margin beside {comparison}", remedy)
    if of_views and content.get("views") is None:
        raise ConfigError(place, text, f"has no views beside {comparison}", "set views, the number of its row's side")
    for key in ("views", *(comparisons if of_views else ())):
        if content.get(key) is not None:
            _check_count(f"{place}.{key}", content[key])
    other = content[comparison] if comparison in ("better_than", "same_as") else content["row"] if of_views else None
    for row in (content["row"], other):
        if row is not None and row not in rows:
            raise ConfigError(place, row, "is no row of it", f"set one of {', '.join(rows)}")
    equals, margin, printed = (content.get(key) for key in ("equals", "margin", "printed"))
    return Claim(
        text=text,
        row=content["row"],
        other=other,
        equals=None if equals is None else _number(f"{place}.equals", equals),
        views=content.get("views"),
        other_views=content[comparison] if of_views else content.get("views"),
        margin=None if margin is None else _number(f"{place}.margin", margin),
        metric=content.get("metric") or TOP1,
        printed=None if printed is None else _pair(f"{place}.printed", printed),
    )


def _check_count(place: str, value: Any) -> None:
    if type(value) is not int or value < 1:
        raise ConfigError(place, value, "is no number of them", "set a whole number, 1 or more")


def _number(place: str, value: Any, unit: str = "in percent or points") -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ConfigError(place, value, "is no number, 0 or more", f"set one, {unit}")
    return float(value)


def _pair(place: str, value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ConfigError(place, value, "are not two accuracies", "set both in percent, as [79.2, 73.2]")
    return _number(place, value[0]), _number(place, value[1])


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
