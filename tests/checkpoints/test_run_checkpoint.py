"""A run folder stands for its best checkpoint; a test set is read with the classes of a checkpoint."""

from pathlib import Path

import pytest

from vivit.checkpoints.vivit_checkpoint import resolve_checkpoint_file
from vivit.data.datasets import dataset_from_options
from vivit.errors import ConfigError, DataError


def make(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_the_best_checkpoint_of_a_run_is_taken(tmp_path: Path) -> None:
    run = make(tmp_path / "run", "checkpoints/last.ckpt")
    assert resolve_checkpoint_file(str(run)).name == "last.ckpt"
    make(run, "checkpoints/best.ckpt")
    assert resolve_checkpoint_file(str(run)) == run / "checkpoints" / "best.ckpt"
    assert resolve_checkpoint_file(str(run / "checkpoints")).name == "best.ckpt"
    assert resolve_checkpoint_file(str(run), "last").name == "last.ckpt"


def test_folders_without_one_answer_are_refused(tmp_path: Path) -> None:
    make(tmp_path / "sweep", "a/checkpoints/best.ckpt", "b/checkpoints/best.ckpt")
    with pytest.raises(ConfigError, match="is the folder of 2 runs; set one of .*sweep/a, .*sweep/b"):
        resolve_checkpoint_file(str(tmp_path / "sweep"))
    with pytest.raises(ConfigError, match="has 2 checkpoints"):
        resolve_checkpoint_file(str(make(tmp_path / "two", "x.ckpt", "y.ckpt")))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="is a folder without checkpoints"):
        resolve_checkpoint_file(str(tmp_path / "empty"))


def test_a_test_split_alone_has_the_classes_of_the_checkpoint(tmp_path: Path) -> None:
    make(tmp_path, "test/dark/a.mp4", "test/c.mp4")
    data = dataset_from_options({"name": "folder"}, root=tmp_path)
    data.take_classes({"label": ["bright", "dark"]}, labelled=True)
    assert data.videos("test").labels().tolist() == [[1]]
    data = dataset_from_options({"name": "folder"}, root=tmp_path)
    data.take_classes({"label": ["bright", "dark"]}, labelled=False)
    assert sorted(data.videos("test").labels().ravel().tolist()) == [-1, 1]
    data = dataset_from_options({"name": "folder"}, root=tmp_path)
    data.take_classes({"label": ["bright", "darkk"]}, labelled=True)
    with pytest.raises(DataError, match="are no classes of the checkpoint; the nearest class is 'darkk'"):
        data.videos("test")


def test_a_list_without_labels_is_read_where_none_are_needed(tmp_path: Path) -> None:
    make(tmp_path, "a.mp4")
    (tmp_path / "test.csv").write_text("path\na.mp4\n")
    data = dataset_from_options({"name": "csv"}, root=tmp_path)
    data.take_classes({"label": ["bright", "dark"]}, labelled=False)
    assert data.videos("test").labels().tolist() == [[-1]]
    data = dataset_from_options({"name": "csv"}, root=tmp_path)
    data.take_classes({"label": ["bright", "dark"]}, labelled=True)
    with pytest.raises(DataError, match="compute_metrics=false"):
        data.videos("test")
