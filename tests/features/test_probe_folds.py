"""Probes and fine-tuning are scored on the same videos: fold by fold those of data=csv_folds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from vivit.data.datasets.csv_folds import CsvKFold
from vivit.errors import ConfigError, DataError
from vivit.tasks.probe_folds import assign_folds

OPTIONS = {"name": "csv_folds", "folds": 5, "fold": 3, "label_columns": ["label"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two hundred videos in forty groups of mixed classes, in no order."""
    rng = np.random.default_rng(3)
    rows = [f"{number:03}.mp4,{rng.choice(list('xyz'))},g{rng.integers(40)}\n" for number in rng.permutation(200)]
    (tmp_path / "videos.csv").write_text("path,label,group\n" + "".join(rows))
    return tmp_path


def scored(root: Path, folds: int) -> list[set[str]]:
    """The test videos of each fold of the data set."""
    sets = [CsvKFold(root=root, folds=folds, fold=fold) for fold in range(folds)]
    return [set(each.csv_rows("test").text("path").to_pylist()) for each in sets]


def features(root: Path) -> tuple[list[str], np.ndarray]:
    """Paths and classes as files of features have them: train, val and test of a fold, one behind the other."""
    data = CsvKFold(root=root, folds=5, fold=3)
    tables = [data.table(split) for split in ("train", "val", "test")]
    paths = [path for table in tables for path in table["path"].to_pylist()]
    return paths, np.concatenate([np.asarray(table["label_0"]) for table in tables])


def by_fold(paths: Sequence[str], fold_of: np.ndarray, folds: int) -> list[set[str]]:
    return [{path for path, of in zip(paths, fold_of, strict=True) if of == fold} for fold in range(folds)]


@pytest.mark.parametrize("folds", [3, 5, 7])
def test_folds_are_those_of_the_data_set(root: Path, folds: int) -> None:
    paths, labels = features(root)
    groups, fold_of = assign_folds(paths, labels, None, folds, {"root": str(root), "dataset": str(OPTIONS)})
    assert by_fold(paths, fold_of, folds) == scored(root, folds)
    rows = dict(line.split(",")[::2] for line in (root / "videos.csv").read_text().split()[1:])
    assert groups == [rows[path] for path in paths]


@pytest.mark.parametrize("folds", [3, 5, 7])
def test_a_file_of_groups_that_lists_the_videos_makes_the_same_folds(root: Path, folds: int) -> None:
    paths, labels = features(root)
    absolute = [f"/elsewhere/{path}" for path in paths]
    _, fold_of = assign_folds(absolute, labels, str(root / "videos.csv"), folds, {"root": "/x", "dataset": "{}"})
    assert by_fold(paths, fold_of, folds) == scored(root, folds)


def test_videos_that_are_left_out_move_no_other(root: Path) -> None:
    paths, labels = features(root)
    _, fold_of = assign_folds(paths[7:], labels[7:], None, 5, {"root": str(root), "dataset": str(OPTIONS)})
    for videos, all_videos in zip(by_fold(paths[7:], fold_of, 5), scored(root, 5), strict=True):
        assert videos == all_videos - set(paths[:7])


def test_without_groups_each_video_is_one(root: Path) -> None:
    paths, labels = features(root)
    groups, fold_of = assign_folds(paths, labels, None, 5, {"root": str(root), "dataset": "{'name': 'folder'}"})
    assert groups == paths
    assert np.bincount(fold_of).tolist() == [40] * 5


def test_what_is_missing_is_named(root: Path) -> None:
    paths, labels = features(root)
    source = {"root": str(root), "dataset": str(OPTIONS)}
    with pytest.raises(DataError, match=r"has no row for other\.mp4.*groups="):
        assign_folds([*paths, "other.mp4"], np.append(labels, 0), None, 5, source)
    with pytest.raises(ConfigError, match="folds=41"):
        assign_folds(paths, labels, str(root / "videos.csv"), 41, source)
    (root / "videos.csv").rename(root / "moved.csv")
    with pytest.raises(ConfigError, match="folds=5.*there is no such file.*groups="):
        assign_folds(paths, labels, None, 5, source)


def test_a_video_in_two_groups_is_refused(root: Path) -> None:
    file = root / "videos.csv"
    file.write_text(file.read_text() + "000.mp4,x,another\n")
    paths, labels = features(root)
    with pytest.raises(DataError, match=r"000\.mp4 in two groups"):
        assign_folds(paths, labels, None, 5, {"root": str(root), "dataset": str(OPTIONS)})
