"""Probes on files of features: which settings are chosen, what they score, as a table."""

import csv
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from vivit.data.datasets.csv_reader import CsvTable
from vivit.errors import ConfigError, DataError
from vivit.features.feature_file import FeatureFile, VideoFeatures
from vivit.features.folds import Fold, bootstrap_interval, grouped_folds
from vivit.features.probes import PROBES, LabelledFeatures, run_probe

log = logging.getLogger(__name__)

COLUMNS = (
    *("head", "probe", "accuracy", "low", "high", "difference", "difference_low", "difference_high"),
    *("videos", "groups", "folds", "settings", "seconds"),
)
SPLITS = ("train", "val", "test")


def check_probes(probes: Sequence[str], folds: int | None, splits: Sequence[str]) -> None:
    """Raise ConfigError for probes that there are not, and for splits that they cannot be chosen and scored by."""
    if unknown := [name for name in probes if name not in PROBES]:
        raise ConfigError("probes", unknown[0], "there is no such probe", f"set some of {', '.join(PROBES)}")
    if folds is not None and (type(folds) is not int or folds < 3):
        raise ConfigError("folds", folds, "leaves nothing to train on, to choose by or to score", "set 3 or more")
    if probes and folds is None and (missing := [split for split in SPLITS if split not in splits]):
        problem = f"has no {missing[0]}, and probes train on train, choose by val and are scored on test"
        raise ConfigError("splits", list(splits), problem, "add it, or set folds=5")


def probe_features(
    files: Mapping[str, Path], probes: Sequence[str], folds: int | None, groups: str | None, seed: int, folder: Path
) -> list[dict[str, Any]]:
    """Run probes on the features of splits, print and write a table, and return its rows.

    Without ``folds`` they are trained on ``train``, chosen by ``val`` and scored on ``test``. With folds all videos are
    one set. ``groups`` is a CSV file with columns ``path`` and ``group``; without it each video is a group. Intervals
    are bootstrapped over groups; differences are to the first probe, video by video.
    """
    parts = {split: FeatureFile(file) for split, file in files.items()}
    metadata = next(iter(parts.values())).metadata
    for part in parts.values():
        if different := [name for name in metadata.differences(part.metadata) if name != "split"]:
            problem = f"is of other features than its neighbours ({', '.join(different)})"
            raise DataError(part.path, problem, "delete it, and run features.py with ckpt_path= or weights= again")
    read = {split: parts[split].read() for split in sorted(parts, key=SPLITS.index)}
    paths = [path for split in read.values() for path in split.paths]
    group_of = paths if groups is None else read_groups(Path(groups), paths)
    rows = []
    for column, (head, names) in enumerate(metadata.heads.items()):
        features = _join(list(read.values()), column)
        if (features.labels < 0).any():
            path = paths[int((features.labels < 0).argmax())]
            raise DataError(path, f"has no {head}, and a probe needs one", "leave such videos out, or probes=[]")
        if folds is None:
            ends = np.cumsum([len(read[split].paths) for split in SPLITS])
            splits = [Fold(*np.split(np.arange(ends[-1]), ends[:-1]))]
        else:
            splits = list(grouped_folds(features.labels, group_of, folds, seed))
        rows += _probe_head(head, len(names), features, group_of, splits, probes, seed)
    with (folder / "probes.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    _print(rows)
    return rows


def _probe_head(
    head: str,
    classes: int,
    features: LabelledFeatures,
    groups: Sequence[str],
    splits: Sequence[Fold],
    probes: Sequence[str],
    seed: int,
) -> list[dict[str, Any]]:
    """Return the rows of the table for one head."""
    scored = np.concatenate([fold.test for fold in splits])
    scored_groups = [groups[row] for row in scored]
    rows: list[dict[str, Any]] = []
    first: np.ndarray | None = None
    for name in probes:
        begun, right, settings = time.perf_counter(), [], []
        for fold in splits:
            train, val, test = (features.take(part) for part in fold)
            result = run_probe(PROBES[name], train, val, test, classes=classes, seed=seed)
            right.append(result.predicted == test.labels)
            settings.append(" ".join(f"{key}={value:g}" for key, value in result.setting.items()))
        correct = np.concatenate(right).astype(np.float64)
        first = correct if first is None else first
        low, high = bootstrap_interval(correct, scored_groups)
        below, above = bootstrap_interval(correct - first, scored_groups)
        rows.append(
            {
                **{"head": head, "probe": name, "accuracy": correct.mean(), "low": low, "high": high},
                **{"difference": (correct - first).mean(), "difference_low": below, "difference_high": above},
                **{"videos": len(scored), "groups": len(set(scored_groups)), "folds": len(splits)},
                **{"settings": "; ".join(settings), "seconds": round(time.perf_counter() - begun, 1)},
            }
        )
        log.info("%s of %s: %.1f %% in %.1f s", name, head, 100 * correct.mean(), rows[-1]["seconds"])
    return rows


def read_groups(file: Path, paths: Sequence[str]) -> list[str]:
    """Return the group of every video, from a CSV file with columns ``path`` and ``group``.

    A path there is the end of a video's. Raises ConfigError where there is no such file, and DataError, with file, row
    and column, where it lacks one, an entry, or a video.
    """
    if not file.is_file():
        raise ConfigError("groups", file, "there is no such file", "set a CSV file with columns path and group")
    table = CsvTable(file)
    table.require("path", "group")
    ends_of_paths = [Path(path).parts for path in table.text("path").to_pylist()]
    group_of = dict(zip(ends_of_paths, table.text("group").to_pylist(), strict=True))
    ends = {len(parts) for parts in group_of}
    answer = []
    for path in paths:
        parts = Path(path).parts
        known = [group_of[parts[-length:]] for length in sorted(ends, reverse=True) if parts[-length:] in group_of]
        if not known:
            raise DataError(file, f"has no row for {path}", "add it", column="path")
        answer.append(known[0])
    return answer


def _join(parts: Sequence[VideoFeatures], column: int) -> LabelledFeatures:
    """Return the features of several files as one, with the labels of one head."""
    frames = np.concatenate([part.frames.reshape(len(part.frames), -1, part.frames.shape[-1]) for part in parts])
    video = np.concatenate([part.video for part in parts])
    return LabelledFeatures(frames, video, np.concatenate([part.labels[:, column] for part in parts]))


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table("head", "probe", "accuracy", "to the first", "seconds", title="Probes on frozen features")
    for row in rows:
        accuracy, low, high = (100 * row[key] for key in ("accuracy", "low", "high"))
        difference, below, above = (100 * row[key] for key in ("difference", "difference_low", "difference_high"))
        table.add_row(
            row["head"], row["probe"], f"{accuracy:.1f} % [{low:.1f}, {high:.1f}]",
            f"{difference:+.1f} [{below:+.1f}, {above:+.1f}]", f"{row['seconds']:.1f}",
        )  # fmt: skip
    Console().print(table)
