"""Settings as rows of numbers: pooled accuracy with its interval, mean over folds or seeds, difference to the first."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from vivit.reporting.answers import Answers, estimate, paired_difference, pool_answers, read_answers
from vivit.reporting.repetitions import TOP1, Setting, data_of
from vivit.reporting.tables import mean, stdev

POOLED = ("pooled", "low", "high", "videos", "groups")
DIFFERENCE = ("difference", "difference_low", "difference_high", "compared", "compared_groups")
"""What the numbers of an estimate are called in a row."""


class SettingRows(NamedTuple):
    """Rows, accuracies from 0 to 1, and what is missing or could not be read, a sentence each."""

    rows: list[dict[str, Any]]
    notes: list[str]


def setting_rows(settings: Sequence[Setting], names: Sequence[str]) -> SettingRows:
    """Return a row for every metric of every setting, by its name, and one without metric where no run is done.

    ``pooled`` is the share of right videos of all tests together, each video with its mean over seeds; ``low`` and
    ``high`` its 95 % interval over groups of videos. ``mean`` and ``stdev`` are over ``repetitions``: over folds, of
    several seeds their mean, or over seeds. ``difference`` is to the first setting, video by video, over the
    ``compared`` videos that both scored. Mean average precision has ``mean`` and ``stdev`` alone.
    """
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    first: dict[str, Answers] = {}
    root: str | None = None
    for place, (setting, label) in enumerate(zip(settings, names, strict=True)):
        notes += [f"{label}: {sentence}" for sentence in setting.missing()]
        runs, unread = _read(setting)
        notes += [f"{label}: {sentence}" for sentence in unread]
        common = _common(setting, label)
        for metric in setting.metrics():
            row = common | {"metric": metric} | _over_repetitions(setting, metric)
            scored = [run for run in runs if metric in run.right]
            if metric.endswith(TOP1) and len(scored) == len(setting.done):
                pooled = pool_answers(scored, metric)
                row |= _named(POOLED, estimate(pooled.right[metric], pooled.groups))
                if place == 0:
                    first[metric], root = pooled, _root(setting)
                elif metric in first and root == _root(setting):
                    difference = paired_difference(pooled, first[metric], metric)
                    row |= _named(DIFFERENCE, difference) if difference is not None else {}
            rows.append(row)
        if not setting.metrics():
            rows.append(common)
    return SettingRows(rows, notes)


def _common(setting: Setting, label: str) -> dict[str, Any]:
    """Return what all rows of a setting have."""
    seconds = [run.results.get("train_seconds") for run in setting.done.values()]
    measured = [value for value in seconds if value is not None]
    return {
        **{"setting": label, "metric": None, "folds_done": None, "folds": None},
        **({"folds_done": len(setting.folds_done), "folds": setting.folds} if _has_folds(setting) else {}),
        **{"seeds": len(setting.seeds), "runs": len(setting.done), "missing": setting.missing()},
        "minutes": sum(measured) / 60 if measured else None,
    }


def _has_folds(setting: Setting) -> bool:
    return any(cell.fold is not None for cell in setting.cells)


def _over_repetitions(setting: Setting, metric: str) -> dict[str, Any]:
    repetitions = setting.repetitions(metric)
    values = list(repetitions.values())
    over = "folds" if setting.over_folds else "seeds"
    return {"mean": mean(values), "stdev": stdev(values), "n": len(values), "over": over, "repetitions": repetitions}


def _read(setting: Setting) -> tuple[list[Answers], list[str]]:
    """Return the answers of all runs that are done, and a sentence for each whose answers cannot be read."""
    answers, unread = [], []
    for cell, run in setting.done.items():
        try:
            answers.append(read_answers(run.folder, cell.fold))
        except (OSError, ValueError) as error:
            reason = "it has no predictions" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())
            unread.append(f"{run.folder.name} is not pooled: {reason}")
    return answers, unread


def _root(setting: Setting) -> str | None:
    """Return the folder of a setting's videos, whose paths are relative to it."""
    return next((str(data_of(run).get("root")) for run in setting.done.values()), None)


def _named(names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(names, values, strict=True))
