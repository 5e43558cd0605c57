"""Runs sorted into settings, each of which is repeated over folds, seeds or both."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vivit.overrides import distinguishing_overrides, override_key
from vivit.reporting.load_runs import RunRecord
from vivit.sweeps import SCALES

FOLD = "data.dataset.fold"
TOP1, MAP = "acc_top1", "map"


class Cell(NamedTuple):
    """One repetition of a setting: its fold, None where the data set has none, and its seed."""

    fold: int | None
    seed: int | str


@dataclass(frozen=True, slots=True)
class Setting:
    """What runs share that differ in fold and seed alone.

    ``overrides`` are what it sets, ``runs`` all its runs, ``done`` the run that counts of each repetition,
    ``unfinished`` those of repetitions without one, and ``folds`` the number of folds of its data set, None without.
    ``over_folds`` is whether it, or a setting beside it, was begun on several folds: a cross-validation, whose other
    folds are missing. A single fold with several seeds is none.
    """

    overrides: tuple[str, ...]
    runs: tuple[RunRecord, ...]
    done: Mapping[Cell, RunRecord]
    unfinished: Mapping[Cell, RunRecord]
    folds: int | None
    over_folds: bool

    @property
    def cells(self) -> list[Cell]:
        """All repetitions that were begun, in order."""
        return sorted({*self.done, *self.unfinished}, key=_order)

    @property
    def seeds(self) -> list[int | str]:
        """The seeds that were begun."""
        return sorted({cell.seed for cell in self.cells}, key=str)

    @property
    def folds_done(self) -> list[int]:
        """The folds that are done with any seed."""
        return sorted({cell.fold for cell in self.done if cell.fold is not None})

    def metrics(self) -> list[str]:
        """Return the names of the accuracies and mean average precisions, without the split, each number once."""
        names = dict.fromkeys(name for run in self.done.values() for name in _metrics(run))
        return sorted(_without_copies(names), key=lambda name: (name != TOP1, not name.endswith(TOP1), name))

    def values(self, metric: str) -> dict[Cell, float]:
        """Return a metric of every run that is done and has it."""
        scored = {cell: _metrics(self.done[cell]).get(metric) for cell in self.cells if cell in self.done}
        return {cell: value for cell, value in scored.items() if value is not None}

    def repetitions(self, metric: str) -> dict[str, float]:
        """Return a metric by fold, of several seeds their mean, or by seed where it is no cross-validation."""
        by_name: dict[str, list[float]] = defaultdict(list)
        for cell, value in self.values(metric).items():
            by_name[f"fold {cell.fold}" if self.over_folds else f"seed {cell.seed}"].append(value)
        return {name: sum(values) / len(values) for name, values in by_name.items()}

    def missing(self) -> list[str]:
        """Return a sentence for every repetition that is not done: failed, running, interrupted, or never begun."""
        begun = [
            f"{self._name(cell)} {run.status}{f': {run.error}' if run.error else ''}"
            for cell, run in ((cell, self.unfinished[cell]) for cell in self.cells if cell in self.unfinished)
        ]
        folds = range(self.folds or 0) if self.over_folds else ()
        expected = [Cell(fold, seed) for seed in self.seeds for fold in folds]
        return begun + [f"{self._name(cell)} not run" for cell in expected if cell not in self.cells]

    def _name(self, cell: Cell) -> str:
        if cell.fold is None or not self.over_folds:
            return f"seed {cell.seed}"
        return f"fold {cell.fold}" if len(self.seeds) == 1 else f"fold {cell.fold}, seed {cell.seed}"


def sort_into_settings(runs: Sequence[RunRecord]) -> list[Setting]:
    """Return the settings of runs, in the order of these; of equal repetitions the last that is done counts."""
    by_setting: dict[tuple[str, ...], list[tuple[Cell, int | None, RunRecord]]] = defaultdict(list)
    for run in runs:
        fold, folds = fold_of(run)
        by_setting[_overrides(run)].append((Cell(fold, run.seed), folds, run))
    begun = [{cell.fold for cell, _, _ in members} - {None} for members in by_setting.values()]
    several = any(len(folds) > 1 for folds in begun)
    return [
        _setting(overrides, members, several and bool(folds))
        for (overrides, members), folds in zip(by_setting.items(), begun, strict=True)
    ]


def _setting(
    overrides: tuple[str, ...], members: Sequence[tuple[Cell, int | None, RunRecord]], over_folds: bool
) -> Setting:
    done = {cell: run for cell, _, run in members if run.status == "done"}
    unfinished = {cell: run for cell, _, run in members if cell not in done}
    folds = max((number for _, number, _ in members if number), default=None)
    return Setting(overrides, tuple(run for _, _, run in members), done, unfinished, folds, over_folds)


def labels(settings: Sequence[Setting]) -> list[str]:
    """Return what each setting sets that not all of them do; "default" where that is nothing."""
    shared = shared_overrides(settings)
    return [" ".join(text for text in setting.overrides if text not in shared) or "default" for setting in settings]


def shared_overrides(settings: Sequence[Setting]) -> list[str]:
    """Return the overrides that all settings have."""
    every = [setting.overrides for setting in settings]
    return [text for text in every[0] if all(text in each for each in every)] if every else []


def fold_of(run: RunRecord) -> tuple[int | None, int | None]:
    """Return the fold that a run is tested on, and how many there are; None where its data set has none."""
    dataset = data_of(run).get("dataset")
    options = dataset if isinstance(dataset, Mapping) else {}
    typed = {key: run.settings.get(f"data.dataset.{key}", "") for key in ("fold", "folds")}
    numbers = [int(typed[key]) if typed[key].isdecimal() else options.get(key) for key in ("fold", "folds")]
    fold, folds = (number if type(number) is int else None for number in numbers)
    return (None, None) if fold is None else (fold, folds)


def data_of(run: RunRecord) -> Mapping[str, Any]:
    """Return the configuration of a run's data; of a run that is not done, that in Hydra's file; empty without one."""
    config: Any = run.results.get("config")
    if config is None and not run.is_record and run.status != "done":
        config = _read_config(run.folder / ".hydra" / "config.yaml")
    data = config.get("data") if isinstance(config, Mapping) else None
    return data if isinstance(data, Mapping) else {}


def _read_config(file: Path) -> Any:
    import yaml

    try:
        return yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError):
        return None


def _overrides(run: RunRecord) -> tuple[str, ...]:
    """Return the overrides by which a run's setting differs from others; of a row its name and what was typed."""
    if run.row is not None:
        scale = [] if run.scale == SCALES[0] else [f"scale={run.scale}"]
        typed = [f"sweep={run.sweep}", f"row={run.row}", *scale, *run.extra]
    else:
        typed = distinguishing_overrides(run.overrides, run.results.get("data"))
    return tuple(text.lstrip("+") for text in typed if override_key(text) != FOLD)


def _metrics(run: RunRecord) -> dict[str, float]:
    split = f"{run.results.get('scored_split') or 'test'}/"
    of_split = [(name, value) for name, value in run.results["metrics"].items() if name.startswith(split)]
    return {short: value for name, value in of_split if _is_scored(short := name.removeprefix(split))}


def _is_scored(name: str) -> bool:
    return "/" not in name and (name in (TOP1, MAP) or name.endswith((f"_{TOP1}", f"_{MAP}")))


def _without_copies(names: Mapping[str, Any]) -> list[str]:
    """Return the names without copies: the action's, which is all heads', and one of the two of a single head."""
    action = f"action_{TOP1}"
    counts = {kind: sum(name.endswith(f"_{kind}") and name != action for name in names) for kind in (TOP1, MAP)}
    copies = {action, *(kind for kind, heads in counts.items() if heads == 1)}
    return [name for name in names if name not in copies]


def _order(cell: Cell) -> tuple[int, str, str]:
    return (-1 if cell.fold is None else cell.fold, str(type(cell.seed)), f"{cell.seed:>9}")
