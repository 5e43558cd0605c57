"""What a data set is like, before the first step: the table, warnings by name, and what keeps a run from starting."""

import logging
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films import film
from forked import start
from omegaconf import DictConfig
from PIL import Image

from vivit.data.index.prepare import prepare
from vivit.data.overview import ClipPlan
from vivit.errors import ConfigError, DataError, UserError
from vivit.launch import Job
from vivit.tasks.build import build_data
from vivit.tasks.data_report import report_scored_data, report_training_data
from vivit.tasks.dataset import build_dataset
from vivit.tasks.evaluate import scored_clips

Compose = Callable[..., DictConfig]
PLAN = ClipPlan(frames=4, stride=1, resize=32, whole_network=False)
CLOCK = ",00:00:00.125,00:00.25"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 5 + 2 + 2 videos of each of two classes, of half a second."""
    root = tmp_path_factory.mktemp("sound")
    rng = np.random.default_rng(0)
    for split, number in (("train", 5), ("val", 2), ("test", 2)):
        for name in ("Fight", "calm"):
            (root / split / name).mkdir(parents=True)
            for clip in range(number):
                pixels = rng.integers(0, 255, (12, 32, 40, 3)).astype(np.uint8)
                film(root / split / name / f"{clip}.mp4", pixels, rate=24)
    return root


@pytest.fixture
def root(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "data"))


@pytest.fixture
def report(composed: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Callable[..., str]:
    """Return a function that reports a data set as train.py does, and returns what is logged."""

    def report(kind: str, root: Path, *overrides: str) -> str:
        cfg = composed(f"data={kind}", f"data.root={root}", "data.frames=4", "data.stride=1", *overrides)
        caplog.clear()
        with caplog.at_level(logging.INFO):
            report_training_data(cfg, Job(tmp_path, {}, [], None), build_dataset(cfg))
        return "\n".join(record.getMessage() for record in caplog.records)

    return report


HEAD = ["split", "class", "videos", "seconds"]


def rows(text: str) -> list[list[str]]:
    lines = [line.split() for line in text.splitlines()]
    first = lines.index(HEAD)
    return [line for line in lines[first + 1 :] if line and line[0] in ("train", "val", "test")]


def test_the_table_has_split_class_videos_and_seconds(root: Path, report: Any, tmp_path: Path) -> None:
    said = report("folder", root)
    expected = [
        [split, name, number, seconds]
        for split, number, seconds in (("train", "5", "2.5"), ("val", "2", "1.0"), ("test", "2", "1.0"))
        for name in ("Fight", "calm")
    ]
    assert rows(said) == expected
    assert rows((tmp_path / "data.txt").read_text()) == expected
    assert "WARNING" not in said


def listing(root: Path, *, head: str = "path,label,split", label: Callable[[str], str] = str) -> list[str]:
    files = sorted(path.relative_to(root) for path in root.rglob("*.mp4"))
    return [head, *(f"{file},{label(file.parts[1])},{file.parts[0]}" for file in files)]


def write(root: Path, lines: Iterable[str], encoding: str = "utf-8", file: str = "videos.csv") -> None:
    (root / file).write_bytes(("\n".join(lines) + "\n").encode(encoding))


@pytest.mark.parametrize(
    ("change", "encoding"),
    [
        (lambda text: text.replace(",", ";"), "utf-8"),
        (lambda text: text.replace(",", "\t"), "utf-8"),
        (lambda text: text.replace(",", " | "), "utf-8"),
        (lambda text: text.replace("path,label,split", "Path,Label,SPLIT"), "utf-8"),
        (lambda text: text.replace("path,label,split", " path , label ,split "), "utf-8"),
        (lambda text: text, "utf-16"),
        (lambda text: text, "utf-16-le"),
        (lambda text: text.replace(",", ";"), "utf-8-sig"),
        (lambda text: "sep=;\r\n" + text.replace(",", ";"), "utf-8"),
        (lambda text: text.replace("\n", "\r\n"), "utf-8"),
        (lambda text: text.replace(",train\n", ",Train\n").replace(",val\n", ",validation\n"), "utf-8"),
        (lambda text: text.replace(",Fight,", ',"Fight ",'), "utf-8"),
        (lambda text: text.replace("\n", CLOCK + "\n").replace("split" + CLOCK, "split,start,end"), "utf-8"),
    ],
    ids=[
        *("semicolon", "tab", "bar", "letters", "blanks", "utf16", "utf16le", "mark", "sep", "windows", "splits"),
        *("blank", "clock"),
    ],
)  # fmt: skip
def test_lists_are_read_as_people_write_them(root: Path, report: Any, change: Any, encoding: str) -> None:
    (root / "videos.csv").write_bytes(change("\n".join(listing(root)) + "\n").encode(encoding))
    said = report("csv", root)
    seconds = "0.6" if "start" in change("path,label,split\n") else "2.5"
    assert rows(said)[0] == ["train", "Fight", "5", seconds]
    assert [row[:3] for row in rows(said)[2:4]] == [["val", "Fight", "2"], ["val", "calm", "2"]]


@pytest.mark.parametrize(
    ("lines", "encoding", "said"),
    [
        (["path,label", "a.mp4,x", "b.mp4,fr\u00fch"], "latin-1", "row 3: byte 0xfc .* data.dataset.encoding=latin-1"),
        (["label,youtube_id,time_start,time_end,split", "x,abc,0,1,train"], "utf-8", "set data=kinetics400"),
        (["path label", "a.mp4 x"], "utf-8", "set data.dataset.delimiter"),
        (["path,class", "a.mp4,x"], "utf-8", r"set data.dataset.label_columns=\[...\]"),
        (["path,label,start", "a.mp4,x,1:2:3:4"], "utf-8", "row 2, column start: '1:2:3:4' is not a number"),
        (["path,label", "a,Fight", "b,Fight", "c,fight"], "utf-8", r"row 4.*'fight' differs .* \(1 and 2 rows\)"),
    ],
    ids=["encoding", "kinetics", "delimiter", "label", "clock", "case"],
)  # fmt: skip
def test_lists_with_no_one_meaning_are_a_sentence(
    tmp_path: Path, report: Any, composed: Compose, lines: list[str], encoding: str, said: str
) -> None:
    write(tmp_path, lines, encoding)
    with pytest.raises(DataError, match=said):
        build_dataset(composed("data=csv", f"data.root={tmp_path}")).videos("train")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; list a video a row"),
        (b"PK\x03\x04" + bytes(200), "is a spreadsheet; save it as CSV"),
        (b"path,label\na\\b.mp4,x\n", r"write / in place of \\ in the list: a/b.mp4 is there"),
        (b"path,label\na/b,x\n", "write names with their endings in the list: b.mp4 is there"),
        (b"path,label\na/c,x\n", "check that data.root="),
    ],
    ids=["empty", "spreadsheet", "backslash", "ending", "gone"],
)
def test_lists_that_cannot_be_read_say_why(tmp_path: Path, composed: Compose, content: bytes, said: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.mp4").touch()
    (tmp_path / "train.csv").write_bytes(content)
    with pytest.raises(UserError, match=said):
        build_dataset(composed("data=csv", f"data.root={tmp_path}")).videos("train")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("set.zip", "is a file, and no folder; unpack it"),
        ("videos.csv", "set data=csv data.root=.* data.dataset.file=videos.csv"),
        ("clip.mp4", "set the folder of the videos, as data.root="),
    ],
)
def test_a_root_that_is_a_file_says_what_to_set(tmp_path: Path, composed: Compose, name: str, said: str) -> None:
    (tmp_path / name).touch()
    dataset = build_dataset(composed("data=folder", f"data.root={tmp_path / name}"))
    with pytest.raises(ConfigError, match=said):
        dataset.prepare()
    if name.endswith(".zip"):
        with pytest.raises(DataError, match=f"has no class folders; unpack {name}"):
            _ = build_dataset(composed("data=folder", f"data.root={tmp_path}")).heads


def test_latin_1_is_read_where_it_is_named(root: Path, report: Any) -> None:
    write(root, listing(root, label={"Fight": "früh", "calm": "spät"}.__getitem__), "latin-1")
    assert rows(report("csv", root, "data.dataset.encoding=latin-1"))[0][:2] == ["train", "früh"]


def test_another_encoding_that_there_is_not_is_named(tmp_path: Path, composed: Compose) -> None:
    write(tmp_path, ["path,label", "a.mp4,x"])
    with pytest.raises(ConfigError, match="set utf-8, latin-1") as error:
        build_dataset(composed("data=csv", f"data.root={tmp_path}", "data.dataset.encoding=utf-x")).videos("train")
    assert error.value.key == "data.dataset.encoding"


def test_one_class_is_refused_after_the_table(root: Path, report: Any, caplog: pytest.LogCaptureFixture) -> None:
    for split in ("train", "val", "test"):
        shutil.rmtree(root / split / "calm")
    with pytest.raises(ConfigError, match="there is one class only, Fight") as error:
        report("folder", root)
    assert error.value.key == "data.root"
    assert rows(caplog.text)[0][:3] == ["train", "Fight", "5"]
    (root / "videos.csv").touch()
    with pytest.raises(ConfigError, match="set data=csv, which reads the classes from videos.csv"):
        report("folder", root)


def test_a_root_on_another_level_is_refused_with_the_one_that_looks_right(root: Path, composed: Compose) -> None:
    above, flat = root.parent / "above", root.parent / "flat"
    shutil.copytree(root, above / "set" / "inner")
    shutil.copytree(root / "train", flat / "only")
    inside = root.parent / "inside"
    for split in ("train", "val", "test"):
        shutil.copytree(root / split, inside / split / "videos")
    for place, said in (
        (above, f"set data.root={above}/set/inner"),
        (above / "set", f"set data.root={above}/set/inner"),
        (flat, f"set data.root={flat}/only"),
        (inside, "has one class folder only, videos, and Fight, calm in it look like the classes; move them up"),
        (root / "train" / "Fight", f"set data.root={root}"),
    ):
        with pytest.raises(DataError) as error:
            build_dataset(composed("data=folder", f"data.root={place}")).videos("train")
        assert said in str(error.value)


def test_classes_that_may_be_the_folders_in_them_are_warned_of(
    root: Path, composed: Compose, caplog: pytest.LogCaptureFixture
) -> None:
    above, mixed = root.parent / "sets", root.parent / "mixed"
    for name in ("mine", "theirs"):
        shutil.copytree(root / "train", above / name)
    dataset = build_dataset(composed("data=folder", f"data.root={above}"))
    assert dataset.heads == {"label": ("mine", "theirs")}, "days or sources may lie below classes"
    assert "mine has Fight, calm; theirs has Fight, calm; if those are the classes, set data.root to one" in caplog.text
    caplog.clear()
    shutil.copytree(root / "train", mixed / "mine")
    shutil.copytree(root / "train" / "Fight", mixed / "theirs")
    assert build_dataset(composed("data=folder", f"data.root={mixed}")).heads == {"label": ("mine", "theirs")}
    assert not caplog.text, "theirs has videos of its own"


def test_a_class_may_have_a_folder_called_train_and_a_split_may_be_alone(root: Path, composed: Compose) -> None:
    videos = sorted((root / "train").rglob("*.mp4"))
    trains, alone = root.parent / "trains", root.parent / "alone"
    for at, name in enumerate(("vehicle/train", "vehicle/car", "animal/dog")):
        (trains / name).mkdir(parents=True)
        shutil.copy(videos[at], trains / name)
    assert build_dataset(composed("data=folder", f"data.root={trains}")).heads == {"label": ("animal", "vehicle")}
    shutil.copytree(root / "val", alone / "validation")
    dataset = build_dataset(composed("data=folder", f"data.root={alone}"))
    dataset.take_classes({"label": ("Fight", "calm")}, labelled=True)
    assert len(dataset.videos("val")) == len(list((root / "val").rglob("*.mp4")))


def test_a_root_that_is_a_split_is_answered_with_its_parent(root: Path, composed: Compose) -> None:
    with pytest.raises(DataError, match=f"set data.root={root}, which has the folders train, val, test"):
        build_dataset(composed("data=folder", f"data.root={root / 'train'}")).videos("val")


@pytest.mark.parametrize("name", ["validation", "valid", "Val", "VALIDATION"])
def test_splits_may_have_the_names_that_people_use(root: Path, report: Any, name: str) -> None:
    (root / "val").rename(root / name)
    (root / "train").rename(root / "Train")
    said = report("folder", root)
    assert f"the folder {name} is taken as val" in said
    assert [row[0] for row in rows(said)] == ["train", "train", "val", "val", "test", "test"]


def test_a_class_called_valid_is_a_class(root: Path, report: Any) -> None:
    flat = root.parent / "flat"
    shutil.copytree(root / "train" / "Fight", flat / "valid")
    shutil.copytree(root / "train" / "calm", flat / "invalid")
    assert [row[1] for row in rows(report("folder", flat, "data.val_share=0.4"))[:2]] == ["invalid", "valid"]


def test_classes_without_videos_are_named(root: Path, report: Any) -> None:
    shutil.rmtree(root / "val" / "Fight")
    (root / "train" / "nothing").mkdir()
    said = report("folder", root)
    assert "val has no video of 1 class: Fight" in said
    assert "1 folder has no videos for training and is no class: nothing" in said
    assert ["val", "Fight", "0", "0"] in rows(said)


def test_a_misspelt_class_is_named_with_both_counts(root: Path, report: Any) -> None:
    (root / "train" / "Fihgt").mkdir()
    shutil.copy(root / "test" / "Fight" / "0.mp4", root / "train" / "Fihgt" / "new.mp4")
    assert "Fihgt (1) beside Fight (5)" in report("folder", root)


def test_a_video_with_two_labels_is_refused_with_both_rows(root: Path, report: Any) -> None:
    lines = listing(root)
    at = next(number for number, line in enumerate(lines) if "train/Fight/1" in line)
    write(root, [*lines, "train/Fight/1.mp4,calm,train"])
    with pytest.raises(DataError) as error:
        report("csv", root)
    rows = f"'Fight' (videos.csv, row {at + 1}) and 'calm' (videos.csv, row {len(lines) + 1})"
    assert f"train/Fight/1.mp4 has two labels: {rows}" in str(error.value)


def test_repetitions_and_leaks_are_counted(root: Path, report: Any) -> None:
    write(root, [*listing(root), "train/Fight/1.mp4,Fight,train", "train/Fight/2.mp4,Fight,val"])
    said = report("csv", root)
    assert "1 video is listed twice in one split: train/Fight/1.mp4" in said
    assert "1 video is listed in several splits: train/Fight/2.mp4" in said


def test_the_same_bytes_in_two_splits_are_named_without_an_index(root: Path, report: Any) -> None:
    shutil.copy(root / "train" / "Fight" / "0.mp4", root / "val" / "Fight" / "other.mp4")
    assert "train/Fight/0.mp4 = val/Fight/other.mp4" in report("folder", root)


def test_other_suffixes_are_read(root: Path, report: Any) -> None:
    for number, suffix in enumerate(("wmv", "ts", "flv", "mts")):
        (root / "train" / "Fight" / f"{number}.mp4").rename(root / "train" / "Fight" / f"{number}.{suffix}")
    assert rows(report("folder", root))[0] == ["train", "Fight", "5", "2.5"]


@pytest.mark.parametrize("pattern", ["{:04}.png", "img_{:05}.jpg"])
def test_folders_of_other_pictures_are_answered_with_what_reads_them(
    tmp_path: Path, composed: Compose, pattern: str
) -> None:
    for name in ("Fight", "calm"):
        (tmp_path / "train" / name / "clip").mkdir(parents=True)
        for number in range(3):
            picture = Image.new("RGB", (16, 16))
            picture.save(tmp_path / "train" / name / "clip" / pattern.format(number))
    with pytest.raises(DataError, match="pictures in 2 folders, as Fight/clip; .*frame_0000000001.jpg"):
        build_dataset(composed("data=folder", f"data.root={tmp_path}")).videos("train")


def test_broken_files_are_named_at_once_before_training(root: Path, report: Any) -> None:
    folder = root / "train" / "Fight"
    (folder / "0.mp4").write_bytes(b"")
    (folder / "1.mp4").write_text("a text")
    (folder / "2.mp4").write_bytes((folder / "2.mp4").read_bytes()[:900])
    with pytest.raises(ConfigError, match="3 of 10 training videos cannot be read") as error:
        report("folder", root)
    assert error.value.key == "data.max_bad_share"
    assert all(f"train/Fight/{number}.mp4 (" in str(error.value) for number in range(3))
    said = report("folder", root, "data.max_bad_share=0.5")
    assert "3 videos cannot be used" in said
    assert rows(said)[0] == ["train", "Fight", "5", "1.0"]


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_broken_video_to_score_is_named_with_the_key(root: Path, report: Any, split: str) -> None:
    file = root / split / "Fight" / "1.mp4"
    content = file.read_bytes()
    at = content.find(b"mdat") + 4
    file.write_bytes(content[:at] + bytes(len(content) - at - 900) + content[-900:])  # its header is sound
    with pytest.raises(ConfigError, match=f"1 {split} video cannot be read: {split}/Fight/1.mp4.*prepare") as error:
        report("folder", root)
    assert (error.value.key, error.value.value) == ("data.skip_unreadable", False)
    assert "1 video cannot be used" in report("folder", root, "data.skip_unreadable=true")
    assert (split == "val") == _is_refused(lambda: report("folder", root, "test=false"))


def _is_refused(call: Callable[[], Any]) -> bool:
    try:
        call()
    except UserError:
        return True
    return False


def test_files_that_were_deleted_since_they_were_indexed_are_missed(root: Path, report: Any, composed: Compose) -> None:
    prepare(build_dataset(composed("data=folder", f"data.root={root}")), num_workers=1, look_alike=False)
    write(root, listing(root))
    (root / "val" / "Fight" / "0.mp4").unlink()
    with pytest.raises(ConfigError, match=r"1 val video cannot be read: val/Fight/0.mp4 \(missing\)"):
        report("csv", root)


def test_a_name_that_is_not_utf_8_is_named(root: Path, composed: Compose) -> None:
    name = str(root / "train" / "Fight").encode() + b"/v\xfc.mp4"
    Path(root / "train" / "Fight" / "0.mp4").rename(name.decode(errors="surrogateescape"))
    with pytest.raises(DataError, match=r"the name Fight/v\\xfc.mp4 is not text in UTF-8; rename it"):
        build_dataset(composed("data=folder", f"data.root={root}")).videos("train")


def test_many_classes_keep_the_table_short(tmp_path: Path, report: Any) -> None:
    lines = [f"{name}_{number}.mp4,c{name:03},train" for name in range(50) for number in range(1 + name)]
    for line in lines:
        (tmp_path / line.partition(",")[0]).touch()
    write(tmp_path, ["path,label,split", *lines])
    with pytest.raises(ConfigError, match="training videos cannot be read") as error:
        report("csv", tmp_path)
    assert "and 1255 more" in str(error.value)
    text = (tmp_path / "data.txt").read_text()
    assert [row[1] for row in rows(text)] == ["c049", "c048", "c047", "44", "c002", "c001", "c000"]
    assert "44 other classes" in text


def test_a_split_to_score_is_reported_alone(
    root: Path, composed: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(root / "test" / "calm")
    cfg = composed("data=folder", f"data.root={root}", "data.frames=4", "data.stride=1", "data.num_workers=0")
    data = build_data(cfg)
    job = Job(tmp_path, {}, [], None)
    with caplog.at_level(logging.INFO):
        report_scored_data(job, data.dataset, "test", scored_clips(data), skip_unreadable=False)
    assert rows(caplog.text) == [["test", "Fight", "2", "1.0"], ["test", "calm", "0", "0"]]
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warnings == ["test has no video of 1 class: calm. Add some, for their accuracy is unknown"]
    (root / "test" / "Fight" / "0.mp4").write_bytes(b"")
    with pytest.raises(ConfigError, match="1 test video cannot be read"):
        report_scored_data(job, data.dataset, "test", scored_clips(data), skip_unreadable=False)
    report_scored_data(job, data.dataset, "test", scored_clips(data), skip_unreadable=True)


def test_a_split_to_score_needs_no_training_videos(
    root: Path, composed: Compose, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for split in ("train", "val"):
        shutil.rmtree(root / split)
    dataset = build_dataset(composed("data=folder", f"data.root={root}"))
    dataset.take_classes({"label": ("Fight", "calm")}, labelled=True)
    with caplog.at_level(logging.INFO):
        report_scored_data(Job(tmp_path, {}, [], None), dataset, "test", PLAN, skip_unreadable=False)
    assert rows(caplog.text) == [["test", "Fight", "2", "1.0"], ["test", "calm", "2", "1.0"]]
    assert "no such folder" not in caplog.text


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_broken_video_stops_a_training_alike_before_and_after_prepare(
    root: Path, report: Any, composed: Compose, split: str
) -> None:
    (root / split / "Fight" / "1.mp4").write_bytes(b"no video")
    key, allowed = ("data.max_bad_share", "0.2") if split == "train" else ("data.skip_unreadable", "true")
    for is_indexed in (False, True):
        with pytest.raises(ConfigError, match=f"{split}/Fight/1.mp4 .*; mend them or take them out, or set") as error:
            report("folder", root)
        assert error.value.key == key
        assert f"{split}/Fight/1.mp4" in report("folder", root, f"{key}={allowed}")
        cfg = composed("data=folder", f"data.root={root}", f"{key}={allowed}", "data.num_workers=0")
        assert len(build_data(cfg).dataset.videos(split)) == {"train": 9, "val": 3, "test": 3}[split] + (not is_indexed)
        prepare(build_dataset(composed("data=folder", f"data.root={root}")), num_workers=1, look_alike=False)
    cfg = composed("data=folder", f"data.root={root}", "data.num_workers=0", f"data.dataset.max_missing.{split}=0.3")
    assert len(build_data(cfg).dataset.videos(split)) == {"train": 9, "val": 3, "test": 3}[split]
    with pytest.raises(ConfigError, match="data.dataset.max_missing"):
        build_data(composed("data=folder", f"data.root={root}", "data.num_workers=0")).dataset.videos(split)


def test_absent_files_are_told_from_unreadable_ones(root: Path, report: Any) -> None:
    write(root, [*listing(root), "gone.mp4,calm,val"])
    with pytest.raises(ConfigError, match=r"1 of 5 val videos cannot be used: gone.mp4 \(missing\)") as error:
        report("csv", root, "data.skip_unreadable=true")
    assert error.value.key == "data.dataset.max_missing.val"


def test_prepare_reports_before_it_examines_files(root: Path, tmp_path: Path) -> None:
    shutil.rmtree(root / "val" / "calm")
    (root / "val" / "Fight" / "1.mp4").write_bytes(b"no video")
    run = tmp_path / "run"
    words = ("data=folder", f"data.root={root}", "num_workers=1", f"hydra.run.dir={run}")
    prepared = start(tmp_path / "prepare.txt", "src/prepare.py", *words)
    assert prepared.wait() == 0, prepared.said
    before, _, after = prepared.said.partition("reading 1/1")
    assert ["train", "Fight", "5", "?"] in rows(before)
    assert before.count("val has no video of 1 class: calm") == 1
    assert "val has no video" not in after, "no warning comes twice"
    assert ["train", "Fight", "5", "2.5"] in rows(after)
    stops = "Training will stop: data.skip_unreadable=false: 1 val video cannot be read: val/Fight/1.mp4"
    assert after.count(stops) == 1
    text = (run / "data.txt").read_text()
    assert ["train", "Fight", "5", "2.5"] in rows(text)
    assert "Warning: val has no video of 1 class: calm" in text
    assert stops in text
    assert "or set data.skip_unreadable=true, which leaves them out of the scores" in text
    assert stops in (root / "prepared" / "index.html").read_text()

    again = start(tmp_path / "again.txt", "src/prepare.py", *words[:3], f"hydra.run.dir={tmp_path / 'again'}")
    assert again.wait() == 0, again.said
    assert len([line for line in again.said.splitlines() if line.split() == HEAD]) == 1, "nothing changed"
    assert again.said.count(stops) == 1
    assert ["train", "Fight", "5", "2.5"] in rows(again.said)
