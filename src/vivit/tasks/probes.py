"""Probes on files of features: which settings are chosen, what they score, as a table; every video's answer."""

import csv
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from vivit.errors import ConfigError, DataError
from vivit.features.doubtful_labels import doubtful_labels
from vivit.features.feature_file import FeatureFile, VideoFeatures
from vivit.features.folds import Fold, rows_of_folds
from vivit.features.probes import PROBES, LabelledFeatures, run_probe
from vivit.groups import bootstrap_interval
from vivit.tasks.probe_folds import assign_folds, read_groups
from vivit.text import count, name_some

log = logging.getLogger(__name__)

COLUMNS = (
    *("head", "probe", "accuracy", "low", "high", "difference", "difference_low", "difference_high"),
    *("videos", "groups", "folds", "settings", "seconds"),
)
DOUBTFUL_COLUMNS = ("head", "path", "label", "answer", "margin")
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
    one set, cut as ``probe_folds`` says. ``groups`` is a CSV file with columns ``path`` and ``group``; without it
    each video is a group, unless the data set has folds. Intervals are bootstrapped over groups; differences are to the
    first probe, video by video. ``probe_videos.csv`` has what each probe answered, ``doubtful_labels.csv`` the videos
    that the first one takes for another class than their label.
    """
    parts = {split: FeatureFile(file) for split, file in files.items()}
    metadata = next(iter(parts.values())).metadata
    for part in parts.values():
        if different := [name for name in metadata.differences(part.metadata) if name != "split"]:
            problem = f"is of other features than its neighbours ({', '.join(different)})"
            raise DataError(part.path, problem, "delete it, and run features.py with ckpt_path= or weights= again")
    read = {split: parts[split].read() for split in sorted(parts, key=SPLITS.index)}
    paths = [path for split in read.values() for path in split.paths]
    labels = np.concatenate([split.labels[:, 0] for split in read.values()])
    if folds is None:
        group_of = paths if groups is None else read_groups(Path(groups), paths)[0]
        ends = np.cumsum([len(read[split].paths) for split in SPLITS])
        splits = [Fold(*np.split(np.arange(ends[-1]), ends[:-1]))]
    else:
        group_of, fold_of = assign_folds(paths, labels, groups, folds, metadata.data)
        splits = list(rows_of_folds(fold_of, folds))
    rows: list[dict[str, Any]] = []
    answers: list[dict[str, Any]] = []
    doubtful: list[dict[str, Any]] = []
    for column, (head, names) in enumerate(metadata.heads.items()):
        features = _join(list(read.values()), column)
        if (features.labels < 0).any():
            path = paths[int((features.labels < 0).argmax())]
            raise DataError(path, f"has no {head}, and a probe needs one", "leave such videos out, or probes=[]")
        of_head, probabilities = _probe_head(head, len(names), features, group_of, splits, probes, seed)
        rows += of_head
        scored = np.concatenate([split.test for split in splits])
        for row, answer, margin in doubtful_labels(probabilities[probes[0]][scored], features.labels[scored]):
            video = scored[row]
            named = {"label": names[features.labels[video]], "answer": names[answer], "margin": round(margin, 4)}
            doubtful.append({"head": head, "path": paths[video], **named})
        for fold, split in enumerate(splits):
            for row in split.test:
                answers.append({"head": head, "path": paths[row], "group": group_of[row], "fold": fold})
                answers[-1] |= {"label": names[features.labels[row]]}
                answers[-1] |= {probe: names[classes[row].argmax()] for probe, classes in probabilities.items()}
    _write_csv(folder / "probes.csv", rows, COLUMNS)
    _write_csv(folder / "probe_videos.csv", answers, ("head", "path", "group", "fold", "label", *probes))
    _write_csv(folder / "doubtful_labels.csv", doubtful, DOUBTFUL_COLUMNS)
    _print(rows)
    if doubtful:
        listed = [f"{row['path']} ({row['label']}, rather {row['answer']})" for row in doubtful]
        print(f"{count(len(doubtful), 'label')} that {probes[0]} doubts: {name_some(listed)}; see doubtful_labels.csv")
    return rows


def _probe_head(
    head: str,
    classes: int,
    features: LabelledFeatures,
    groups: Sequence[str],
    splits: Sequence[Fold],
    probes: Sequence[str],
    seed: int,
) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """Return the rows of the table for one head, and by probe the probabilities of every video, 0 if not scored."""
    scored = np.concatenate([fold.test for fold in splits])
    scored_groups = [groups[row] for row in scored]
    rows: list[dict[str, Any]] = []
    first: np.ndarray | None = None
    probabilities = {name: np.zeros((len(groups), classes), np.float32) for name in probes}
    for name in probes:
        begun, right, settings = time.perf_counter(), [], []
        for fold in splits:
            train, val, test = (features.take(part) for part in fold)
            result = run_probe(PROBES[name], train, val, test, classes=classes, seed=seed)
            right.append(result.predicted == test.labels)
            probabilities[name][fold.test] = result.probabilities
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
    return rows, probabilities


def _write_csv(target: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    with target.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


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
