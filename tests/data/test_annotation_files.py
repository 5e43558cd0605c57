"""What people have in folders and lists: nothing becomes a class or is lost without a word."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from vivit.data.datasets import CsvDataset, VideoFolder
from vivit.data.find_videos import find_videos
from vivit.errors import ConfigError, DataError, UserError


def touch(root, *names: str):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def listed(root, split="train"):
    return VideoFolder(root=root).table(split).to_pydict()


def test_video_folder_hidden_files_are_left_out_with_a_warning(tmp_path, caplog):
    touch(tmp_path / "train", "a/1.mp4", "a/._1.mp4", "b/2.mp4", "b/.cache/3.mp4", ".ipynb_checkpoints/4.mp4")
    touch(tmp_path / "train", "__MACOSX/b/._2.mp4", "a/Thumbs.db", "@eaDir/x.mp4", ".DS_Store", "b/desktop.ini")
    assert VideoFolder(root=tmp_path).heads == {"label": ("a", "b")}
    assert listed(tmp_path)["path"] == ["train/a/1.mp4", "train/b/2.mp4"]
    (message,) = {record.getMessage() for record in caplog.records}
    assert "left out 8 files or folders that are hidden: .DS_Store, .ipynb_checkpoints, @eaDir and 5 more" in message


SUFFIXES = [
    "wmv",
    "flv",
    "3gp",
    "ts",
    "mts",
    "m2ts",
    "gif",
    "ogv",
    "asf",
    "vob",
    "WMV",
    "Mp4",
    "mpeg",
    "qt",
    "f4v",
    "mxf",
]


def test_video_folder_reads_every_suffix_and_subfolders(tmp_path, caplog):
    names = [f"a/{number}.{suffix}" for number, suffix in enumerate(SUFFIXES)] + ["b/day1/x.mp4", "b/day2/cam1/x.mov"]
    touch(tmp_path / "train", *names)
    table = listed(tmp_path)
    assert sorted(table["path"]) == sorted(f"train/{name}" for name in names)
    assert table["label_0"] == [0] * len(SUFFIXES) + [1, 1]
    assert sorted(find_videos(str(tmp_path))) == sorted(str(tmp_path / "train" / name) for name in names)
    assert not caplog.records


def test_video_folder_other_files_are_counted_in_a_warning(tmp_path, caplog):
    touch(tmp_path / "train", "a/1.mp4", "a/notes.txt", "a/2.mp4.part", "b/3.mkv", "readme.md", "outside.mp4")
    with caplog.at_level(logging.WARNING):
        assert listed(tmp_path)["path"] == ["train/a/1.mp4", "train/b/3.mkv"]
    assert "left out 3 files or folders that are of other suffixes" in caplog.text
    assert "a/2.mp4.part, a/notes.txt, readme.md" in caplog.text
    assert "1 videos lie outside of class folders: outside.mp4" in caplog.text


def test_video_folder_class_without_video_is_logged(tmp_path, caplog):
    touch(tmp_path / "train", "a/1.mp4", "b/2.mp4", "c/notes.txt")
    touch(tmp_path / "val", "a/1.mp4")
    assert VideoFolder(root=tmp_path).heads == {"label": ("a", "b")}, "no output that nobody can get"
    assert "train: 1 folder has no videos for training and is no class: c" in caplog.text
    touch(tmp_path / "val", "c/1.mp4")
    with pytest.raises(DataError, match=r"has videos of \['c'\], which is empty in"):
        listed(tmp_path, "val")


def test_video_folder_reads_frame_folders(tmp_path):
    touch(tmp_path / "train", "a/clip1/frame_0000000001.jpg", "a/clip1/frame_0000000002.jpg", "b/2.mp4")
    assert listed(tmp_path)["path"] == ["train/a/clip1", "train/b/2.mp4"]
    assert find_videos(str(tmp_path)) == [str(tmp_path / "train/a/clip1"), str(tmp_path / "train/b/2.mp4")]


def test_video_folder_with_a_link_cycle_ends(tmp_path):
    touch(tmp_path / "train", "a/1.mp4", "b/2.mp4")
    (tmp_path / "train/a/up").symlink_to(tmp_path / "train")
    assert len(set(listed(tmp_path)["path"])) == len(listed(tmp_path)["path"]) == 2


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (map(str, range(12)), [*map(str, range(12))]),
        (["2", "10", "1"], ["1", "2", "10"]),
        (["01", "1", "2", "10"], ["01", "1", "2", "10"]),
        (["b2", "b10", "a"], ["a", "b10", "b2"]),
    ],
)
def test_class_order_of_numbers_is_by_size_in_folders_and_lists(tmp_path, names, order):
    names = list(names)
    touch(tmp_path / "train", *(f"{name}/x.mp4" for name in names))
    assert VideoFolder(root=tmp_path).heads["label"] == tuple(order)
    rows = "".join(f"{number}.mp4,{name}\n" for number, name in enumerate(reversed(names)))
    (tmp_path / "train.csv").write_text(f"path,label\n{rows}")
    assert CsvDataset(root=tmp_path).heads["label"] == tuple(order)


@pytest.mark.slow
def test_class_order_is_the_same_in_every_process():
    names = "{'1', '01', '001', '2', '02', '10', '7', '07'}"
    code = f"from vivit.data.datasets.class_names import sorted_classes; print(sorted_classes({names}))"
    orders = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": str(seed)},
            cwd=Path(__file__).parents[2] / "src",
        ).stdout
        for seed in range(4)
    }  # fmt: skip
    assert orders == {"('001', '01', '1', '02', '2', '07', '7', '10')\n"}


def csv_files(root, train, **settings):
    (root / "train.csv").write_text(train, encoding="utf-8")
    return CsvDataset(root=root, **settings)


@pytest.mark.parametrize(
    "train",
    [
        "path,label\na.mp4, x\nb.mp4,x\n",
        "path, label\na.mp4,x \nb.mp4 ,x\n",
        "path ,label\n a.mp4,\tx\nb.mp4,x\n",
        "\ufeffpath,label\na.mp4,\u00a0x\nb.mp4,x\n",
        'path,label\na.mp4,"x "\nb.mp4,x\n',
        'path, label\na.mp4, "x"\nb.mp4,x\n',
        '"path", "label"\n"a.mp4", "x"\n"b.mp4", "x"\n',
    ],
)
def test_csv_blanks_around_entries_are_stripped(tmp_path, train):
    files = csv_files(tmp_path, train)
    assert files.heads == {"label": ("x",)}
    assert files.table("train")["path"].to_pylist() == ["a.mp4", "b.mp4"]


def test_csv_quoted_entries_may_contain_the_delimiter(tmp_path):
    files = csv_files(tmp_path, 'path, label\n"a, b.mp4", "y, z"\nb.mp4, "y, z"\n')
    assert files.heads == {"label": ("y, z",)}
    assert files.table("train")["path"].to_pylist() == ["a, b.mp4", "b.mp4"]
    (tmp_path / "train.csv").write_text('path, label\na.mp4, "x", 3\n')
    with pytest.raises(DataError, match="3 entries for 2 columns") as error:
        CsvDataset(root=tmp_path).table("train")
    assert error.value.row == 2


def test_csv_of_another_encoding_is_refused(tmp_path):
    (tmp_path / "train.csv").write_bytes(b'path,label\na.mp4, "x"\nb.mp4, "Stra\xdfe"\n')
    with pytest.raises(DataError, match="UTF-8") as error:
        CsvDataset(root=tmp_path).table("train")
    assert error.value.file == str(tmp_path / "train.csv")


def test_find_videos_by_pattern_equals_folder_and_logs_other_files(tmp_path, caplog):
    touch(tmp_path / "v", "a.mp4", "b.xyz", "sub/c.mp4", "__MACOSX/d.mp4", ".hidden/e.mp4")
    for pattern in ("v/*", "v/**", "v"):
        caplog.clear()
        results = find_videos(str(tmp_path / pattern))
        assert results == [str(tmp_path / "v/a.mp4"), str(tmp_path / "v/sub/c.mp4")], pattern
        assert "1 file or folder that is of other suffixes" in caplog.text


def test_video_folder_class_with_a_line_break(tmp_path):
    touch(tmp_path, "train/a\nb/1.mp4", "train/c\td/2.mp4")
    videos = VideoFolder(root=tmp_path).videos("train")
    assert [Path(video.path).name for video in videos] == ["1.mp4", "2.mp4"]


@pytest.mark.parametrize(
    ("train", "settings", "expected"),
    [
        ("path,label,label\na.mp4,x,y\n", {}, (1, "label")),
        ("path,label,path\na.mp4,x,y\n", {}, (1, "path")),
        ("path,label, label\na.mp4,x,y\n", {}, (1, "label")),
        ("a.mp4,x\n", {"header": ["path", "path"]}, "data.dataset.header"),
        ("path,label\na.mp4,x\n", {"label_columns": ["label", "label"]}, "data.dataset.label_columns"),
        ("path,label,start\na.mp4,x,-1\n", {}, (2, "start")),
        ("path,label,start\na.mp4,x,0\nb.mp4,x,-0.01\n", {}, (3, "start")),
        ("path,label,end\na.mp4,x,-2\n", {}, (2, "end")),
        ("path,label,start\na.mp4,x,nan\n", {}, (2, "start")),
        ("path,label,end\na.mp4,x,inf\n", {}, (2, "end")),
    ],
)
def test_csv_impossible_values_are_refused_with_line_and_column(tmp_path, train, settings, expected):
    with pytest.raises(UserError) as error:
        csv_files(tmp_path, train, **settings).table("train")
    if isinstance(error.value, ConfigError):
        assert error.value.key == expected
    else:
        assert error.value.file == str(tmp_path / "train.csv")
        assert (error.value.row, error.value.column) == expected
