"""Catalogues list what is there, and name file, line and column where something is wrong."""

import re
import shlex
from collections import Counter
from itertools import chain, combinations
from pathlib import Path

import pytest

from vivit.data.datasets import CsvDataset, CsvKFold, FlipLabelMap, Motion, VideoFolder, motion
from vivit.data.datasets.csv_reader import CsvTable
from vivit.errors import ConfigError, DataError
from vivit.structures import Video
from vivit.tasks.dataset import build_dataset

SPLITS = ("train", "val", "test")
TRAIN = "path,label,start,end,group\nb.mp4,wave,,,1\na.mp4,hop,0.5,2,1\n"


def csv_files(root, train=TRAIN, val="path,label\nc.mp4,wave\n", **settings):
    (root / "train.csv").write_text(train, encoding="utf-8")
    (root / "val.csv").write_text(val, encoding="utf-8")
    for name in "abc":
        (root / f"{name}.mp4").touch()
    return CsvDataset(root=root, **settings)


def test_csv_rows_become_videos_in_order(tmp_path):
    files = csv_files(tmp_path)
    assert files.heads == {"label": ("hop", "wave")}
    assert files.videos("train")[:] == [
        Video(str(tmp_path / "b.mp4"), (1,)),
        Video(str(tmp_path / "a.mp4"), (0,), 0.5, 2.0),
    ]
    assert files.videos("val")[:] == [Video(str(tmp_path / "c.mp4"), (1,))]


def test_csv_columns_become_heads_in_the_configured_order(tmp_path):
    files = csv_files(
        tmp_path, "verb,path,noun\ncut,a.mp4,egg\npour,b.mp4,tea\n", label_columns=["noun", "verb"], val="path\n"
    )
    assert list(files.heads.items()) == [("noun", ("egg", "tea")), ("verb", ("cut", "pour"))]
    assert [video.labels for video in files.videos("train")] == [(0, 0), (1, 1)]


def test_csv_classes_argument_fixes_names_and_order(tmp_path):
    files = csv_files(tmp_path, classes={"label": ["wave", "sit", "hop"]})
    assert files.heads == {"label": ("wave", "sit", "hop")}
    assert [video.labels for video in files.videos("train")] == [(0,), (2,)]


@pytest.mark.parametrize(
    ("split", "text", "expected"),
    [
        (
            "val",
            "path,label\nc.mp4,wave\nd.mp4,fly\n",
            ("val.csv", 3, "label", "'fly' is not a known class"),
        ),
        ("val", "path,label,start\nc.mp4,hop,soon\n", ("val.csv", 2, "start", "'soon' is not a number")),
        (
            "val",
            "path,label,start,end\nc.mp4,hop,1,3\n\na.mp4,hop,2,2\n",
            ("val.csv", 4, "end", "'2' is not after"),
        ),
        ("val", 'path,label\n"c\n.mp4",hop\nd.mp4,fly\n', ("val.csv", 4, "label", "'fly'")),
        ("val", "path,label\nc.mp4,hop\nd.mp4,hop,7\n", ("val.csv", 3, None, "3 entries for 2 columns")),
        ("val", "film,label\nc.mp4,wave\n", ("val.csv", 1, "path", "has no column path")),
        ("val", "path,labels\nc.mp4,wave\n", ("val.csv", 1, "label", "has no column label")),
        ("val", "path,label\n", ("val.csv", None, None, "lists no video")),
        ("val", "", ("val.csv", None, None, "is empty; list a video a row")),
        ("val", "path,label\nc.mp4,wave\nd.mp4\n", ("val.csv", 3, "label", "missing")),
        ("val", "label,path\nwave,c.mp4\nwave\n", ("val.csv", 3, "path", "missing")),
        ("val", "path,label\n,wave\n", ("val.csv", 2, "path", "missing")),
        ("train", "path,label\nc.mp4,wave\nd.mp4\n", ("train.csv", 3, "label", "missing")),
        ("train", "path,label\nc.mp4,\n", ("train.csv", 2, "label", "missing")),
    ],
)
def test_csv_errors_contain_file_line_and_column(tmp_path, split, text, expected):
    files = csv_files(tmp_path, **{split: text})
    file, row, column, problem = expected
    with pytest.raises(DataError, match=problem) as error:
        files.videos(split)
    assert (error.value.file, error.value.row, error.value.column) == (str(tmp_path / file), row, column)


@pytest.mark.parametrize(
    ("split", "text", "row", "nearest"),
    [
        ("val", "path,label\nc.mp4,wave\nb.mp4,Wave\n", 3, "wave"),
        ("val", "path,label\nc.mp4,h op\n", 2, "hop"),
        ("val", "path,label\nc.mp4,wavee\n", 2, "wave"),
        ("train", "path,label\na.mp4,hop\nb.mp4,Hop\nc.mp4,hop\n", 3, "hop"),
        ("train", "path,label\na.mp4,jump  up\nb.mp4,jump up\nc.mp4,jump up\n", 2, "jump up"),
    ],
)
def test_csv_label_that_is_misspelt_is_answered_with_the_nearest_class(tmp_path, split, text, row, nearest):
    files = csv_files(tmp_path, **{split: text})
    with pytest.raises(DataError, match=repr(nearest)) as error:
        files.videos(split)
    assert (error.value.file, error.value.row, error.value.column) == (str(tmp_path / f"{split}.csv"), row, "label")


def test_csv_classes_that_differ_by_case_may_be_listed(tmp_path):
    files = csv_files(tmp_path, "path,label\na.mp4,US\nb.mp4,us\n", classes={"label": ["us", "US"]})
    assert [video.labels for video in files.videos("train")] == [(1,), (0,)]


def test_class_folders_that_differ_by_case_are_refused(tmp_path):
    for name in ("wave", "Wave", "hop"):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / "a.mp4").touch()
    (tmp_path / "train" / "wave" / "b.mp4").touch()
    with pytest.raises(DataError, match=r"'Wave' \(1 videos\) and 'wave' \(2\)") as error:
        VideoFolder(root=tmp_path).heads  # noqa: B018
    assert error.value.file == str(tmp_path / "train")


def test_csv_without_header_is_read_and_numeric_classes_are_ordered_by_size(tmp_path):
    lines = "\n".join(f"{name}.mp4 {number}" for name, number in zip("abc", (10, 9, 0), strict=True))
    files = csv_files(tmp_path, train=lines, val="b.mp4 9", header=["path", "label"], delimiter=" ")
    assert files.heads == {"label": ("0", "9", "10")}
    assert [video.labels for video in files.videos("train")] == [(2,), (1,), (0,)]
    (tmp_path / "val.csv").write_text("b.mp4 9\nc.mp4 8\n")
    with pytest.raises(DataError, match="'8' is not a known class") as error:
        files.table("val")
    assert (error.value.row, error.value.column) == (2, "label")


HEADER = "data.dataset.header=[path,label]"
COMMENT = (Path(__file__).parents[2] / "configs/data/csv.yaml").read_text()


@pytest.mark.parametrize(
    ("delimiter", "typed"),
    [
        (" ", re.findall("data.dataset.header.*", COMMENT)[0]),
        ("\t", rf"""{HEADER} 'data.dataset.delimiter="\t"'"""),
        ("\t", rf"""{HEADER} data.dataset.delimiter="\t" """),
        (";", f"""{HEADER} 'data.dataset.delimiter=";"'"""),
        (",", HEADER),
    ],
)
def test_csv_delimiter_as_typed(tmp_path, composed, delimiter, typed):
    csv_files(tmp_path, train=f"a.mp4{delimiter}hop")
    cfg = composed("data=csv", f"data.root={tmp_path}", *shlex.split(typed))
    files = build_dataset(cfg)
    assert files.videos("train")[:] == [Video(str(tmp_path / "a.mp4"), (0,))]


@pytest.mark.parametrize("value", [" ", "\t", "ab", "'§'"])
def test_csv_delimiter_of_several_characters_is_refused_with_what_to_write(tmp_path, composed, value):
    """A blank without quotes of its own is what Hydra leaves out."""
    cfg = composed("data=csv", f"data.root={tmp_path}", f"data.dataset.delimiter={value}")
    with pytest.raises(ConfigError, match="data.dataset.delimiter='.*': must be one ASCII character; in a shell write"):
        build_dataset(cfg)


def test_missing_videos_are_counted_logged_and_left_out(tmp_path, caplog):
    rows = "".join(f"{name}.mp4,{label}\n" for name, label in (("a", "x"), ("gone", "y"), ("b", "y"), ("c", "x")))
    files = csv_files(
        tmp_path, train="path,label\n" + rows, val="path,label\nc.mp4,x\n", max_missing={"train": 0.25, "val": 0.0}
    )
    videos = files.videos("train")
    assert [(Path(video.path).name, video.labels) for video in videos] == [
        ("a.mp4", (0,)),
        ("b.mp4", (1,)),
        ("c.mp4", (0,)),
    ]
    assert files.stats["train"] == (4, 1, {"gone.mp4": "missing"})
    assert "1 of 4 train videos cannot be used: gone.mp4 (missing)" in caplog.text
    (tmp_path / "c.mp4").unlink()
    with pytest.raises(ConfigError, match=r"1 of 1 val videos cannot be used: c\.mp4 \(missing\)") as error:
        files.videos("val")
    assert (error.value.key, error.value.value) == ("data.dataset.max_missing.val", 0.0)


def test_missing_videos_beyond_the_allowed_share_raise(tmp_path):
    files = csv_files(
        tmp_path, train="path,label\na.mp4,x\ngone.mp4,y\nb.mp4,y\nc.mp4,x\n", max_missing={"train": 0.24}
    )
    with pytest.raises(ConfigError, match=r"1 of 4 train videos cannot be used: gone\.mp4") as error:
        files.videos("train")
    assert (error.value.key, error.value.value) == ("data.dataset.max_missing.train", 0.24)


def folds(root, rows, **settings):
    text = "".join(f"{n}.mp4,{label},{group},{kind}\n" for n, (label, group, kind) in enumerate(rows))
    (root / "videos.csv").write_text("path,label,group,kind\n" + text)
    for n in range(len(rows)):
        (root / f"{n}.mp4").touch()
    return CsvKFold(root=root, **settings)


ROWS = [("x" if n % 3 else "y", f"g{n // 4}", "day" if n < 36 else "night") for n in range(44)]


def test_folds_share_no_group_and_every_row_is_tested_once(tmp_path):
    tested = []
    for fold in range(3):
        data = folds(tmp_path, ROWS, folds=3, fold=fold)
        names = {split: [int(Path(v.path).stem) for v in data.videos(split)] for split in SPLITS}
        assert sorted(chain(*names.values())) == list(range(44))
        groups = [{ROWS[n][1] for n in numbers} for numbers in names.values()]
        assert all(not a & b for a, b in combinations(groups, 2))
        assert all(12 <= len(numbers) <= 16 for numbers in names.values())
        tested += names["test"]
        assert data.heads == {"label": ("x", "y")}
    assert sorted(tested) == list(range(44))


def test_folds_of_filtered_rows_and_lines_in_their_errors(tmp_path):
    data = folds(tmp_path, ROWS, folds=3, filter={"kind": "day"})
    assert sum(len(data.videos(split)) for split in SPLITS) == 36
    with pytest.raises(DataError, match=r"videos\.csv: has no row with kind=dusk$"):
        folds(tmp_path, ROWS, filter={"kind": "dusk"}).videos("train")
    with pytest.raises(DataError, match="the entry is missing") as error:
        folds(tmp_path, [*ROWS[:41], ("", "g0", "night"), *ROWS[42:]], filter={"kind": "night"}).videos("train")
    assert (error.value.row, error.value.column) == (43, "label")
    with pytest.raises(ConfigError, match="there are only 2 groups; list videos of three groups or more") as error:
        folds(tmp_path, ROWS, filter={"kind": "night"}).videos("train")
    assert (error.value.key, error.value.value) == ("data.dataset.folds", 5)


def test_missing_csv_file_error_contains_its_columns(tmp_path):
    with pytest.raises(DataError, match=r"list the test videos in it, with columns path, label$") as error:
        csv_files(tmp_path).videos("test")
    assert error.value.file == str(tmp_path / "test.csv")


def test_missing_root_error_contains_the_key(tmp_path):
    with pytest.raises(ConfigError) as error:
        CsvDataset(root=tmp_path / "nowhere").prepare()
    assert (error.value.key, error.value.value) == ("data.root", tmp_path / "nowhere")
    csv_files(tmp_path).prepare()


def class_folders(root, names=("train/hop/b.mp4", "train/hop/a.AVI", "train/wave/c.webm", "val/wave/d.mp4")):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return VideoFolder(root=root)


def test_video_folder_lists_videos_only(tmp_path):
    folders = class_folders(tmp_path)
    (tmp_path / "train" / "hop" / "notes.txt").touch()
    (tmp_path / "train" / "README").touch()
    assert folders.heads == {"label": ("hop", "wave")}
    assert folders.videos("train")[:] == [
        Video(str(tmp_path / "train" / name), (label,))
        for name, label in (("hop/a.AVI", 0), ("hop/b.mp4", 0), ("wave/c.webm", 1))
    ]
    assert [video.labels for video in folders.videos("val")] == [(1,)]


def test_video_folder_errors_contain_the_folder(tmp_path):
    folders = class_folders(tmp_path)
    (tmp_path / "val" / "fly").mkdir()
    (tmp_path / "val" / "fly" / "a.mp4").touch()
    for split, problem in (("test", "no such folder"), ("val", r"\['fly'\], which are no classes of .*train")):
        with pytest.raises(DataError, match=problem) as error:
            folders.videos(split)
        assert error.value.file == str(tmp_path / split)
    (tmp_path / "test" / "hop").mkdir(parents=True)
    with pytest.raises(DataError, match="has no videos") as error:
        VideoFolder(root=tmp_path).videos("test")
    assert error.value.file == str(tmp_path / "test")


@pytest.mark.parametrize(
    ("header", "columns"),
    [
        ("File,label", ["path", "label"]),
        ("video_path,label", ["path", "label"]),
        ("path,file,label", ["path", "file", "label"]),
        ("file,video,label", ["file", "video", "label"]),
    ],
)
def test_the_column_of_files_has_one_of_some_names(header, columns, tmp_path):
    (tmp_path / "videos.csv").write_text(f"{header}\n")
    assert CsvTable(tmp_path / "videos.csv", expected=["path", "label"]).columns == columns


def test_all_classes_in_two_spellings_are_named_at_once(tmp_path):
    names = ("Run", "run", "run", "Walk", "walk", "walk", "wa lk")
    (tmp_path / "videos.csv").write_text("path,label\n" + "".join(f"{i}.mp4,{name}\n" for i, name in enumerate(names)))
    with pytest.raises(DataError, match="write 'run' and 'walk', or") as error:
        assert CsvDataset(root=tmp_path).heads
    assert "'Run' differs from 'run' by blanks or case only (1 and 2 rows)" in str(error.value)
    assert "'Walk' differs from 'walk' (1 and 2 rows)" in str(error.value)
    assert "'wa lk' differs from 'walk' (1 and 2 rows)" in str(error.value)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("videos.csv", "data=csv,"),
        ("a.csv", "data=csv data.dataset.file=a.csv,"),
        ("a b.csv", "data=csv 'data.dataset.file=a b.csv',"),
    ],
)
def test_a_list_beside_the_videos_is_pointed_out(name, named, tmp_path):
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=f"set {named} which reads the classes from {name}"):
        assert VideoFolder(root=tmp_path).heads


def test_video_folder_without_classes_is_refused(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match="has no class folders") as error:
        assert VideoFolder(root=tmp_path).heads
    assert error.value.file == str(tmp_path / "train")


HEADS = {"noun": ("egg", "tea"), "verb": ("left", "right", "stop")}
SWAP = {"verb": {"left": "right", "right": "left"}}


def test_flip_label_map_swaps_labels():
    mirror = FlipLabelMap.of_names(HEADS, SWAP)
    assert mirror.allowed
    for labels, mirrored in (((1, 0), (1, 1)), ((0, 1), (0, 0)), ((1, 2), (1, 2))):
        assert mirror(labels) == mirrored
        assert mirror(mirrored) == labels


def test_flips_are_harmless_or_forbidden_by_word():
    assert FlipLabelMap.of_names(HEADS, "harmless") == FlipLabelMap.of_names(HEADS, {}) == FlipLabelMap()
    assert FlipLabelMap()((1, 0)) == (1, 0)
    assert not FlipLabelMap.of_names(HEADS, "forbidden").allowed


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("flip", [None, "swap", {"verb": "left"}])
def test_flips_by_another_word_are_refused(flip):
    with pytest.raises(ConfigError) as error:
        FlipLabelMap.of_names(HEADS, flip)
    assert (error.value.key, error.value.value) == ("data.dataset.flip", flip)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"verb": {"left": "right"}}, "maps 'left' to 'right' but not 'right' back to 'left'"),
        ({"verb": {"left": "right", "right": "stop", "stop": "left"}}, "but not 'right' back"),
        ({"verb": {"left": "rihgt", "rihgt": "left"}}, "both must be classes of 'verb'"),
        ({"noun": {"left": "right", "right": "left"}}, "both must be classes of 'noun'"),
        ({"adverb": {}}, "this data set has no head adverb; its heads are noun, verb"),
    ],
)
def test_flip_label_map_that_is_no_involution_is_refused(names, message):
    with pytest.raises(ConfigError, match=message) as error:
        FlipLabelMap.of_names(HEADS, names)
    assert error.value.key == "data.dataset.flip"


@pytest.mark.parametrize("columns", [["verb"], ["noun", "verb"], ["noun"]])
def test_motion_is_a_video_dataset(small_motion, columns):
    data = Motion(root=small_motion, label_columns=columns)
    names = {"verb": motion.VERBS, "noun": motion.NOUNS}
    assert dict(data.heads) == {column: names[column] for column in columns}
    assert [len(data.videos(split)) for split in SPLITS] == [48, 16, 16]
    assert data.flip_labels.allowed
    for video in data.videos("train"):
        assert data.flip_labels(data.flip_labels(video.labels)) == video.labels


@pytest.mark.parametrize("columns", [["verb"], ["noun", "verb"]])
def test_train_share_is_the_same_share_of_every_class(small_motion, columns):
    full, tenth = (Motion(root=small_motion, label_columns=columns, train_share=share) for share in (1.0, 0.1))
    for split in ("val", "test"):
        assert tenth.videos(split)[:] == full.videos(split)[:]
    before, after = (Counter(video.labels for video in data.videos("train")) for data in (full, tenth))
    assert after == {labels: max(1, round(0.1 * number)) for labels, number in before.items()}
    subset = Motion(root=small_motion, label_columns=columns, train_share=0.1).videos("train")[:]
    assert subset == tenth.videos("train")[:]
    order = [video.path for video in full.videos("train")]
    assert [order.index(video.path) for video in subset] == sorted(order.index(video.path) for video in subset)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_train_share_out_of_range_is_refused(small_motion, share):
    with pytest.raises(ConfigError) as error:
        Motion(root=small_motion, train_share=share)
    assert (error.value.key, error.value.value) == ("data.train_share", share)


def test_motion_refuses_heads_it_does_not_have(small_motion):
    with pytest.raises(ConfigError, match="no label adverb; choose from verb and noun") as error:
        Motion(root=small_motion, label_columns=["adverb"])
    assert error.value.key == "data.dataset.label_columns"


NUMBERS = "path,label,speed,size\na.mp4,hop,1.5,-3\nlost.mp4,hop,9,9\nc.mp4,wave,2.5,0\n"


def numbered(root, val=NUMBERS, **settings):
    (root / "a.mp4").touch()
    (root / "c.mp4").touch()
    allowed = {"train": 1.0, "val": 0.5, "test": 0.0}
    return csv_files(root, val=val, **{"score_by": ["size", "speed"], "max_missing": allowed} | settings)


def test_numbers_of_difficulty_are_those_of_the_videos_that_can_be_used(tmp_path):
    files = numbered(tmp_path)
    assert [Path(video.path).name for video in files.videos("val")] == ["a.mp4", "c.mp4"]
    difficulty = {name: column.to_pylist() for name, column in files.difficulty("val").items()}
    assert difficulty == {"size": [-3, 0], "speed": [1.5, 2.5]}
    assert numbered(tmp_path, score_by=[]).difficulty("val") == {}
    assert numbered(tmp_path).videos("train"), "whose list has no such columns"


def test_numbers_of_difficulty_follow_a_share_of_the_training_videos(tmp_path):
    rows = "".join(f"{row}.mp4,{'hop' if row % 2 else 'wave'},{row}\n" for row in range(40))
    for row in range(40):
        (tmp_path / f"{row}.mp4").touch()
    files = csv_files(tmp_path, train=f"path,label,speed\n{rows}", score_by=["speed"], train_share=0.3)
    stems = [int(Path(video.path).stem) for video in files.videos("train")]
    assert len(stems) == 12
    assert files.difficulty("train")["speed"].to_pylist() == stems


def test_numbers_of_difficulty_follow_folds(tmp_path):
    rows = [("hop", f"g{n % 5}", n) for n in range(20)]
    files = folds(tmp_path, rows, score_by=["kind"], fold=2)
    stems = [int(Path(video.path).stem) for video in files.videos("test")]
    assert len(stems) == 4
    assert files.difficulty("test")["kind"].to_pylist() == stems


@pytest.mark.parametrize(
    ("entry", "column", "row"),
    [("fast", "speed", 3), ("", "speed", 3), ("nan", "speed", 3), ("inf", "speed", 3), ("9", "contrast", 1)],
)
def test_what_is_no_number_is_refused_by_file_row_and_column(tmp_path, entry, column, row):
    files = numbered(tmp_path, NUMBERS.replace("lost.mp4,hop,9", f"lost.mp4,hop,{entry}"), score_by=[column])
    with pytest.raises(DataError) as error:
        files.difficulty("val")
    assert error.value.file == str(tmp_path / "val.csv")
    assert (error.value.row, error.value.column) == (row, column)


def test_columns_of_a_data_set_without_lists_and_columns_that_are_no_list_are_refused(tmp_path):
    class_folders(tmp_path)
    with pytest.raises(ConfigError) as error:
        VideoFolder(root=tmp_path, score_by=["speed"]).difficulty("train")
    assert (error.value.key, error.value.value) == ("data.dataset.score_by", ["speed"])
    with pytest.raises(ConfigError) as error:
        numbered(tmp_path, score_by=["speed", "speed"])
    assert error.value.key == "data.dataset.score_by"
