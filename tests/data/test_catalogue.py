"""Catalogues list what is there, and name file, line and column where something is wrong."""

import pytest

from vivit.data import motion
from vivit.data.catalogue import ClassFolders, CsvFiles, Mirror, Motion
from vivit.shapes import Video

SPLITS = ("train", "val", "test")
TRAIN = "path,label,start,end,group\nb.mp4,wave,,,1\na.mp4,hop,0.5,2,1\n"


def csv_files(root, train=TRAIN, val="path,label\nc.mp4,wave\n", **settings):
    (root / "train.csv").write_text(train, encoding="utf-8")
    (root / "val.csv").write_text(val, encoding="utf-8")
    return CsvFiles(root=root, **settings)


def test_csv_rows_become_videos_in_order(tmp_path):
    files = csv_files(tmp_path)
    assert files.heads == {"label": ("hop", "wave")}
    assert files.videos("train") == [
        Video(str(tmp_path / "b.mp4"), (1,)),
        Video(str(tmp_path / "a.mp4"), (0,), 0.5, 2.0),
    ]
    assert files.videos("val") == [Video(str(tmp_path / "c.mp4"), (1,))]


def test_csv_columns_become_heads_in_the_order_asked(tmp_path):
    files = csv_files(
        tmp_path, "verb,path,noun\ncut,a.mp4,egg\npour,b.mp4,tea\n", columns=["noun", "verb"], val="path\n"
    )
    assert list(files.heads.items()) == [("noun", ("egg", "tea")), ("verb", ("cut", "pour"))]
    assert [video.labels for video in files.videos("train")] == [(0, 0), (1, 1)]


def test_given_classes_fix_names_and_order(tmp_path):
    files = csv_files(tmp_path, classes={"label": ["wave", "sit", "hop"]})
    assert files.heads == {"label": ("wave", "sit", "hop")}
    assert [video.labels for video in files.videos("train")] == [(0,), (2,)]


@pytest.mark.parametrize(
    ("split", "text", "message"),
    [
        (
            "val",
            "path,label\nc.mp4,wave\nd.mp4,fly\n",
            r"val\.csv, line 3, column label: 'fly' is not a known class",
        ),
        ("val", "path,label,start\nc.mp4,hop,soon\n", r"val\.csv, line 2, columns start and end: .*'soon'"),
        ("val", "file,label\nc.mp4,wave\n", r"val\.csv: line 1 lacks the columns \['path'\]"),
        ("val", "path,labels\nc.mp4,wave\n", r"val\.csv: line 1 lacks the columns \['label'\]"),
        ("val", "path,label\n", r"val\.csv lists no video"),
        ("val", "", r"val\.csv: line 1 lacks the columns"),
        ("val", "path,label\nc.mp4,wave\nd.mp4\n", r"val\.csv, line 3, column label: .*missing"),
        ("val", "label,path\nwave,c.mp4\nwave\n", r"val\.csv, line 3, column path: .*missing"),
        ("val", "path,label\n,wave\n", r"val\.csv, line 2, column path: .*missing"),
        ("train", "path,label\nc.mp4,wave\nd.mp4\n", r"train\.csv, line 3, column label: .*missing"),
        ("train", "path,label\nc.mp4,\n", r"train\.csv, line 2, column label: .*missing"),
    ],
)
def test_csv_errors_name_file_line_and_column(tmp_path, split, text, message):
    files = csv_files(tmp_path, **{split: text})
    with pytest.raises(ValueError, match=message):
        files.videos(split)


def test_a_missing_csv_says_what_it_should_hold(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"test\.csv is missing; it lists the test videos with columns path"):
        csv_files(tmp_path).videos("test")


def test_a_missing_root_says_what_to_set(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data\.root=.*nowhere is not a folder; set data\.root"):
        CsvFiles(root=tmp_path / "nowhere").prepare()
    csv_files(tmp_path).prepare()


def class_folders(root, names=("train/hop/b.mp4", "train/hop/a.AVI", "train/wave/c.webm", "val/wave/d.mp4")):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return ClassFolders(root=root)


def test_class_folders_list_videos_and_nothing_else(tmp_path):
    folders = class_folders(tmp_path)
    (tmp_path / "train" / "hop" / "notes.txt").touch()
    (tmp_path / "train" / "README").touch()
    assert folders.heads == {"label": ("hop", "wave")}
    assert folders.videos("train") == [
        Video(str(tmp_path / "train" / name), (label,))
        for name, label in (("hop/a.AVI", 0), ("hop/b.mp4", 0), ("wave/c.webm", 1))
    ]
    assert [video.labels for video in folders.videos("val")] == [(1,)]


def test_class_folder_errors_name_the_folder(tmp_path):
    folders = class_folders(tmp_path)
    with pytest.raises(FileNotFoundError, match="test is missing; expected"):
        folders.videos("test")
    (tmp_path / "val" / "fly").mkdir()
    with pytest.raises(ValueError, match=r"val has the folders \['fly'\], which are no classes of .*train"):
        folders.videos("val")
    (tmp_path / "test" / "hop").mkdir(parents=True)
    with pytest.raises(ValueError, match="test holds no videos"):
        folders.videos("test")


def test_a_training_folder_without_classes_is_refused(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(ValueError, match="train has no class folders"):
        assert ClassFolders(root=tmp_path).heads


HEADS = {"noun": ("egg", "tea"), "verb": ("left", "right", "stop")}
SWAP = {"verb": {"left": "right", "right": "left"}}


def test_mirror_swaps_what_the_map_names():
    mirror = Mirror.of_names(HEADS, SWAP)
    assert mirror.allowed
    for labels, mirrored in (((1, 0), (1, 1)), ((0, 1), (0, 0)), ((1, 2), (1, 2))):
        assert mirror(labels) == mirrored
        assert mirror(mirrored) == labels


def test_mirror_is_harmless_with_an_empty_map_and_forbidden_without_one():
    assert Mirror.of_names(HEADS, {}) == Mirror()
    assert Mirror()((1, 0)) == (1, 0)
    assert not Mirror.of_names(HEADS, None).allowed


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"verb": {"left": "right"}}, "maps 'left' to 'right' but not 'right' back to 'left'"),
        ({"verb": {"left": "right", "right": "stop", "stop": "left"}}, "but not 'right' back"),
        ({"verb": {"left": "rihgt", "rihgt": "left"}}, "both must be classes of 'verb'"),
        ({"noun": {"left": "right", "right": "left"}}, "both must be classes of 'noun'"),
        ({"adverb": {}}, r"mirror names the heads \['adverb'\]; this data set has \['noun', 'verb'\]"),
    ],
)
def test_a_map_that_is_no_involution_is_refused(names, message):
    with pytest.raises(ValueError, match=message):
        Mirror.of_names(HEADS, names)


@pytest.mark.parametrize("columns", [["verb"], ["noun", "verb"], ["noun"]])
def test_motion_is_a_catalogue(small_motion, columns):
    data = Motion(root=small_motion, columns=columns)
    names = {"verb": motion.VERBS, "noun": motion.NOUNS}
    assert dict(data.heads) == {column: names[column] for column in columns}
    assert [len(data.videos(split)) for split in SPLITS] == [48, 16, 16]
    assert data.mirror.allowed
    for video in data.videos("train"):
        assert data.mirror(data.mirror(video.labels)) == video.labels


def test_motion_refuses_heads_it_does_not_have(small_motion):
    with pytest.raises(ValueError, match=r"verb and noun, not \['adverb'\]"):
        Motion(root=small_motion, columns=["adverb"])
