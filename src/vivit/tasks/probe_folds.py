"""Which fold a video of features is in: that of ``data=csv_folds``, so that probes and fine-tuning compare."""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from vivit.data.datasets import dataset_from_options
from vivit.data.datasets.csv_folds import CsvKFold
from vivit.data.datasets.csv_reader import CsvTable
from vivit.errors import ConfigError, DataError
from vivit.groups import stratified_group_folds

GROUPS_REMEDY = "set groups= to a CSV file with columns path and group"


def assign_folds(
    paths: Sequence[str],
    labels: Int[np.ndarray, " n"],
    groups_file: str | None,
    folds: int,
    source: Mapping[str, Any],
) -> tuple[list[str], Int[np.ndarray, " n"]]:
    """Return group and fold, from 0, of every video, in whole groups.

    ``source`` are ``root`` and ``dataset`` of the features' data set, as text. Where that is ``csv_folds`` and no file
    of groups is set, groups and folds are its; else the same rule cuts the videos by ``labels``, of the first head, in
    the order of the file of groups, without which each video is a group. Raises ConfigError where there are fewer
    groups than folds, and DataError where a video has no group.
    """
    if groups_file is None and (dataset := folds_of_source(source, folds)) is not None:
        assignments = dataset.assignments()
        if missing := next((path for path in paths if path not in assignments), None):
            raise DataError(dataset.root / dataset.file, f"has no row for {missing}", f"add it, or {GROUPS_REMEDY}")
        pairs = [assignments[path] for path in paths]
        return [group for group, _ in pairs], np.array([fold for _, fold in pairs])
    group_of, rows = (list(paths), range(len(paths))) if groups_file is None else read_groups(Path(groups_file), paths)
    order = sorted(range(len(paths)), key=lambda video: rows[video])
    fold_of = stratified_group_folds(
        [group_of[video] for video in order], [str(labels[video]) for video in order], folds, "folds"
    )
    return group_of, np.array([fold_of[group] for group in group_of])


def folds_of_source(source: Mapping[str, Any], folds: int) -> CsvKFold | None:
    """Return the data set of features cut into so many folds; None where it is another than ``csv_folds``.

    Raises ConfigError where its list of videos is gone.
    """
    try:
        options: Any = ast.literal_eval(str(source.get("dataset")))
    except (ValueError, SyntaxError):
        return None
    if not isinstance(options, Mapping) or options.get("name") != "csv_folds":
        return None
    root = Path(str(source.get("root")))
    dataset = dataset_from_options({**options, "folds": folds, "fold": 0}, root=root)
    assert isinstance(dataset, CsvKFold)
    if not (file := root / dataset.file).is_file():
        problem = f"are those of {file}, which lists the videos of these features, and there is no such file"
        raise ConfigError("folds", folds, problem, f"put it back, or {GROUPS_REMEDY}")
    return dataset


def read_groups(file: Path, paths: Sequence[str]) -> tuple[list[str], list[int]]:
    """Return group and row, from 0, of every video, from a CSV file with columns ``path`` and ``group``.

    A path there is the end of a video's. Raises ConfigError where there is no such file, and DataError, with file, row
    and column, where it lacks one, an entry, or a video.
    """
    if not file.is_file():
        raise ConfigError("groups", file, "there is no such file", "set a CSV file with columns path and group")
    table = CsvTable(file, expected=["path", "group"])
    table.require("path", "group")
    ends_of_paths = [Path(path).parts for path in table.text("path").to_pylist()]
    numbered = zip(table.text("group").to_pylist(), range(len(ends_of_paths)), strict=True)
    group_of = dict(zip(ends_of_paths, numbered, strict=True))
    ends = {len(parts) for parts in group_of}
    groups, rows = [], []
    for path in paths:
        parts = Path(path).parts
        known = [group_of[parts[-length:]] for length in sorted(ends, reverse=True) if parts[-length:] in group_of]
        if not known:
            raise DataError(file, f"has no row for {path}", "add it", column="path")
        groups.append(known[0][0])
        rows.append(known[0][1])
    return groups, rows
