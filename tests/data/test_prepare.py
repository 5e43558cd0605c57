"""Preparing: what the index says is what the files say, no work is done twice, and copies show the same frames."""

import csv
import html
import json
import re
import shlex
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pytest

from vivit.data.datasets import CsvDataset
from vivit.data.index.index import SCHEMA, copy_names, read_index, write_piece
from vivit.data.index.prepare import prepare
from vivit.data.index.transcode import even_size
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.views import CropBox
from vivit.errors import ConfigError, DataError
from vivit.launch import Job
from vivit.tasks.prepare import prepare as prepare_command


def write_video(path, stamps, size=(50, 34), gop=100):
    """A brightness ramp, so that every frame tells its number; timestamps in milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.options = {"crf": "4", "g": str(gop)}
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, stamp in enumerate(stamps):
            picture = np.full((size[1], size[0], 3), 20 + 5 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


IRREGULAR = [0, 40, 100, 120, 300, 310, 400, 440, 520, 600]


@pytest.fixture
def root(tmp_path):
    write_video(tmp_path / "even.mp4", range(0, 1200, 40))
    write_video(tmp_path / "uneven.mkv", IRREGULAR, size=(34, 62))
    (tmp_path / "broken.mp4").write_bytes(b"\0no video" * 99)
    (tmp_path / "train.csv").write_text("path,label\neven.mp4,a\nuneven.mkv,b\nbroken.mp4,a\ngone.mp4,b\n")
    (tmp_path / "val.csv").write_text("path,label\neven.mp4,a\n")
    return tmp_path


def files(root, **settings):
    return CsvDataset(root=root, max_missing={"train": 0.5, "val": 0.0}, **settings)


def rows(folder):
    return {row["path"]: row for row in read_index(folder).to_pylist()}


def run(root, **settings):
    return prepare(files(root), splits=("train", "val"), num_workers=1, **settings)


def test_index_contains_the_properties_of_files(root):
    counts = run(root)
    assert counts == {"files": 4, "missing": 1, "unusable": 1, "irregular": 1, "rotated": 0}
    results = rows(root / "prepared")
    even, uneven = results["even.mp4"], results["uneven.mkv"]
    assert (even["codec"], even["width"], even["height"], even["frames"]) == ("h264", 50, 34, 30)
    assert even["fps"] == pytest.approx(25)
    assert even["seconds"] == pytest.approx(1.2)
    assert even["stamps"] is None
    assert uneven["stamps"] == IRREGULAR
    assert uneven["step"] is None
    assert (uneven["bytes"], uneven["problem"]) == ((root / "uneven.mkv").stat().st_size, None)
    assert "cannot be opened" in results["broken.mp4"]["problem"]
    with (root / "prepared" / "report.csv").open() as text:
        report = dict(csv.reader(text))
    assert report.pop("path") == "problem"
    assert list(report) == ["broken.mp4", "gone.mp4"]
    assert report["gone.mp4"] == "missing"


def test_indexed_videos_have_timestamps_and_the_same_frames(root):
    run(root)
    even, uneven = files(root).videos("train")[:]
    for video in (even, uneven):
        with PyAVVideoReader(video.path) as listed, PyAVVideoReader(video.path, stamps=video.stamps) as known:
            assert list(listed.stamps) == list(known.stamps)
            window = CropBox(2, 3, 20, 24)
            np.testing.assert_array_equal(*(f.read([7, 2, 9], [window], (8, 10)) for f in (listed, known)))
    assert isinstance(even.stamps, range)
    assert uneven.stamps == tuple(IRREGULAR)


def test_unindexed_videos_differ_in_timestamps_only(root):
    (root / "broken.mp4").unlink()
    before = [video.path for video in files(root).videos("train")]
    assert all(video.stamps is None for video in files(root).videos("train"))
    run(root)
    assert [video.path for video in files(root).videos("train")] == before


def test_index_row_of_a_changed_file_is_replaced(root):
    run(root)
    write_video(root / "even.mp4", range(0, 800, 40))
    assert files(root).videos("val")[0].stamps is None
    run(root)
    assert len(files(root).videos("val")[0].stamps) == 20


def test_prepare_twice_does_no_work_twice(root, monkeypatch):
    run(root, copies=16)
    before = {path: path.stat().st_mtime_ns for path in (root / "prepared").rglob("*.arrow")}
    assert run(root, copies=16)["copies"] == 2
    assert {path: path.stat().st_mtime_ns for path in (root / "prepared").rglob("*.arrow")} == before
    (root / "prepared" / "short16" / "even.mp4.mp4").unlink()
    run(root, copies=16)
    assert (root / "prepared" / "short16" / "even.mp4.mp4").is_file()
    assert len(list((root / "prepared" / "index").iterdir())) == 1


def test_prepare_shards_share_the_work_and_make_one_index(root):
    for shard in range(3):
        assert run(root, shard_index=shard, num_shards=3)["files"] == 4, "what one has done is done"
    assert len([*(root / "prepared" / "index").iterdir()]) == 1
    complete = rows(root / "prepared")
    shutil.rmtree(root / "prepared")
    run(root)
    assert rows(root / "prepared") == complete
    with pytest.raises(ConfigError, match="set 0 to 2") as error:
        run(root, shard_index=3, num_shards=3)
    assert (error.value.key, error.value.value) == ("shard_index", 3)


def test_copies_show_the_same_frames_at_the_same_times_and_leave_the_sources_alone(root):
    unchanged = {path: path.read_bytes() for path in root.iterdir()}
    counts = run(root, copies=16, gop=5)
    assert (counts["copies"], counts["without_copy"]) == (2, 0)
    assert {path: path.read_bytes() for path in unchanged} == unchanged
    sources, copies = (files(root, copies=side).videos("train") for side in (None, 16))
    for source, copy in zip(sources, copies, strict=True):
        assert copy.labels == source.labels
        assert copy.path != source.path
        with PyAVVideoReader(source.path) as a, PyAVVideoReader(copy.path, stamps=copy.stamps) as b:
            assert min(b.shape.height, b.shape.width) == 16
            assert a.shape.frames == b.shape.frames
            for number in range(a.shape.frames):
                assert float((b.stamps[number] - b.stamps[0]) * b.time_base) == pytest.approx(
                    float((a.stamps[number] - a.stamps[0]) * a.time_base), abs=5e-4
                )
            numbers = [0, 3, a.shape.frames - 1]
            one, other = (f.read(numbers, [CropBox(0, 0, *f.shape[1:])], (8, 8))[0].astype(int) for f in (a, b))
            assert abs(one - other).max() <= 6
        with av.open(copy.path) as container:
            keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
        assert all(any(keys[at : at + 5]) for at in range(len(keys) - 4))


def test_copies_of_videos_that_lie_elsewhere_lie_with_the_others_and_are_read(root):
    """Lists with absolute paths, or with ``..``, are common; whatever they name is only read."""
    data = root / "set"
    data.mkdir()
    (data / "train.csv").write_text(f"path,label\n{root}/even.mp4,a\n../uneven.mkv,b\n")
    outside = set(root.iterdir())
    counts = [prepare(CsvDataset(root=data), splits=("train",), num_workers=1, copies=16) for _ in range(2)]
    assert [count["copies"] for count in counts] == [2, 2]
    assert set(root.iterdir()) == outside
    folder = data / "prepared" / "short16"
    assert len(list((folder / "index").iterdir())) == 1, "the second run made the copies again"
    sources, copies = (CsvDataset(root=data, copies=side).videos("train") for side in (None, 16))
    for source, copy in zip(sources, copies, strict=True):
        assert Path(copy.path).resolve().is_relative_to(folder)
        assert copy.stamps
        with PyAVVideoReader(source.path) as a, PyAVVideoReader(copy.path, stamps=copy.stamps) as b:
            assert (b.shape.frames, min(b.shape[1:])) == (a.shape.frames, 16)


def test_no_copy_lies_outside_their_folder_and_no_two_videos_share_one():
    paths = ["a/b.mp4", "/a/b.mp4", "../a/b.mp4", "../../a/b.mp4", "/../a/b.mp4", "a/../b.mp4", "a../b.mp4", "..", "%"]
    paths += ["%2Fa/b.mp4", "%2E%2E/a/b.mp4", "%252Fa/b.mp4", "%25"]
    names = copy_names(pa.array(paths)).to_pylist()
    assert names[0] == "a/b.mp4.mp4"
    assert len(set(names)) == len(paths)
    assert not [name for name in names if Path(name).is_absolute() or ".." in Path(name).parts]


def test_copies_missing_are_refused_with_the_command(root):
    run(root)
    with pytest.raises(
        ConfigError, match=r"short16 has no copies of split \w+ \(\d+ videos\).*prepare\.py copies=16 splits="
    ) as error:
        files(root, copies=16).videos("val")
    assert (error.value.key, error.value.value) == ("data.dataset.copies", 16)


def test_prepare_with_full_decode_detects_hidden_damage(root):
    with av.open(str(root / "even.mp4")) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray((root / "even.mp4").read_bytes())
    for begin, size in packets[10:]:
        content[begin + 4 : begin + size] = bytes(size - 4)
    (root / "even.mp4").write_bytes(content)
    run(root)
    assert rows(root / "prepared")["even.mp4"]["frames"] == 30
    run(root, full_decode=True)
    newest = next(row for row in read_index(root / "prepared").to_pylist() if row["path"] == "even.mp4")
    assert newest["problem"]
    with pytest.raises(ConfigError, match=r"1 of 1 val videos cannot be used: even\.mp4 \("):
        files(root).videos("val")


def test_prepare_counts_frames_of_a_frame_folder(tmp_path):
    (tmp_path / "take").mkdir()
    for number in range(3, 7):
        (tmp_path / "take" / f"frame_{number:010}.jpg").touch()
    (tmp_path / "train.csv").write_text("path,label\ntake,a\n")
    assert prepare(CsvDataset(root=tmp_path), splits=("train",), num_workers=1, copies=16)["unusable"] == 0
    (row,) = read_index(tmp_path / "prepared").to_pylist()
    assert (row["codec"], row["frames"]) == ("jpeg", 4)
    assert CsvDataset(root=tmp_path).videos("train")[0].stamps is None


def test_index_pieces_of_another_version_are_refused(root):
    (root / "prepared" / "index").mkdir(parents=True)
    piece = root / "prepared" / "index" / "1-1.arrow"
    with pa.OSFile(str(piece), "wb") as sink, pa.ipc.new_file(sink, pa.schema({"path": pa.string()})):
        pass
    with pytest.raises(DataError, match=r"was written by another version; delete .*index") as error:
        files(root).videos("val")
    assert error.value.file == str(piece)
    piece.write_bytes(b"ARROW1")
    with pytest.raises(DataError, match="is not a piece of an index") as error:
        files(root).videos("val")
    assert error.value.file == str(piece)


def test_index_newest_row_of_a_file_counts(root):
    for frames in (5, 9):
        row = dict.fromkeys(SCHEMA.names) | {"path": "even.mp4", "bytes": (root / "even.mp4").stat().st_size}
        row |= {"frames": frames, "stamp": 7, "step": 3}
        write_piece(root / "prepared", pa.Table.from_pylist([row], SCHEMA))
    assert files(root).videos("val")[0].stamps == range(7, 34, 3)


@pytest.mark.parametrize(
    ("size", "copy"), [((341, 255), (172, 128)), ((255, 341), (128, 172)), ((50, 34), (50, 34)), ((51, 36), (52, 36))]
)
def test_copies_have_even_sides_and_are_never_enlarged(size, copy):
    assert even_size(*size, 128) == copy


def test_prepare_refuses_overrides_without_effect(composed, tmp_path):
    overrides = ("data=csv", f"data.root={tmp_path}", "data.num_workers=2")
    cfg = composed(*overrides, name="prepare")
    cfg.paths.run = str(tmp_path)  # Hydra names it only within a run
    with pytest.raises(ConfigError, match=r"^data\.num_workers=2: .*; set num_workers instead of data\.num_workers$"):
        prepare_command(cfg, Job(tmp_path, {}, list(overrides), None))


def test_the_command_writes_a_page_with_commands_that_compose_and_costs(composed, tmp_path):
    root = tmp_path / "videos"
    for split, numbers in {"train": range(4), "val": range(4, 6)}.items():
        for label in ("a", "b"):
            (root / split / label).mkdir(parents=True)
            for number in numbers:
                write_video(root / split / label / f"{number}.mp4", range(0, 1200, 40), size=(60, 50))
    clip = ("data.frames=4", "data.stride=2", "data.resize=40", "data.crop=[32,32]")
    overrides = ("data=folder", f"data.root={root}", *clip, "num_workers=1")
    cost = ("cost.model=factorised_encoder", "cost.size=tiny", 'cost.overrides=["data.batch_size=2"]')
    cfg = composed(*overrides, *cost, name="prepare")
    cfg.paths.run = str(tmp_path)
    prepare_command(cfg, Job(tmp_path, {}, [*overrides, *cost], None))
    page = (root / "prepared" / "index.html").read_text()
    commands = [html.unescape(text) for text in re.findall(r"<pre><code>(.*?)</code>", page, re.DOTALL)]
    assert len(commands) == 2
    assert not [command for command in commands if "data.fps" in command], "data.stride is typed"
    for command in commands:
        python, script, *words = shlex.split(command.replace("\\\n", " "))
        name = Path(script).stem
        assert (python, name) in {("python", "features"), ("python", "train")}
        assert composed(*words, name=name).data.root == str(root)
    for text in ("clips a second", " epochs</td>", "of 2 clips", "disk of copies=40", "an epoch"):
        assert text in page
    results = json.loads((tmp_path / "results.json").read_text())
    listed = json.loads((root / "prepared" / "findings.json").read_text())["findings"]
    assert results["findings"] == [finding["kind"] for finding in listed]
    assert "few_of_class" in results["findings"]


@pytest.mark.usefixtures("untyped")
def test_costs_of_what_does_not_compose_are_refused_first(composed, tmp_path):
    (tmp_path / "train.csv").write_text("path,label\na.mp4,x\n")
    overrides = ("data=csv", f"data.root={tmp_path}")
    for wrong, message in (
        *(("cost.model=factorized", "factorized"), ("cost.overrides=[1]", "cost.overrides"), ("cost=5", "cost=5")),
        *(("cost=null", "cost=null: is no run"), ("splits=[foo]", "splits=foo: is not a split")),
        *(
            ("data.frames=abc", "data.frames=abc"),
            ("data.fps=abc", "data.fps=abc"),
            ("data.balance=x", "data.balance=x"),
        ),
        ("data.crop=5", "data.crop=5: is not height and width"),
    ):
        cfg = composed(*overrides, wrong, name="prepare")
        cfg.paths.run = str(tmp_path)
        with pytest.raises(ConfigError, match=message):
            prepare_command(cfg, Job(tmp_path, {}, [*overrides, wrong], None))
    assert not (tmp_path / "prepared").exists()


def test_prepare_names_the_list_of_unusable_files_only_where_it_has_any(composed, tmp_path, caplog):
    root = tmp_path / "videos"
    root.mkdir()
    write_video(root / "a.mp4", IRREGULAR)
    (root / "train.csv").write_text("path,label\na.mp4,x\n")
    overrides = ("data=csv", f"data.root={root}", "splits=[train]", "num_workers=1")
    cfg = composed(*overrides, name="prepare")
    cfg.paths.run = str(tmp_path)
    for unusable in (0, 1):
        caplog.clear()
        with caplog.at_level("INFO"):
            prepare_command(cfg, Job(tmp_path, {}, list(overrides), None))
        assert f"{unusable} missing" in caplog.text
        assert ("are listed in" in caplog.text) == bool(unusable)
        (root / "train.csv").write_text("path,label\na.mp4,x\nb.mp4,x\n")


def test_costs_that_cannot_be_measured_leave_the_page(composed, tmp_path, caplog):
    root = tmp_path / "videos"
    for split in ("train", "val"):
        for label in ("a", "b"):
            (root / split / label).mkdir(parents=True)
            write_video(root / split / label / "1.mp4", range(0, 400, 40))
    overrides = (
        "data=folder",
        f"data.root={root}",
        "num_workers=1",
        "cost.size=tiny",
        'cost.overrides=["size.depth=abc"]',
    )
    cfg = composed(*overrides, name="prepare")
    cfg.paths.run = str(tmp_path)
    prepare_command(cfg, Job(tmp_path, {}, list(overrides), None))
    assert "costs are not measured: " in caplog.text
    assert "Not measured: " in (root / "prepared" / "index.html").read_text()
