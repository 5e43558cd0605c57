"""Lists of videos with several labels each: what they become, and file, row and column of what is wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vivit.data.datasets import CsvDataset, CsvKFold, FlipLabelMap, VideoDataset
from vivit.errors import ConfigError, DataError
from vivit.structures import MultiLabel, Video

TRAIN = 'path,place,tags,walk,wave\na.mp4,in,wave;jump,0,1\nb.mp4,out,,0,0\nc.mp4,in,"walk; wave",1,1\n'
VAL = "path,place,tags,walk,wave\na.mp4,out,jump,1,0\n"


def lists(root: Path, train: str = TRAIN, val: str = VAL, **options: Any) -> CsvDataset:
    (root / "train.csv").write_text(train)
    (root / "val.csv").write_text(val)
    for name in "abc":
        (root / f"{name}.mp4").touch()
    return CsvDataset(root=root, **options)


def labels(data: VideoDataset, split: Any = "train") -> list[tuple[int, ...]]:
    return [video.labels for video in data.videos(split)]


def test_entries_with_a_separator_become_a_number_for_each_class(tmp_path: Path) -> None:
    data = lists(tmp_path, label_columns=["tags"], separator=";")
    assert data.heads == {"tags": ("jump", "walk", "wave")}
    assert isinstance(data.heads["tags"], MultiLabel)
    assert labels(data) == [(1, 0, 1), (0, 0, 0), (0, 1, 1)]
    assert labels(data, "val") == [(1, 0, 0)]
    assert data.videos("train").unlabelled() == 0, "a video without any of the classes is labelled"


def test_a_head_of_one_label_stands_beside_it(tmp_path: Path) -> None:
    data = lists(tmp_path, label_columns=["place", "tags"], separator={"tags": ";"})
    assert not isinstance(data.heads["place"], MultiLabel)
    assert labels(data) == [(0, 1, 0, 1), (1, 0, 0, 0), (0, 0, 1, 1)]
    assert data.videos("train").labels().tolist() == [list(each) for each in labels(data)]


def test_columns_of_0_and_1_are_the_classes_of_a_head(tmp_path: Path) -> None:
    data = lists(tmp_path, label_columns=["place"], class_columns={"moves": ["wave", "walk"]})
    assert data.heads == {"place": ("in", "out"), "moves": ("wave", "walk")}
    assert isinstance(data.heads["moves"], MultiLabel)
    assert labels(data) == [(0, 1, 0), (1, 0, 0), (0, 1, 1)]


@pytest.mark.parametrize(
    ("split", "entry", "problem"),
    [
        ("train", "wave;;jump", "empty label"),
        ("train", "wave;", "empty label"),
        ("train", "wave;jump;wave", "twice"),
        ("train", "Wave", "'Wave' differs from 'wave'"),
        ("val", "jump;wav", "'wav' is not a known class; the nearest class is 'wave'"),
        ("val", "JUMP", "the nearest class is 'jump'"),
    ],
)
def test_wrong_labels_are_answered_with_file_row_and_column(
    split: str, entry: str, problem: str, tmp_path: Path
) -> None:
    texts = {"train": TRAIN, "val": VAL}
    texts[split] += f"b.mp4,in,{entry},0,0\n"
    data = lists(tmp_path, **texts, label_columns=["tags"], separator=";")
    with pytest.raises(DataError, match=problem) as error:
        data.videos(split)  # type: ignore[arg-type]
    row = len(texts[split].splitlines())
    assert (error.value.file, error.value.row, error.value.column) == (str(tmp_path / f"{split}.csv"), row, "tags")


@pytest.mark.parametrize("entry", ["", "2", "yes"])
def test_an_entry_that_is_neither_0_nor_1_is_refused(entry: str, tmp_path: Path) -> None:
    data = lists(
        tmp_path, TRAIN + f"a.mp4,in,,0,{entry}\n", label_columns=[], class_columns={"moves": ["walk", "wave"]}
    )
    with pytest.raises(DataError, match="neither 0 nor 1") as error:
        data.videos("train")
    assert (error.value.row, error.value.column) == (5, "wave")


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"label_columns": ["tags"], "separator": {"moods": ";"}}, "data.dataset.separator"),
        ({"label_columns": ["tags"], "separator": ""}, "data.dataset.separator"),
        ({"label_columns": ["tags"], "class_columns": {"tags": ["walk"]}}, "data.dataset.class_columns"),
        ({"label_columns": [], "class_columns": {"moves": ["walk", "walk"]}}, "data.dataset.class_columns"),
        ({"label_columns": [], "class_columns": {"moves": []}}, "data.dataset.class_columns"),
        ({"label_columns": []}, "data.dataset.label_columns"),
    ],
    ids=str,
)
def test_impossible_heads_are_refused(options: dict[str, Any], key: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        lists(tmp_path, **options)
    assert error.value.key == key


def test_folds_have_about_as_many_videos_of_every_combination(tmp_path: Path) -> None:
    combinations = ["walk", "wave", "walk;wave", ""]
    rows = [f"{n}.mp4,{combinations[n % 4]},g{n},{n % 2},{n // 2 % 2}" for n in range(40)]
    (tmp_path / "videos.csv").write_text("path,tags,group,walk,wave\n" + "\n".join(rows) + "\n")
    for n in range(40):
        (tmp_path / f"{n}.mp4").touch()
    columns: tuple[dict[str, Any], ...] = (
        {"label_columns": ["tags"], "separator": ";"},
        {"label_columns": [], "class_columns": {"tags": ["walk", "wave"]}},
    )
    for options in columns:
        data = CsvKFold(root=tmp_path, **options)
        _, counts = np.unique(data.videos("test").labels(), axis=0, return_counts=True)
        assert counts.tolist() == [2, 2, 2, 2]


def test_a_share_of_the_training_videos_has_every_combination(tmp_path: Path) -> None:
    rows = [f"{n}.mp4,{['walk', 'wave', ''][n % 3]}" for n in range(30)]
    (tmp_path / "train.csv").write_text("path,tags\n" + "\n".join(rows) + "\n")
    for n in range(30):
        (tmp_path / f"{n}.mp4").touch()
    data = CsvDataset(root=tmp_path, label_columns=["tags"], separator=";", train_share=0.2)
    _, counts = np.unique(data.videos("train").labels(), axis=0, return_counts=True)
    assert counts.tolist() == [2, 2, 2]


def test_flips_swap_classes_of_either_kind() -> None:
    heads = {"tags": MultiLabel(("left", "right", "up")), "side": ("left", "right")}
    swap = {"left": "right", "right": "left"}
    flip = FlipLabelMap.of_names(heads, {"tags": swap, "side": swap})
    assert flip((1, 0, 1, 0)) == (0, 1, 1, 1)
    assert flip(flip((1, 0, 1, 0))) == (1, 0, 1, 0)
    assert FlipLabelMap.of_names(heads, {"side": swap})((1, 0, 1, 0)) == (1, 0, 1, 1)


class Gestures(VideoDataset):
    """A data set of one's own."""

    heads = {"tags": MultiLabel("xyz"), "kind": ("a", "b")}  # type: ignore[assignment]  # noqa: RUF012

    def table(self, split: Any) -> list[Video]:
        return [Video("a.mp4", (1, 0, 1, 1)), Video("b.mp4", (0, 0, 0 if split == "train" else 2, 0))]


def test_a_data_set_of_one_s_own_may_have_a_multi_label_head(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.mp4").touch()
    assert labels(Gestures(root=tmp_path)) == [(1, 0, 1, 1), (0, 0, 0, 0)]
    with pytest.raises(DataError, match="no class number of 'tags'") as error:
        Gestures(root=tmp_path).videos("val")
    assert error.value.row == 1
