"""Videos in storage: clips of local files bit for bit, by few requests, whatever fails, with a cache that is whole."""

import io
import multiprocessing
import os
import shutil
import signal
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.films import film

from vivit.addresses import has_secrets, join_path, without_secrets
from vivit.benchmarks.storage import storage_rows
from vivit.benchmarks.storage_server import serving
from vivit.data import VideoDataModule
from vivit.data.dataset import TrainClipDataset
from vivit.data.datasets import CsvDataset, TarFiles, VideoFolder
from vivit.data.frame_cache.survey import CachePlan
from vivit.data.index.index import read_index
from vivit.data.index.prepare import prepare
from vivit.data.readers.open_video import open_video
from vivit.data.readers.video_error import StorageError, VideoError
from vivit.data.storage import requests, stored_file
from vivit.data.storage.byte_ranges import ByteRanges
from vivit.data.storage.range_cache import USED, RangeCache
from vivit.data.storage.remote_path import RemotePath
from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler
from vivit.data.views import CropBox
from vivit.errors import ConfigError, DataError

NUMBER = 5
BOX = [CropBox(0, 0, 64, 96)]
FRAMES = [70, 72, 74, 76]
PRESIGNED = "https://host/a.mp4?X-Amz-Signature=abc&X-Amz-Credential=me"


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Noisy films of two classes, so large that a clip is a small part of them."""
    root = tmp_path_factory.mktemp("videos")
    y, x = (axis[..., None] for axis in np.mgrid[:64, :96])
    for number in range(NUMBER):
        waves = 128 + 60 * np.sin(x / 9 + y / 7 + 0.5 * np.arange(140)[:, None, None, None] + number)
        noise = np.random.default_rng(number).normal(0, 40, waves.shape)
        file = root / f"train/{'ab'[number % 2]} c/{number}.mp4"
        file.parent.mkdir(parents=True, exist_ok=True)
        film(file, np.clip(waves + noise, 0, 255).repeat(3, -1).astype(np.uint8), g=10)
    return root


@pytest.fixture(scope="module")
def index(videos, tmp_path_factory):
    """Return the index of the videos, made through the server."""
    folder = tmp_path_factory.mktemp("index")
    with serving(videos) as server:
        prepare(VideoFolder(root=RemotePath(server.address), index_dir=folder), splits=["train"], num_workers=1)
    return folder


@pytest.fixture(scope="module")
def tars(videos, tmp_path_factory):
    """Return a folder of tar files as WebDataset writes them."""
    root = tmp_path_factory.mktemp("tars")
    for shard, numbers in enumerate((range(0, 2), range(2, NUMBER))):
        with tarfile.open(root / f"train-{shard:06d}.tar", "w") as tar:
            for number in numbers:
                tar.add(videos / f"train/{'ab'[number % 2]} c/{number}.mp4", f"films/{number:03d}.mp4")
                add(tar, f"films/{number:03d}.json", b'{"label": "%s"}' % [b"a c", b"b c"][number % 2])
    return root


def add(tar, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def read(video):
    with open_video(video) as file:
        return file.read(FRAMES, BOX, (32, 32))


def module(root, name, cache, workers=0, **dataset):
    return VideoDataModule(
        root=str(root), dataset={"name": name} | dataset, frames=4, stride=2, resize=40, crop=[32, 32], batch_size=2,
        views=MultiViewSampler, augment=RandomViewSampler, seed=3, num_workers=workers, cache_dir=str(cache),
        cache_gb=0.05,
    )  # fmt: skip


def epoch(data, state=None, stop=None):
    loader = data.train_dataloader()
    if state is not None:
        loader.load_state_dict(state)
    batches = []
    for batch in loader:
        batches.append(batch.frames.clone())
        if stop is not None and len(batches) == stop:
            return batches, loader.state_dict()
    return batches, None


def equal(a, b):
    return len(a) == len(b) and all(torch.equal(one, other) for one, other in zip(a, b, strict=True))


def test_clips_are_those_of_local_files_by_three_requests_then_one_then_none(videos, index, tmp_path):
    local = VideoFolder(root=videos).videos("train")
    with serving(videos) as server:
        data = VideoFolder(root=RemotePath(server.address), index_dir=index)
        data.cache = RangeCache(str(tmp_path), 10**8)
        table = data.videos("train")
        assert len(table) == NUMBER
        for ours, other in zip(table, local, strict=True):
            assert ours.path.endswith(os.path.relpath(other.path, videos))
            expected, server.requests[:] = read(other), []
            np.testing.assert_array_equal(read(ours), expected)
            assert server.gets <= 3, "how it begins and ends, and the clip"
            size = Path(other.path).stat().st_size
            assert server.fetched < 0.5 * size
            server.requests.clear()
            np.testing.assert_array_equal(read(ours), expected)
            assert server.requests == [], "the cache has it"
            with open_video(ours) as file:
                file.read([20, 22], BOX, (32, 32))
            assert server.gets <= 1, "the header is there"


def test_how_a_file_begins_and_ends_is_asked_for_at_once(videos, index, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(stored_file, "fetch", lambda *at: (asked.append(len(at[1])), requests.fetch(*at))[1])
    with serving(videos) as server:
        read(VideoFolder(root=RemotePath(server.address), index_dir=index).videos("train")[0])
    assert asked == [2, 1]


def test_videos_of_a_batch_in_storage_are_read_side_by_side_in_their_order(videos, index, tmp_path, monkeypatch):
    read_one, two = TrainClipDataset.clip, threading.Barrier(2)
    expected, _ = epoch(module(videos, "folder", tmp_path))
    monkeypatch.setattr(TrainClipDataset, "clip", lambda *key: (two.wait(60), read_one(*key))[1])
    with serving(videos) as server:
        clips, _ = epoch(module(server.address, "folder", tmp_path / "cache", index_dir=str(index)))
    assert equal(clips, expected)


def test_epochs_with_failing_server_and_workers_are_those_of_local_files(videos, index, tmp_path):
    expected, _ = epoch(module(videos, "folder", tmp_path))
    with serving(videos) as server:
        server.fail_every = 7
        through = {"index_dir": str(index)}
        clips, _ = epoch(module(server.address, "folder", tmp_path / "a", workers=2, **through))
        assert equal(clips, expected)
        assert any(count == 0 for _, _, count in server.requests), "some requests failed"
        server.ranges = False
        assert equal(epoch(module(server.address, "folder", tmp_path / "b", **through))[0], expected)
        without_index = module(server.address, "folder", tmp_path / "c", index_dir=str(tmp_path / "none"))
        assert equal(epoch(without_index)[0], expected)


def test_a_tar_set_has_a_length_shuffles_and_resumes_like_files(videos, tars, tmp_path):
    options = {"index_dir": str(tmp_path / "index")}
    with serving(tars) as server:
        prepare(TarFiles(root=RemotePath(server.address), **options), num_workers=1)
        data = module(server.address, "tar", tmp_path, **options)
        videos_of = data.dataset.videos("train")
        assert len(videos_of) == NUMBER
        assert data.heads == {"label": ("a c", "b c")}
        assert [data.heads["label"][video.labels[0]] for video in videos_of] == [
            "ab"[number % 2] + " c" for number in range(NUMBER)
        ]
        server.requests.clear()
        by_path = {Path(video.path).name: video for video in VideoFolder(root=videos).videos("train")}
        for video in videos_of:
            np.testing.assert_array_equal(read(video), read(by_path[f"{int(Path(video.path).stem)}.mp4"]))
        assert server.gets <= 3 * NUMBER
        expected, _ = epoch(data)
        loader = module(server.address, "tar", tmp_path, **options).train_dataloader()
        loader.order.set_epoch(1)
        assert not equal([batch.frames for batch in loader], expected), "another epoch is another order"
        _, state = epoch(module(server.address, "tar", tmp_path, **options), stop=1)
        rest, _ = epoch(module(server.address, "tar", tmp_path, workers=1, **options), state)
        assert equal(rest, expected[1:])
    assert equal(epoch(module(tars, "tar", tmp_path))[0], expected), "from a local disk, without an index"


def test_tar_files_of_any_split_name_and_member_name_are_all_read_but_for_prepared_ones(videos, tmp_path):
    film = next(videos.rglob("*.mp4")).read_bytes()
    for name in ("k400-train-0", "k400-train-1", "imagenet-val-000000", "prepared/tars/00000"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(tmp_path / f"{name}.tar", "w") as tar:
            for number in range(2):
                add(tar, f"/{number}.mp4", film)
                add(tar, f"/{number}.cls", b"ab"[number : number + 1])
    dataset = TarFiles(root=tmp_path)
    assert {split: len(dataset.videos(split)) for split in dataset.listed_splits} == {"train": 4, "val": 2}
    (tmp_path / "k400-train-0.tar").rename(tmp_path / "train-val.tar")
    with pytest.raises(DataError, match=r"train-val\.tar: is named after two splits, train and val"):
        TarFiles(root=tmp_path).heads  # noqa: B018


def test_a_tar_file_that_is_written_again_is_read_and_indexed_anew(tmp_path):
    root, prepared = tmp_path / "tars", tmp_path / "index"
    root.mkdir()

    def pack(frames):
        film(tmp_path / "0.mp4", np.random.default_rng(0).integers(0, 256, (frames, 64, 96, 3), np.uint8))
        with tarfile.open(root / "train-000.tar", "w") as tar:
            tar.add(tmp_path / "0.mp4", "0.mp4")
            add(tar, "0.cls", b"a")

    def look(name):
        (video,) = TarFiles(root=root, index_dir=name).videos("train")
        with open_video(video) as file:
            return file.shape.frames, file.read([0, file.shape.frames - 1], BOX, (32, 32))

    def indexed():
        prepare(TarFiles(root=root, index_dir=prepared), splits=["train"], num_workers=1, look_alike=False)
        return {row["path"]: row["frames"] for row in reversed(read_index(prepared).to_pylist())}

    pack(16)
    assert [*indexed().values()] == [16]
    pack(40)
    frames, expected = look(tmp_path / "none")
    assert frames == 40
    for when in ("with the old index", "after another"):
        frames, pictures = look(prepared)
        assert frames == 40, when
        np.testing.assert_array_equal(pictures, expected)
        assert [*indexed().values()] == [40]


@pytest.mark.parametrize("remote", [False, True])
def test_a_member_that_is_replaced_by_one_of_equal_size_is_no_other_video(remote, tmp_path):
    import fsspec

    root, disk = tmp_path / "tars", fsspec.filesystem("memory")
    root.mkdir()
    films = []
    for seed, frames in enumerate((16, 18)):
        pictures = np.random.default_rng(seed).integers(0, 256, (frames, 64, 96, 3), np.uint8)
        film(tmp_path / f"{seed}.mp4", pictures)
        films.append((tmp_path / f"{seed}.mp4").read_bytes())
    size = max(map(len, films))

    def look(film, cached=True):
        with tarfile.open(root / "train-000.tar", "w") as tar:
            add(tar, "0.mp4", film + bytes(size - len(film)))  # a player passes over what follows
            add(tar, "0.cls", b"a")
        if remote:
            disk.pipe_file(f"/{tmp_path.name}/train-000.tar", (root / "train-000.tar").read_bytes())
        place = RemotePath(f"memory://{tmp_path.name}") if remote else root
        options = {"root": place, "index_dir": tmp_path / "index" if cached else tmp_path / "none"}
        dataset = TarFiles(**options)
        dataset.cache = RangeCache(str(tmp_path / "fetched"), 10**8) if cached else None
        (video,) = dataset.videos("train")
        with open_video(video) as file:
            pictures = file.read([0, file.shape.frames - 1], BOX, (32, 32))
        return pictures, CachePlan([video]).key, dataset

    _, _, dataset = look(films[0])
    prepare(dataset, splits=["train"], num_workers=1, look_alike=False)
    before, key, _ = look(films[0])
    expected, _, _ = look(films[1], cached=False)
    assert not np.array_equal(before, expected)
    pictures, other, dataset = look(films[1])
    np.testing.assert_array_equal(pictures, expected)
    assert other != key, "nor are its cached frames those of the other"
    prepare(dataset, splits=["train"], num_workers=1, look_alike=False)
    assert read_index(tmp_path / "index")["frames"].to_pylist() == [18, 16], "the newest row is of what lies there"
    prepare(dataset, splits=["train"], num_workers=1, look_alike=False)
    assert len(read_index(tmp_path / "index")) == 2


def test_prepare_writes_tar_files_that_webdataset_and_every_data_set_reads(videos, tmp_path):
    root = tmp_path / "videos"
    shutil.copytree(videos, root)
    before = [read(video) for video in VideoFolder(root=root).videos("train")]
    options = {"splits": ["train"], "num_workers": 1, "look_alike": False}
    counts = prepare(VideoFolder(root=root), tar_size=2, **options)
    assert counts["in_tar_files"] == NUMBER
    counts = prepare(VideoFolder(root=root), copies=32, tar_size=2, **options)
    assert counts["in_tar_files"] == counts["copies"] == NUMBER
    assert not [*(root / "prepared/short32/train").rglob("*.mp4")], "copies are in tar files alone"
    files = {file: file.stat().st_mtime_ns for file in (root / "prepared").rglob("*.*ar*") if file.is_file()}
    assert len([file for file in files if file.suffix == ".tar"]) > 2
    prepare(VideoFolder(root=root), copies=32, tar_size=2, **options)
    assert {file: file.stat().st_mtime_ns for file in (root / "prepared").rglob("*.*ar*") if file.is_file()} == files
    shutil.rmtree(root / "train")
    names = "".join(f"{'ab'[n % 2]} c/{n}.mp4,{n}\n" for n in range(NUMBER)).replace("a c", "train/a c")
    (root / "train.csv").write_text("path,label\n" + names.replace("\nb c", "\ntrain/b c"))
    listed = CsvDataset(root=root).videos("train")
    by_path = dict(zip([video.path for video in VideoFolder(root=videos).videos("train")], before, strict=True))
    for video in listed:
        assert video.stored.address.endswith(".tar")
        np.testing.assert_array_equal(read(video), by_path[str(videos / os.path.relpath(video.path, root))])
    with serving(root) as server:
        there = CsvDataset(root=RemotePath(server.address), copies=32).videos("train")
        here = CsvDataset(root=root, copies=32).videos("train")
        for one, other in zip(there, here, strict=True):
            with open_video(one) as a, open_video(other) as b:
                box = [CropBox(0, 0, *a.shape[1:])]
                np.testing.assert_array_equal(*(file.read([5, 7], box, (32, 32)) for file in (a, b)))
                assert min(a.shape[1:]) == 32
    with tarfile.open(next((root / "prepared/tars").glob("*.tar"))) as tar:
        suffixes = [Path(member.name).suffix for member in tar]
    assert suffixes[:2] == [".mp4", ".json"]


@pytest.mark.parametrize("scheme", ["memory", "zip", "file"])
def test_other_file_systems(scheme, videos, tmp_path):
    import fsspec

    root = {"memory": "memory://bucket", "zip": f"zip://::file://{tmp_path}/a.zip", "file": f"file://{videos}"}[scheme]
    if scheme == "memory":
        system = fsspec.filesystem("memory")
        for file in videos.rglob("*.mp4"):
            system.pipe_file(f"/bucket/{file.relative_to(videos)}", file.read_bytes())
    if scheme == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for file in sorted(videos.rglob("*.mp4")):
                archive.write(file, file.relative_to(videos))
    data = VideoFolder(root=RemotePath(root))
    assert data.heads == {"label": ("a c", "b c")}
    (video, *_), (other, *_) = data.videos("train"), VideoFolder(root=videos).videos("train")
    np.testing.assert_array_equal(read(video), read(other))


def test_a_name_with_two_colons_is_read_from_the_web_and_refused_where_it_cannot_be_encoded(videos, tmp_path):
    import fsspec

    file = next(videos.rglob("*.mp4"))
    (tmp_path / "train/x::y").mkdir(parents=True)
    shutil.copy(file, tmp_path / "train/x::y/a::b.mp4")
    (expected,) = VideoFolder(root=tmp_path).videos("train")
    with serving(tmp_path) as server:
        (video,) = VideoFolder(root=RemotePath(server.address)).videos("train")
        np.testing.assert_array_equal(read(video), read(expected))
    fsspec.filesystem("memory").pipe_file("/colons/train/x/a::b.mp4", file.read_bytes())
    (video,) = VideoFolder(root=RemotePath("memory://colons")).videos("train")
    with pytest.raises(VideoError, match=r"a::b\.mp4: has a :: in a name, which joins two addresses: rename it"):
        read(video)


def test_errors_name_the_file_and_no_secret(videos, tmp_path, monkeypatch, caplog):
    with serving(videos) as server:
        secret = server.address.replace("://", "://me:hush@")
        lines = [f"{secret}/gone.mp4?X-Amz-Signature=hush,a", f"{secret}/train/a%20c/0.mp4?token=hush,a"]
        (tmp_path / "train.csv").write_text("\n".join(["path,label", *lines]))
        gone, there = CsvDataset(root=tmp_path).videos("train")
        assert there.path == f"{server.address}/train/a%20c/0.mp4"
        read(there)
        with pytest.raises(VideoError, match="gone.mp4: there is no such file") as error:
            read(gone)
        assert not isinstance(error.value, StorageError)
        monkeypatch.setattr(requests, "DEADLINE", 1.0)
        monkeypatch.setattr(requests, "LONGEST_WAIT", 0.1)
        server.fail_every = 1
        with pytest.raises(StorageError, match=r"a%20c/0\.mp4: was not fetched in \d+ tries .*503") as error:
            read(there)
        (waiting,) = (record.getMessage() for record in caplog.records if "not fetched yet" in record.getMessage())
        assert "503" in waiting
        assert "hush" not in f"{waiting} {gone.path} {there.path} {error.value} {error.getrepr(style='short')}".replace(
            secret, ""
        )
    prepared = tmp_path / "prepared"
    prepare(CsvDataset(root=tmp_path), splits=["train"], num_workers=1)
    written = b"".join(file.read_bytes() for file in prepared.rglob("*") if file.is_file())
    assert b"gone.mp4" in written
    assert b"hush" not in written


class AnswerError(Exception):
    """What a web server answers."""

    def __init__(self, status: int) -> None:
        self.status = status


@pytest.mark.parametrize(("status", "tries"), [(408, 3), (425, 3), (429, 3), (500, 3), (503, 3), (400, 1), (401, 1)])
def test_answers_about_the_moment_are_tried_again_and_those_about_the_request_are_not(status, tries, monkeypatch):
    monkeypatch.setattr(requests, "FIRST_WAIT", 0.001)
    answers = []

    def request(system, path):
        answers.append(status)
        if len(answers) < 3:
            raise AnswerError(status)
        return b"bytes"

    if tries == 1:
        with pytest.raises(DataError, match="cannot be fetched"):
            requests.attempt("memory://a", request)
    else:
        assert requests.attempt("memory://a", request) == b"bytes"
    assert len(answers) == tries


def test_frames_take_the_bytes_from_the_key_frame_before_to_the_end_after():
    """Of 18 frames, of which the index has the ends of 7, 15 and 17."""
    plan = ByteRanges([], [0, 8, 12], [10, 300, 500], [280, 700, 900])
    frames = {(0, 0): (10, 280), (7, 7): (10, 280), (7, 8): (10, 700), (8, 8): (300, 700), (11, 15): (300, 700)}
    frames |= {(12, 16): (500, 900), (17, 17): (500, 900)}
    assert {each: plan.of_frames(*each) for each in frames} == frames


def test_a_storage_that_is_gone_stops_training_and_replaces_no_video(videos, index, tmp_path, monkeypatch):
    monkeypatch.setattr(requests, "DEADLINE", 0.2)
    with serving(videos) as server:
        data = module(server.address, "folder", tmp_path, index_dir=str(index))
        data.max_bad_share = 1.0
        loader = data.train_dataloader()
        server.fail_every = 1
        with pytest.raises(VideoError, match=r"\d\.mp4: was not fetched"):
            next(iter(loader))


def test_what_cannot_be_opened_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"^data\.root=s3://b: was typed with a password .*environment") as error:
        module("s3://me:hush@b", "folder", tmp_path)
    assert "hush" not in str(error.value)
    with pytest.raises(DataError, match="s3:// needs a package.*s3fs"):
        VideoFolder(root=RemotePath("s3://bucket")).heads  # noqa: B018
    with pytest.raises(ConfigError, match=r"index_dir=memory://x/prepared: the index cannot be written there"):
        prepare(VideoFolder(root=RemotePath("memory://x")))
    with tarfile.open(tmp_path / "train-0.tar", "w:gz") as tar:
        add(tar, "a.cls", b"1")
    with pytest.raises(DataError, match=r"train-0\.tar: cannot be read as a tar file"):
        TarFiles(root=tmp_path).heads  # noqa: B018


def test_the_benchmark_counts_requests_and_bytes_and_compares_clips(videos, tmp_path):
    for file in sorted(videos.rglob("*.mp4"))[:2]:
        shutil.copy(file, tmp_path)
    rows = storage_rows(
        videos=str(tmp_path), latency_ms=1.0, copies=32, frames=3, stride=2, resize=32, crop=[32, 32], batch_size=2,
        num_workers=0, prefetch_factor=2, num_passes=1, seed=1,
    )  # fmt: skip
    assert all(row["same"] for row in rows)
    by_name = {row["name"]: row for row in rows}
    assert len(by_name) == 12
    for kind, most in (("files", 3), ("copies", 2), ("tars", 3)):
        assert by_name[f"{kind}: disk"]["requests"] == 0
        assert by_name[f"{kind}: at once"]["requests"] == 1
        assert by_name[f"{kind}: ranges, cache"]["requests"] <= 1 < by_name[f"{kind}: at once"]["kilobytes"]
        assert 1 <= by_name[f"{kind}: ranges"]["requests"] <= most
    assert by_name["files: ranges"]["kilobytes"] < 0.6 * by_name["files: at once"]["kilobytes"]


def test_addresses_are_joined_and_shown():
    assert join_path("s3://b/v", "a/1.mp4") == "s3://b/v/a/1.mp4"
    assert join_path("zip://::s3://b/v.zip", "a.mp4") == "zip://a.mp4::s3://b/v.zip"
    assert join_path("https://h/v", "a#1?.mp4") == "https://h/v/a%231%3F.mp4"
    assert join_path("/videos", "s3://b/a.mp4") == "s3://b/a.mp4"
    assert without_secrets(PRESIGNED) == "https://host/a.mp4"
    a, b = (without_secrets(f"https://me:hush@host/get?id={number}&sig=x") for number in (1, 2))
    assert a != b
    assert without_secrets("https://host/get?id=1&sig=other") == a
    assert "me" not in a.replace("https", "")
    assert without_secrets("/a?b@c://x") == "/a?b@c://x"
    hidden = {
        "https://u:p@ss@host/a.mp4": "https://host/a.mp4",
        "s3://k:se/cret@b/a": "s3://b/a",
        "HTTPS://h/a.mp4?X-Amz-Signature=1": "HTTPS://h/a.mp4",
        "https://h/a b.mp4?sig=x": "https://h/a b.mp4",
        "az://c/a?sig=x": "az://c/a",
        "hf://x?token=1": "hf://x",
        "zip://a.mp4::https://u:p@h/x.zip?sig=1": "zip://a.mp4::https://h/x.zip",
    }
    assert {text: without_secrets(text) for text in hidden} == hidden
    assert all(map(has_secrets, hidden))
    open_ = (
        "abfs://one@account.dfs.core.windows.net/a.mp4",
        "https://h:8080/a@b.mp4",
        "https://h/a:b@c.mp4",
        "s3://b/a?b=1",
    )
    assert [without_secrets(text) for text in open_] == [*open_]
    assert not any(map(has_secrets, open_))
    assert [has_secrets(text) for text in ("s3://b/a?b", "s3://k:p@b", PRESIGNED, "/a@b?c")] == [
        False,
        True,
        True,
        False,
    ]


def test_the_cache_stays_within_its_budget_and_keeps_what_was_read_last(tmp_path):
    cache = RangeCache(str(tmp_path), 1000)
    for number in range(6):
        cache.write(f"file{number}", 0, bytes(180))
        for file in tmp_path.rglob("0"):  # times of change that any disk tells apart
            os.utime(file, (time.time() + number - 1000,) * 2) if file.stat().st_mtime > time.time() - 100 else None
        cache.read("file0", 0)
    sizes = [file.stat().st_size for file in tmp_path.rglob("0")]
    assert 3 * 180 <= sum(sizes) <= 1000
    assert cache.ranges("file0") == {0: 180}
    assert cache.ranges("file1") == {}
    assert int((tmp_path / USED).read_text()) == sum(sizes)
    cache.write("file0", 0, bytes(100))  # in place of what was there
    assert int((tmp_path / USED).read_text()) == sum(sizes) - 80
    cache.write("large", 0, bytes(1001))
    assert cache.ranges("large") == {}


def write_on(folder: Path) -> None:
    cache = RangeCache(str(folder), 4 << 20)
    for number in range(10**6):
        cache.write(f"{number % 40}", 65536 * (number % 7), bytes([number % 40]) * (200_000 + number % 7))


def test_a_kill_in_the_middle_leaves_a_whole_cache(tmp_path):
    context = multiprocessing.get_context("fork")
    for wait in (0.05, 0.11, 0.2):
        processes = [context.Process(target=write_on, args=[tmp_path]) for _ in range(2)]
        for process in processes:
            process.start()
        time.sleep(wait)
        for process in processes:
            os.kill(process.pid, signal.SIGKILL)
            process.join()
        cache = RangeCache(str(tmp_path), 4 << 20)
        for name in range(40):
            for begin in cache.ranges(str(name)):
                assert cache.read(str(name), begin) == bytes([name]) * (200_000 + begin // 65536)
    cache.write("more", 0, bytes(100_000))
    assert cache.read("more", 0) == bytes(100_000), "no lock is left"
    assert sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) <= (4 << 20) + 600_000
