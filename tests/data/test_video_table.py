"""650,000 videos cost a worker what 650 do, however it is started."""

import multiprocessing
import os
import pickle
import random
import re
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest

from vivit.data import VideoDataModule
from vivit.data.datasets import CsvDataset, build_dataset
from vivit.data.index.index import SCHEMA, write_piece
from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler
from vivit.structures import Video

MANY, FEW = 650_000, 650
FOLDER = 1000
"""Videos of a folder; all folders are one folder under several names."""


def made_up(root, count, video):
    """Make a data set of ``count`` paths, which all lead to one video, with an index."""
    (root / "videos").mkdir()
    for name in range(min(count, FOLDER)):
        os.link(video, root / "videos" / f"{name:03}.mp4")
    for name in range(-(-count // FOLDER)):
        (root / f"{name:03}").symlink_to(root / "videos")
    numbers = pa.array(range(count))
    folders, names = (
        pc.utf8_lpad(pc.cast(part, pa.string()), 3, "0")
        for part in (pc.divide(numbers, FOLDER), pc.subtract(numbers, pc.multiply(pc.divide(numbers, FOLDER), FOLDER)))
    )
    paths = pc.binary_join_element_wise(folders, pc.binary_join_element_wise(names, ".mp4", ""), "/")
    labels = pc.cast(pc.bit_wise_and(numbers, 7), pa.string())
    pa.csv.write_csv(pa.table({"path": paths, "label": labels}), root / "train.csv")
    known = {"path": paths, "bytes": pa.repeat(video.stat().st_size, count), "frames": pa.repeat(30, count)}
    known |= {"stamp": pa.repeat(0, count), "step": pa.repeat(512, count)}
    columns = [known.get(field.name, pa.nulls(count)).cast(field.type) for field in SCHEMA]
    write_piece(root / "prepared", pa.Table.from_arrays(columns, schema=SCHEMA))
    return {"name": "csv", "classes": {"label": [str(number) for number in range(8)]}}


@pytest.fixture(scope="module")
def sets(small_motion, tmp_path_factory):
    video = small_motion / "train" / "00000.mp4"
    roots = {count: tmp_path_factory.mktemp(f"of{count}") for count in (FEW, MANY)}
    return {count: (root, made_up(root, count, video)) for count, root in roots.items()}


def test_video_table_first_batch_of_650_000_videos_within_seconds(sets):
    root, options = sets[MANY]
    begin = time.process_time()
    data = VideoDataModule(
        root=str(root), dataset=options, frames=4, stride=2, resize=36, crop=(32, 32), augment=RandomViewSampler,
        views=MultiViewSampler, batch_size=8, num_workers=0, seed=1,
    )  # fmt: skip
    batch = next(iter(data.train_dataloader()))
    assert time.process_time() - begin < 5
    assert len(data.dataset.videos("train")) == MANY
    assert batch.frames.shape[0] == 8
    assert all(label == video % 8 for label, video in zip(batch.labels[:, 0].tolist(), batch.videos, strict=True))


def test_left_out_contains_missing_and_unreadable_videos(sets):
    root, options = sets[FEW]
    (root / "val.csv").write_text("path,label\n000/001.mp4,3\ngone.mp4,5\n")
    allowed = options | {"max_missing": {"val": 0.5}}
    data = VideoDataModule(
        root=str(root), dataset=allowed, frames=4, stride=2, resize=36, crop=(32, 32), augment=RandomViewSampler,
        views=MultiViewSampler, batch_size=8, num_workers=0, seed=1,
    )  # fmt: skip
    assert data.skipped_videos() == {}
    assert [batch.labels.tolist() for batch in data.val_dataloader()] == [[[3]]]
    assert data.skipped_videos() == {"val": {"videos": 1, "why": ["gone.mp4: missing"]}}


@pytest.mark.parametrize("copies", [None, 16])
def test_video_table_stores_timestamps_of_a_long_video_once(tmp_path, copies):
    """A thousand segments of a file with ten thousand uneven frames, and others of an even one and of none."""
    (tmp_path / "even.mp4").touch()
    (tmp_path / "long.mp4").touch()
    names = [*["long.mp4"] * 1000, "gone.mp4", "even.mp4"]
    rows = "".join(f"{name},x,{at},{at + 1}\n" for at, name in enumerate(names))
    (tmp_path / "train.csv").write_text("path,label,start,end\n" + rows)
    stamps = [7 * number + number % 2 for number in range(10_000)]
    known = dict.fromkeys(SCHEMA.names) | {"bytes": 0, "decoded": False}
    facts = [
        known | {"path": "long.mp4", "frames": 10_000, "stamp": 0, "stamps": stamps},
        known | {"path": "even.mp4", "frames": 3, "stamp": 5, "step": 2},
    ]
    write_piece(tmp_path / "prepared", pa.Table.from_pylist(facts, SCHEMA))
    if copies:
        write_piece(tmp_path / "prepared" / "short16", pa.Table.from_pylist(facts[:1], SCHEMA))
        (tmp_path / "prepared" / "short16" / "long.mp4.mp4").touch()
    videos = CsvDataset(root=tmp_path, copies=copies, max_missing={"train": 0.5}, train_share=0.5).videos("train")
    assert len(videos) == 500
    assert Path(videos.__getstate__()["name"]).stat().st_size < 300_000, "the timestamps alone are 80 kB"
    full = CsvDataset(root=tmp_path, copies=copies, max_missing={"train": 0.5}).videos("train")
    assert len(full) == 1001
    for seen in (full, pickle.loads(pickle.dumps(full))):
        assert [seen[row].stamps for row in (0, 999)] == [tuple(stamps)] * 2
        assert seen[1000] == Video(str(tmp_path / "even.mp4"), (0,), 1001.0, 1002.0, stamps=range(5, 11, 2))
    name = "long.mp4" if copies is None else "prepared/short16/long.mp4.mp4"
    assert {video.path for video in full[:1000]} == {str(tmp_path / name)}


def private(videos, connection):
    """Read some videos in a worker, then say how much memory is its own, in MB; a file in memory is everybody's."""
    numbers = random.Random(1).sample(range(len(videos)), 600)
    assert all(videos[number].labels == (number % 8,) for number in numbers)
    mappings = re.split(r"^(?=[0-9a-f]+-)", Path("/proc/self/smaps").read_text(), flags=re.MULTILINE)
    private = [mapping for mapping in mappings if "/memfd:" not in mapping]
    connection.send(sum(int(kb) for kb in re.findall(r"Private_Dirty: +(\d+) kB", "".join(private))) / 1024)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells what memory is private")
def test_video_table_of_650_000_videos_is_shared_by_workers(sets):
    def worker(count: int) -> float:
        root, options = sets[count]
        actual, reference = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(
            target=private, args=(build_dataset(**options, root=root).videos("train"), reference)
        )
        process.start()
        megabytes = actual.recv()
        process.join()
        return megabytes

    few, many = worker(FEW), worker(MANY)
    assert many - few < 10


def test_video_table_is_pickled_as_a_file_name(sets):
    root, options = sets[MANY]
    videos = build_dataset(**options, root=root).videos("train")
    sent = pickle.dumps(videos)
    assert len(sent) < 1000
    assert pickle.loads(sent)[649_999] == videos[-1]
    assert videos[-1] == Video(str(root / "649/999.mp4"), (7,), stamps=range(0, 15360, 512))


def test_video_table_file_is_deleted_with_the_object(sets):
    root, options = sets[FEW]
    videos = build_dataset(**options, root=root).videos("train")
    name = Path(videos.__getstate__()["name"])
    assert name.is_file()
    del videos
    assert not name.exists()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="files in memory are Linux's")
def test_killed_process_leaves_no_video_table(sets, tmp_path, monkeypatch):
    def worker() -> None:
        root, options = sets[FEW]
        videos = build_dataset(**options, root=root).videos("train")
        actual.send(videos.__getstate__()["name"])
        time.sleep(60)

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    reference, actual = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=worker)
    process.start()
    name = Path(reference.recv())
    assert name.is_file()
    process.kill()
    process.join()
    assert not name.exists()
    assert not [*tmp_path.iterdir()]
