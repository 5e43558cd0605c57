"""The published data sets, from their own annotation files where those are at hand."""

import json
import os
import re
import shlex
from pathlib import Path

import pytest

from vivit.data.datasets import EpicKitchensFrames, EpicKitchensVideos, Kinetics, Moments, SomethingSomething
from vivit.data.datasets.class_names import read_class_names
from vivit.errors import ConfigError, DataError
from vivit.tasks.dataset import build_dataset

ANNOTATIONS = Path(os.environ.get("VIVIT_SHARED") or Path(__file__).parents[3] / "shared") / "annotations"
EPIC = {
    "train": "annotations/EPIC_100_uda_source_train.csv",
    "val": "annotations/EPIC_100_validation.csv",
    "test": "annotations/EPIC_100_test_timestamps.csv",
}
KINETICS = {split: f"kinetics-400_{split}.csv" for split in ("val", "test")} | {"train": "kinetics-400_val.csv"}
real = pytest.mark.skipif(
    not ANNOTATIONS.is_dir(),
    reason=f"no annotation files at {ANNOTATIONS}: set VIVIT_SHARED to the folder above annotations/",
)


@pytest.fixture
def epic(tmp_path):
    (tmp_path / "annotations").symlink_to(ANNOTATIONS / "epic_kitchens_100")
    return tmp_path


@real
def test_epic_kitchens_has_97_verbs_and_300_nouns(epic):
    heads = EpicKitchensVideos(root=epic, annotation_files=EPIC).heads
    assert list(heads) == ["noun", "verb"]
    assert (len(heads["noun"]), len(heads["verb"])) == (300, 97)
    assert heads["noun"][:4] == ("tap", "spoon", "plate", "cupboard")
    assert heads["verb"][:2] == ("take", "put")


@real
def test_epic_kitchens_segments_are_those_of_the_lists(epic):
    videos, pictures = (
        kind(root=epic, annotation_files=EPIC, allow_unlabelled=True)
        for kind in (EpicKitchensVideos, EpicKitchensFrames)
    )
    assert [len(videos.table(split)) for split in ("train", "val", "test")] == [16115, 9668, 13092]
    third = videos.table("train").slice(2, 1).to_pylist()[0]
    assert third == {
        **{"path": "P01/videos/P01_01.MP4", "label_0": 8, "label_1": 3, "name": "P01_01_10"},
        **{"start": 24.97, "end": 26.2},
    }
    assert pictures.table("train").slice(2, 1).to_pylist()[0] == {
        **{"path": "P01/rgb_frames/P01_01", "label_0": 8, "label_1": 3, "name": "P01_01_10"},
        **{"first": 1498, "last": 1572},
    }
    unlabelled = videos.table("test").slice(13091, 1).to_pylist()[0]
    assert (unlabelled["label_0"], unlabelled["label_1"]) == (-1, -1)


@real
def test_kinetics_400_has_400_classes_in_alphabetical_order():
    data = Kinetics(root=ANNOTATIONS / "kinetics", num_classes=400, annotation_files=KINETICS)
    labels = (ANNOTATIONS / "kinetics" / "label_map_k400.txt").read_text().splitlines()
    assert list(data.heads["label"]) == labels
    assert (len(data.table("val")), data.table("val").column("name")[0].as_py()) == (19906, "0wR5jVB-WPk")
    row = data.table("val").slice(19905, 1).to_pylist()[0]
    assert row["label_0"] == 399
    assert row["path"] == f"kinetics-400_val/zumba/{row['name']}_{row['path'][-17:-4]}.mp4"
    with pytest.raises(ConfigError, match="kinetics-400_test.csv has no labels") as error:
        data.table("test")
    assert error.value.key == "data.dataset.allow_unlabelled"
    data.allow_unlabelled = True
    data.path_template = "test/{youtube_id}_{time_start:06}_{time_end:06}.mp4"
    assert len(data.table("test")) == 38685
    assert data.table("test").slice(0, 1).to_pylist()[0] == {
        **{"path": "test/--6bJUbfpnQ_000017_000027.mp4", "label_0": -1, "name": "--6bJUbfpnQ"}
    }


@real
def test_class_lists_have_as_many_names_as_published():
    for file, count in {
        "kinetics/label_map_k600.txt": 600,
        "moments/label_map_v1.txt": 339,
        "moments/category_momentsv2.txt": 305,
        "ssv2/label_map.txt": 174,
    }.items():
        assert len(read_class_names(ANNOTATIONS / file, count)) == count
    with pytest.raises(DataError, match=r"label_map_v1\.txt: contains 339 classes, not 305"):
        read_class_names(ANNOTATIONS / "moments/label_map_v1.txt", 305)


@real
@pytest.mark.parametrize("swapped", [True, False])
def test_something_something_flips_left_and_right_only(swapped):
    data = SomethingSomething(
        root=ANNOTATIONS / "ssv2", annotation_files={}, class_file="label_map.txt", swap_labels_on_flip=swapped
    )
    names = data.heads["label"]
    moved = {names[n]: names[data.flip_labels((n,))[0]] for n in range(174) if data.flip_labels((n,)) != (n,)}
    assert data.flip_labels.allowed
    assert len(moved) == (6 if swapped else 0)
    for name, mirrored in moved.items():
        swap = {"left": "right", "right": "left"}
        assert mirrored == " ".join(swap.get(word, word) for word in name.split())


ROW = "P01_1,P01,P01_01,00:00:01.00,{start},{stop},{first},9,open,open,{verb},door,{noun},[],[]\n"
GOOD = {"start": "00:00:01.50", "stop": "01:02:03.25", "first": "8", "verb": "96", "noun": "299"}
COLUMNS = (
    "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,stop_frame,"
    "narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes\n"
)


def epic_of(root, **entries):
    (root / "nouns.csv").write_text("id,key\n" + "".join(f"{n},n{n}\n" for n in range(300)))
    (root / "verbs.csv").write_text("id,key\n" + "".join(f"{n},v{n}\n" for n in range(97)))
    (root / "list.csv").write_text(COLUMNS + ROW.format(**GOOD) + ROW.format(**GOOD | entries))
    lists = dict.fromkeys(("train", "val", "test"), "list.csv")
    return [
        kind(root=root, annotation_files=lists, nouns="nouns.csv", verbs="verbs.csv")
        for kind in (EpicKitchensVideos, EpicKitchensFrames)
    ]


def test_epic_kitchens_reads_hours_minutes_and_seconds(tmp_path):
    videos, pictures = epic_of(tmp_path)
    row = videos.table("val").to_pylist()[1]
    assert (row["label_0"], row["label_1"], row["start"], row["end"]) == (299, 96, 1.5, 3723.25)
    for file in ("P01/videos/P01_01.MP4", "P01/rgb_frames/P01_01"):
        (tmp_path / file).mkdir(parents=True)
    assert pictures.videos("val")[1].frame_range == (8, 9)
    assert videos.videos("val")[0].end == 3723.25


@pytest.mark.parametrize(
    ("entries", "pictures", "column"),
    [
        ({"start": "1.5"}, False, "start_timestamp"),
        ({"stop": "00:00:01.50"}, False, "stop_timestamp"),
        ({"first": "x"}, True, "start_frame"),
        ({"first": "10"}, True, "stop_frame"),
        ({"noun": "300"}, False, "noun_class"),
        ({"verb": "-1"}, True, "verb_class"),
        ({"verb": ""}, False, "verb_class"),
    ],
)
def test_epic_kitchens_invalid_row_is_refused(tmp_path, entries, pictures, column):
    with pytest.raises(DataError) as error:
        epic_of(tmp_path, **entries)[pictures].table("train")
    assert (error.value.file, error.value.row, error.value.column) == (str(tmp_path / "list.csv"), 3, column)


def test_kinetics_folders_have_underscores_and_seconds_six_digits(tmp_path):
    (tmp_path / "train.csv").write_text(
        "label,youtube_id,time_start,time_end,split\nriding a bike,b-_B,7,17,train\nabseiling,aA,1234,1244,train\n"
    )
    data = Kinetics(root=tmp_path, num_classes=2, annotation_files={"train": "train.csv"})
    assert data.heads == {"label": ("abseiling", "riding a bike")}
    rows = data.table("train").to_pylist()
    assert [(row["path"], row["label_0"]) for row in rows] == [
        ("train/riding_a_bike/b-_B_000007_000017.mp4", 1),
        ("train/abseiling/aA_001234_001244.mp4", 0),
    ]
    data.path_template = "{list}/{channel}.mp4"
    with pytest.raises(ConfigError, match="unknown field 'channel'; use youtube_id") as error:
        data.table("train")
    assert (error.value.key, error.value.value) == ("data.dataset.path_template", data.path_template)
    with pytest.raises(DataError, match=r"train\.csv, column label: contains 2 classes, not 3"):
        assert Kinetics(root=tmp_path, num_classes=3, annotation_files={"train": "train.csv"}).heads


def test_kinetics_in_one_folder_a_list_by_the_comment_in_its_configuration(tmp_path, composed):
    """As typed in a shell, which takes the outer quotes off; Hydra takes the inner ones."""
    comment = (Path(__file__).parents[2] / "configs/data/_kinetics.yaml").read_text()
    (override,) = shlex.split(*re.findall(r"'data\.dataset\.path_template=.*'", comment))
    (tmp_path / "annotations").mkdir()
    for split in ("train", "val"):
        (tmp_path / "annotations" / f"{split}.csv").write_text(
            f"label,youtube_id,time_start,time_end,split\nriding a bike,b-_B,7,17,{split}\n"
        )
    cfg = composed("data=kinetics400", f"data.root={tmp_path}", "data.dataset.num_classes=1", override)
    data = build_dataset(cfg)
    for split, folder in {"train": "train", "val": "val", "test": "val"}.items():
        assert data.table(split)["path"].to_pylist() == [f"{folder}/b-_B_000007_000017.mp4"]


def test_moments_take_the_class_from_the_folder(tmp_path):
    (tmp_path / "classes.txt").write_text("yawning,1\nadult+male+singing,0\n")
    (tmp_path / "list.csv").write_text("yawning/vb.mp4,yawning,3,0\nadult+male+singing/getty.mp4,x,2,1\n")
    data = Moments(
        root=tmp_path,
        num_classes=2,
        class_file="classes.txt",
        annotation_files={"val": "list.csv"},
        folders={"val": "validation"},
    )
    rows = data.table("val").to_pylist()
    assert [(row["path"], row["label_0"]) for row in rows] == [
        ("validation/yawning/vb.mp4", 1),
        ("validation/adult+male+singing/getty.mp4", 0),
    ]
    (tmp_path / "list.csv").write_text("yawning/vb.mp4,yawning,3,0\nsnoring/b.mp4,x,2,1\n")
    with pytest.raises(DataError, match="'snoring' is not a known class") as error:
        data.table("val")
    assert (error.value.row, error.value.column) == (2, "path")


def something(root, entries):
    (root / "labels.json").write_text(json.dumps({f"Doing {n} with something": str(n) for n in range(174)}))
    (root / "list.json").write_text(json.dumps(entries))
    return SomethingSomething(
        root=root,
        annotation_files={"val": "list.json"},
        class_file="labels.json",
        path_template="v/{id}.webm",
        swap_labels_on_flip=False,
    )


def test_something_something_takes_the_brackets_off_templates(tmp_path):
    data = something(
        tmp_path,
        [{"id": "7", "template": "Doing 12 with [something]"}, {"id": 31, "template": "Doing 3 with something"}],
    )
    assert data.table("val").to_pylist() == [
        {"path": "v/7.webm", "label_0": 12, "name": "7"},
        {"path": "v/31.webm", "label_0": 3, "name": "31"},
    ]


@pytest.mark.parametrize(
    ("entry", "column"),
    [
        ({"id": "8", "template": "Flying"}, "template"),
        ({"id": "8"}, "template"),
        ({"template": "Doing 1 with something"}, "id"),
    ],
)
def test_something_something_invalid_entry_is_refused(tmp_path, entry, column):
    data = something(tmp_path, [{"id": "7", "template": "Doing 12 with [something]"}, entry])
    with pytest.raises(DataError) as error:
        data.table("val")
    assert (error.value.file, error.value.row, error.value.column) == (str(tmp_path / "list.json"), 2, column)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.txt", "a,0\nb,2\n", "the class numbers are not 0 to 1, each once"),
        ("c.txt", "a\nb\na\n", "contains the class 'a' twice"),
        ("c.csv", "id,name\n0,a\n", "row 1, column key: has no column key; its columns are id, name"),
        ("c.csv", "id,key\n0,a\nx,b\n", "row 3, column id: 'x' is not a class number"),
        ("c.json", '["a"]', "is not a mapping of class names to numbers"),
        ("c.json", '{"a": "b"}', "'b' is not a class number"),
        ("c.pkl", "", r"use a file ending in \.txt, \.csv, \.json"),
    ],
)
def test_class_list_invalid_is_refused(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message) as error:
        read_class_names(tmp_path / name)
    assert error.value.file == str(tmp_path / name)


def test_class_lists_in_all_published_formats(tmp_path):
    forms = {
        "lines.txt": "b c\na\n",
        "numbered.txt": "a,1\nb c,0\n",
        "key.csv": "id,key,instances\n1,a,[]\n0,b c,[]\n",
        "ids.json": '{"a": 1, "b c": "0"}',
        "id2label.json": '{"0": "b c", "1": "a"}',
    }
    for name, text in forms.items():
        (tmp_path / name).write_text(text)
        assert read_class_names(tmp_path / name, 2) == ("b c", "a")
