"""Splits that are not listed: all videos in one folder or file, and validation videos held out by group and class."""

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import StratifiedShuffleSplit

from vivit.data.datasets import CsvDataset, CsvKFold, VideoFolder
from vivit.data.datasets.subsets import groups_of_paths, held_out
from vivit.errors import ConfigError, DataError
from vivit.tasks.dataset import write_splits


def folders(root: Path, *, classes: int = 3, films: int = 6, clips: int = 2, below: str = "") -> Path:
    for name in (f"c{number}" for number in range(classes)):
        (root / below / name).mkdir(parents=True)
        for film in range(films):
            for clip in range(clips):
                (root / below / name / f"{name}film{film}_clip{clip}.mp4").touch()
    return root


def paths(dataset: VideoFolder | CsvDataset, split: str) -> list[str]:
    return [str(Path(video.path).relative_to(dataset.root)) for video in dataset.videos(split)]


def test_a_folder_of_classes_alone_is_split_by_film(tmp_path: Path) -> None:
    dataset = VideoFolder(root=folders(tmp_path), val_share=1 / 3, group_before="_clip")
    assert (dataset.listed_splits, dataset.splits) == (("train",), ("train", "val"))
    train, val = paths(dataset, "train"), paths(dataset, "val")
    assert sorted(train + val) == sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.mp4"))
    assert not {path.split("_")[0] for path in train} & {path.split("_")[0] for path in val}
    assert Counter(path[:2] for path in val) == {"c0": 4, "c1": 4, "c2": 4}
    again = VideoFolder(root=tmp_path, val_share=1 / 3, group_before="_clip")
    assert paths(again, "val") == val


def test_new_videos_of_other_films_move_no_old_one_across(tmp_path: Path) -> None:
    dataset = VideoFolder(root=folders(tmp_path, films=20, clips=1), val_share=0.5)
    before = set(paths(dataset, "val"))
    (tmp_path / "c0" / "another.mp4").touch()
    after = set(paths(VideoFolder(root=tmp_path, val_share=0.5), "val"))
    assert len(before ^ after) <= 2


def test_listed_splits_stay_as_they_are_and_a_train_folder_alone_is_cut(tmp_path: Path) -> None:
    folders(tmp_path / "a", below="train")
    folders(tmp_path / "a", below="test")
    dataset = VideoFolder(root=tmp_path / "a", val_share=0.2)
    assert dataset.splits == ("train", "val", "test")
    assert all(path.startswith("train/") for path in paths(dataset, "val"))
    assert len(paths(dataset, "test")) == 36
    folders(tmp_path / "a", below="val", films=1)
    listed = VideoFolder(root=tmp_path / "a", val_share=0.2)
    assert not listed.holds_out
    assert len(paths(listed, "train")) == 36
    assert len(paths(listed, "val")) == 6


def test_what_prepare_writes_below_the_root_is_no_class(tmp_path: Path) -> None:
    folders(tmp_path)
    folders(tmp_path / "prepared", below="copies-256")
    dataset = VideoFolder(root=tmp_path, val_share=0.2)
    assert dataset.heads == {"label": ("c0", "c1", "c2")}
    assert len(paths(dataset, "train") + paths(dataset, "val")) == 36


def test_folders_without_videos_are_no_classes_and_are_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders(tmp_path)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "0123.frames").touch()
    (tmp_path / "notes" / "empty").mkdir(parents=True)
    (tmp_path / "notes" / "read.txt").touch()
    (tmp_path / "prepared" / "short256" / "c0").mkdir(parents=True)
    (tmp_path / "prepared" / "short256" / "c0" / "a.mp4.mp4").touch()
    (tmp_path / "fast" / "index").mkdir(parents=True)  # an index_dir of an earlier command
    (tmp_path / "fast" / "index" / "1-1.arrow").touch()
    (tmp_path / "fast" / "copy.mp4").touch()
    for _ in range(2):  # as data.batch_size=auto builds it too
        dataset = VideoFolder(root=tmp_path, val_share=0.2)
        assert dataset.heads == {"label": ("c0", "c1", "c2")}
        assert len(paths(dataset, "train") + paths(dataset, "val")) == 36
    named = [record.getMessage() for record in caplog.records if "no classes" in record.getMessage()]
    what = "3 folders have no videos for training and are no classes: cache, fast, notes"
    assert named == [f"{tmp_path}: {what}"]


def test_an_index_elsewhere_below_the_root_is_no_class_by_whatever_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders(tmp_path)
    folders(tmp_path / "made", below="copies-256")
    monkeypatch.chdir(tmp_path.parent)
    dataset = VideoFolder(root=tmp_path, index_dir=Path(tmp_path.name) / "made")
    assert dataset.heads == {"label": ("c0", "c1", "c2")}
    assert len(paths(dataset, "train")) == 36


def test_a_root_of_empty_folders_has_no_classes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match=r"has no videos in class folders \(a\)"):
        VideoFolder(root=tmp_path).videos("train")


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_that_there_is_not_is_refused_with_what_to_set(tmp_path: Path, split: str) -> None:
    errors = []
    with pytest.raises(DataError, match="there is no such folder; arrange the videos as") as error:
        VideoFolder(root=folders(tmp_path / "f")).videos(split)
    errors.append(str(error.value))
    (tmp_path / "train.csv").write_text("path,label\na.mp4,x\n")
    with pytest.raises(DataError, match=f"there is no such file; list the {split} videos in it") as error:
        CsvDataset(root=tmp_path).videos(split)
    errors.append(str(error.value))
    (tmp_path / "train.csv").rename(tmp_path / "videos.csv")
    with pytest.raises(DataError, match="has no column split; add it") as error:
        CsvDataset(root=tmp_path).videos(split)
    errors.append(str(error.value))
    assert ["data.val_share=0.2" in text for text in errors] == 3 * [split == "val"]


def one_file(root: Path, columns: str, *rows: str) -> None:
    for name in "abcdefgh":
        (root / f"{name}.mp4").touch()
    (root / "videos.csv").write_text("\n".join([columns, *rows]) + "\n")


def test_a_list_beside_a_list_of_training_videos_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one_file(tmp_path, "path,label", "a.mp4,x", "b.mp4,y")
    (tmp_path / "train.csv").write_text("path,label\nc.mp4,z\n")
    for _ in range(2):
        dataset = CsvDataset(root=tmp_path, val_share=0.5)
        assert dataset.heads == {"label": ("z",)}
        assert dataset.splits == ("train", "val")
    (message,) = [record.getMessage() for record in caplog.records if "is not read" in record.getMessage()]
    assert message == (
        f"{tmp_path}/train.csv lists the training videos, so videos.csv beside it is not read; rename one"
    )


@pytest.mark.parametrize("name", ["splits.csv", "absent.csv"])
def test_a_list_that_is_set_contradicts_a_list_of_training_videos(name: str, tmp_path: Path) -> None:
    for file in ("train.csv", "splits.csv"):
        (tmp_path / file).write_text("path,label\na.mp4,x\n")
    dataset = CsvDataset(root=tmp_path, file=name)
    with pytest.raises(ConfigError, match=r"train\.csv lists the training videos too; rename train\.csv") as error:
        dataset.videos("train")
    assert (error.value.key, error.value.value) == ("data.dataset.file", name)
    (tmp_path / "train.csv").unlink()
    if name == "splits.csv":
        assert CsvDataset(root=tmp_path, file=name).heads == {"label": ("x",)}


def test_folds_read_their_own_file_whatever_lies_beside_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one_file(tmp_path, "path,label,group", *(f"{name}.mp4,x,{name}" for name in "abcdefgh"))
    (tmp_path / "train.csv").write_text("path,label\nc.mp4,z\n")
    assert CsvKFold(root=tmp_path).heads == {"label": ("x",)}
    assert len(CsvKFold(root=tmp_path, folds=4).videos("test")) == 2
    assert not caplog.records


def test_one_file_with_a_column_of_splits(tmp_path: Path) -> None:
    one_file(tmp_path, "path,label,split", "a.mp4,x,train", "b.mp4,y,train", "c.mp4,y,test", "d.mp4,x,val")
    dataset = CsvDataset(root=tmp_path, val_share=0.5)
    assert dataset.splits == ("train", "val", "test")
    assert [paths(dataset, split) for split in dataset.splits] == [["a.mp4", "b.mp4"], ["d.mp4"], ["c.mp4"]]
    one_file(tmp_path, "path,label,split", "a.mp4,x,train", "b.mp4,y,held")
    with pytest.raises(DataError, match="'held' is none of train, val, test") as error:
        CsvDataset(root=tmp_path).videos("train")
    assert (error.value.row, error.value.column) == (3, "split")


def test_groups_of_a_column_are_on_one_side_and_numbers_follow_their_rows(tmp_path: Path) -> None:
    rows = (f"{name}.mp4,{'xy'[i % 2]},{i // 2 % 2 + 10 * (i % 2)},{i}.5" for i, name in enumerate("abcdefgh"))
    one_file(tmp_path, "path,label,group,speed", *rows)
    dataset = CsvDataset(root=tmp_path, val_share=0.5, score_by=["speed"])
    val = paths(dataset, "val")
    assert len(val) == 4
    groups = {f"{name}.mp4": i // 2 % 2 + 10 * (i % 2) for i, name in enumerate("abcdefgh")}
    assert not {groups[path] for path in val} & {groups[path] for path in paths(dataset, "train")}
    for split in ("train", "val"):
        expected = ["abcdefgh".index(path[0]) + 0.5 for path in paths(dataset, split)]
        assert dataset.difficulty(split)["speed"].to_pylist() == expected


def test_the_share_of_every_class_is_that_of_scikit_learn_s_stratified_split() -> None:
    labels = np.repeat([0, 1, 2], [100, 60, 40])
    ours = held_out(labels.tolist(), [f"{number}" for number in range(200)], 0.2)
    ((_, theirs),) = StratifiedShuffleSplit(1, test_size=0.2, random_state=0).split(labels, labels)
    assert np.bincount(labels[ours]).tolist() == np.bincount(labels[theirs]).tolist() == [20, 12, 8]


def test_a_class_keeps_a_group_on_either_side_where_it_has_two() -> None:
    selected = held_out(["x"] * 9 + ["y", "y", "z"], ["a"] * 8 + ["b", "c", "d", "e"], 0.01)
    assert selected[:9].sum() in (1, 8)
    assert selected[9:11].sum() == 1
    assert not selected[11], "a class of one group stays for training"


def test_what_cannot_be_held_out_is_refused(tmp_path: Path) -> None:
    for share in (0.0, 1.0, -0.2):
        with pytest.raises(ConfigError, match=r"data\.val_share=.*is not a share"):
            VideoFolder(root=tmp_path, val_share=share)
    with pytest.raises(ConfigError, match="one group of videos only"):
        VideoFolder(root=folders(tmp_path / "f", films=1), val_share=0.2, group_before="_clip").videos("val")
    with pytest.raises(ConfigError, match="is no regular expression"):
        groups_of_paths(["a.mp4"], "(")
    assert groups_of_paths(["x/film_clip1.mp4", "y/film_clip2.avi"], "_clip") == ["film", "film"]


def test_the_file_of_splits_is_one_that_csv_reads(tmp_path: Path) -> None:
    dataset = VideoFolder(root=folders(tmp_path / "f"), val_share=0.25)
    write_splits(dataset, tmp_path / "splits.csv")
    again = CsvDataset(root=tmp_path / "f", file=str(tmp_path / "splits.csv"))
    for split in ("train", "val"):
        assert sorted(map(str, again.videos(split))) == sorted(map(str, dataset.videos(split)))
    with (tmp_path / "splits.csv").open() as file:
        assert next(csv.reader(file)) == ["path", "label", "split"]


def test_folds_have_all_splits_whatever_share_is_set(tmp_path: Path) -> None:
    one_file(tmp_path, "path,label,group", *(f"{name}.mp4,{'xy'[i % 2]},{i}" for i, name in enumerate("abcdefgh")))
    dataset = CsvKFold(root=tmp_path, folds=4, val_share=0.5)
    assert dataset.splits == ("train", "val", "test")
    assert not dataset.holds_out


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("options", "key"),
    [({"val_share": "fifth"}, "data.val_share"), ({"train_share": "all"}, "data.train_share")],
)
def test_a_share_that_is_no_number_is_a_sentence(tmp_path: Path, options: dict[str, str], key: str) -> None:
    with pytest.raises(ConfigError, match="is not a share") as error:
        VideoFolder(root=tmp_path, **options)
    assert error.value.key == key


@pytest.mark.usefixtures("untyped")
def test_a_pattern_that_is_a_number_is_a_sentence() -> None:
    with pytest.raises(ConfigError, match="is no regular expression"):
        groups_of_paths(["a.mp4"], 3)


def test_a_list_of_another_name_is_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,label\na.mp4,x\n")
    with pytest.raises(DataError, match=r"train\.csv: there is no such file; set data\.dataset\.file=labels\.csv"):
        CsvDataset(root=tmp_path).heads  # noqa: B018
    (tmp_path / "more.csv").touch()
    with pytest.raises(DataError, match=r"there is no such file; list the train videos in it"):
        CsvDataset(root=tmp_path).heads  # noqa: B018
