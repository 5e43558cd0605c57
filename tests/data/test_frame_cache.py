"""Clips from cached frames equal decoded ones, bit for bit; a cache is complete or absent, current, in its budget."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from vivit.data import VideoDataModule
from vivit.data.dataset import ClipDataset, TrainClipDataset
from vivit.data.datasets import dataset_from_options
from vivit.data.frame_cache import budget, caches
from vivit.data.frame_cache.cache_file import FrameCache
from vivit.data.frame_cache.caches import FrameCaches
from vivit.data.frame_cache.pictures import StoredVideo
from vivit.data.frame_cache.survey import CachePlan
from vivit.data.readers.open_video import open_video
from vivit.data.samplers import SampleKey
from vivit.data.transforms.flip import FlipLabelMap
from vivit.data.transforms.randaugment import RandAugment
from vivit.data.transforms.resize import FusedResize, ReferenceResize
from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler
from vivit.data.views import CropBox
from vivit.errors import ConfigError
from vivit.structures import Clip, DecodeFailure, Video

REPOSITORY = Path(__file__).parents[2]
CLIP = {"frames": 5, "stride": 2, "resize": 36, "crop": (32, 32)}
COLORS = RandAugment(num_ops=2, magnitude=10)
SAMPLERS = {
    "random": RandomViewSampler(**CLIP, hflip_prob=0.5),
    "jittered": RandomViewSampler(
        **CLIP, scale_jitter=(0.9, 1.33), color_transform=RandAugment(num_ops=2, magnitude=10)
    ),
    "all views": MultiViewSampler(**CLIP, temporal=3, spatial=3),
}


def waves(height, width, frames=14):
    y, x = np.mgrid[:height, :width]
    t = np.arange(frames)[:, None, None, None]
    drawn = 128 + 80 * np.sin(x[..., None] / 7 + y[..., None] / 5 + t / 3 + np.arange(3))
    return (drawn + np.random.default_rng(0).normal(0, 9, drawn.shape)).clip(0, 255).astype(np.uint8)


def write(path, height, width, codec="h264", pixels="yuv420p", degrees=0, aspect="1", colors=None, **options):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, pixels
        stream.codec_context.thread_count = 1
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        if colors:
            stream.codec_context.color_range, stream.codec_context.colorspace = colors
        if degrees:
            stream.set_display_rotation(degrees)
        for frame in waves(height, width):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return str(path)


def write_pictures(folder, sizes, pixels="yuvj420p"):
    folder.mkdir()
    for number, (height, width) in enumerate(sizes, 1):
        codec = av.CodecContext.create("mjpeg", "w")
        codec.height, codec.width, codec.pix_fmt, codec.time_base = height, width, pixels, Fraction(1, 25)
        picture = av.VideoFrame.from_ndarray(waves(height, width, number)[-1], format="rgb24").reformat(format=pixels)
        picture.color_range = 2
        (packet,) = [*codec.encode(picture), *codec.encode(None)]
        (folder / f"frame_{number:010d}.jpg").write_bytes(bytes(packet))
    return str(folder)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Videos that differ in all that a conversion depends on, and the names under which they fail."""
    root = tmp_path_factory.mktemp("films")
    return {
        "plain": Video(write(root / "a.mp4", 48, 64), (0,)),
        "larger": Video(write(root / "b.mkv", 120, 90, bf="3", g="5"), (1,)),
        "odd width": Video(write(root / "c.mkv", 50, 61, "ffv1", "yuv420p"), (0,)),
        "odd height": Video(write(root / "d.mkv", 51, 60, "ffv1", "yuv420p"), (1,)),
        "ten bits": Video(write(root / "e.mkv", 48, 64, "ffv1", "yuv422p10le"), (0,)),
        "full colour": Video(write(root / "f.mkv", 49, 63, "ffv1", "yuv444p"), (1,)),
        "packed": Video(write(root / "g.avi", 48, 64, "rawvideo", "bgr24"), (0,)),
        "grey": Video(write(root / "h.mkv", 48, 66, "ffv1", "gray"), (1,)),
        "mpeg4": Video(write(root / "i.avi", 48, 64, "mpeg4"), (0,)),
        "turned": Video(write(root / "j.mp4", 48, 64, degrees=90), (1,)),
        "upside down": Video(write(root / "k.mp4", 48, 64, degrees=180), (0,)),
        "wide pixels": Video(write(root / "l.mp4", 48, 64, aspect="4/3"), (1,)),
        "full range": Video(write(root / "p.mp4", 48, 64, colors=(2, 1)), (1,)),
        "segment": Video(write(root / "m.mp4", 48, 64, g="4"), (0,), 0.1, 0.5),
        "same file": Video(str(root / "m.mp4"), (1,), 0.3, None),
        "pictures": Video(write_pictures(root / "n", [(49, 63)] * 9), (0,)),
        "some pictures": Video(str(root / "n"), (1,), frame_range=(3, 8)),
        "coloured pictures": Video(write_pictures(root / "o", [(48, 64)] * 9, "yuvj444p"), (1,)),
    }


@pytest.fixture(scope="module")
def cached(videos):
    rows = list(videos.values())
    return FrameCaches("memory", 1.0, Path("unused"), lambda split: rows).get("train")


@pytest.mark.parametrize("resampling", [FusedResize(), FusedResize(True), ReferenceResize(), ReferenceResize(True)])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_clips_equal_decoded_ones(videos, cached, sampler, resampling):
    rows = list(videos.values())
    options = (rows, SAMPLERS[sampler], FlipLabelMap(), 3)
    decoded = ClipDataset(*options, resampling=resampling, steps=10.0)
    from_cache = ClipDataset(*options, resampling=resampling, steps=10.0, cache=cached)
    for row, name in enumerate(videos):
        for epoch in range(3):
            key = SampleKey(epoch, 4, row)
            a, b = decoded[key], from_cache[key]
            assert np.array_equal(a.frames, b.frames), name
            assert (a.labels, a.video, a.first_frames) == (b.labels, b.video, b.first_frames)


def test_all_of_these_videos_come_from_the_cache(videos, cached):
    absent = [name for row, name in enumerate(videos) if cached.video(row, square_pixels=False) is None]
    assert absent == []
    with av.open(videos["plain"].path) as container:
        frames = list(container.decode(video=0))
    turned = cached.video(list(videos).index("turned"), square_pixels=False)
    assert cached.video(0, square_pixels=False).shape == (len(frames), 48, 64)
    assert turned.shape[1:] == (64, 48)
    wide = list(videos).index("wide pixels")
    assert cached.video(wide, square_pixels=True).shape[1:] == (48, 85)


def test_frames_in_any_order_equal_decoded_ones(videos, cached):
    boxes, size = [CropBox(3, 5, 31, 40), CropBox(0, 0, 48, 64), CropBox(7, 2, 5, 9)], (20, 30)
    for name in ("plain", "mpeg4", "full range"):
        with open_video(videos[name]) as decoded:
            expected = decoded.read([9, 2, 2, 13, 0], boxes, size)
        video = cached.video(list(videos).index(name), square_pixels=False)
        assert np.array_equal(video.read([9, 2, 2, 13, 0], boxes, size), expected)


@pytest.mark.parametrize("pixels", [1, 48 * 64 * 3, 1 << 22])
def test_any_number_of_frames_at_a_time_is_the_same(videos, cached, monkeypatch, pixels):
    expected = ClipDataset([videos["plain"]], SAMPLERS["all views"], FlipLabelMap(), 0)[0].frames
    monkeypatch.setattr("vivit.data.frame_cache.cached_video.STACKED_PIXELS", pixels)
    clips = ClipDataset(list(videos.values()), SAMPLERS["all views"], FlipLabelMap(), 0, cache=cached)
    assert np.array_equal(clips[0].frames, expected)


def test_another_process_maps_the_same_cache(cached):
    again = pickle.loads(pickle.dumps(cached))
    assert len(pickle.dumps(cached)) < 300
    assert np.array_equal(again._bytes, cached._bytes)


def test_conversion_that_differs_is_noticed_and_decoded(videos, monkeypatch):
    """Where one value is another, the video is decoded as without a cache."""
    monkeypatch.setattr(caches, "_parallel", lambda work, items, title, crashed: [work(item) for item in items])
    stack = StoredVideo.stack

    def darker(self, numbers):
        frame = stack(self, numbers)
        plane = np.frombuffer(memoryview(frame.planes[0]), np.uint8)
        plane[0] ^= 64
        return frame

    monkeypatch.setattr(StoredVideo, "stack", darker)
    cache = FrameCaches("memory", 1.0, Path("unused"), lambda split: [videos["plain"]]).get("train")
    assert cache.video(0, square_pixels=False) is None


@pytest.fixture
def damaged(tmp_path, videos):
    """Rows of which some cannot be read: cut off, empty, missing, of two sizes."""
    cut = tmp_path / "cut.mkv"
    content = Path(videos["larger"].path).read_bytes()
    cut.write_bytes(content[: len(content) // 3])
    (tmp_path / "empty.mp4").write_bytes(b"")
    pictures = write_pictures(tmp_path / "two_sizes", [(48, 64)] * 4 + [(50, 64)] * 5)
    bad = [str(cut), str(tmp_path / "empty.mp4"), str(tmp_path / "none.mp4"), pictures]
    return [videos["plain"], *(Video(path, (0,)) for path in bad), videos["larger"]]


def test_bad_videos_are_reported_as_without_a_cache(damaged):
    cache = FrameCaches("memory", 1.0, Path("unused"), lambda split: damaged).get("train")
    keys = [SampleKey(epoch, 0, row) for epoch in range(2) for row in range(len(damaged))]
    for kind in (ClipDataset, TrainClipDataset):
        options = (damaged, SAMPLERS["random"], FlipLabelMap(), 1)
        expected, samples = kind(*options).__getitems__(keys), kind(*options, cache=cache).__getitems__(keys)
        assert len(expected) == len(samples)
        assert any(isinstance(sample, DecodeFailure) for sample in expected)
        for a, b in zip(expected, samples, strict=True):
            assert type(a) is type(b)
            if isinstance(a, Clip):
                assert np.array_equal(a.frames, b.frames) and a.video == b.video
            else:
                assert a == b
    assert [cache.video(row, square_pixels=False) is not None for row in range(6)] == [True, *[False] * 4, True]


def disk_caches(folder, rows, **options):
    return FrameCaches("disk", options.pop("budget", 1.0), folder, lambda split: rows)


def test_cache_on_disk_is_used_again_until_a_file_changes(tmp_path, videos, monkeypatch):
    path = tmp_path / "a.mp4"
    path.write_bytes(Path(videos["plain"].path).read_bytes())
    rows, folder = [Video(str(path), (0,))], tmp_path / "cache"
    first = disk_caches(folder, rows).get("train")
    (file,) = folder.glob("*.frames")
    monkeypatch.setattr(caches, "_parallel", None)  # nothing may be decoded
    again = disk_caches(folder, [Video(str(path), (7,))]).get("val")
    assert again.path == first.path == str(file)
    monkeypatch.undo()
    os.utime(path, ns=(1, 1))
    touched = disk_caches(folder, rows).get("train")
    write(path, 60, 64)
    changed = disk_caches(folder, rows).get("train")
    assert len({first.path, touched.path, changed.path}) == 3
    assert changed.video(0, square_pixels=False).shape[1:] == (60, 64)
    clips = [ClipDataset(rows, SAMPLERS["random"], FlipLabelMap(), 0, cache=cache)[0] for cache in (None, changed)]
    assert np.array_equal(clips[0].frames, clips[1].frames)


def test_key_holds_files_times_ranges_and_decoder(tmp_path, videos, monkeypatch):
    folder = tmp_path / "pictures"
    write_pictures(folder, [(48, 64)] * 4)
    base = [videos["segment"], Video(str(folder), (0,))]
    keys = {CachePlan(base).key}
    assert CachePlan([videos["segment"], Video(str(folder), (1,), name="x")]).key in keys
    keys.add(CachePlan(base[::-1]).key)
    keys.add(CachePlan([Video(base[0].path, (0,), 0.1, 0.6), base[1]]).key)
    keys.add(CachePlan([base[0], Video(str(folder), (0,), frame_range=(1, 2))]).key)
    keys.add(CachePlan([Video(base[0].path, (0,), 0.1, 0.5, stamps=range(0, 9, 3)), base[1]]).key)
    os.utime(folder / "frame_0000000002.jpg", ns=(1, 1))
    keys.add(CachePlan(base).key)
    monkeypatch.setattr(av, "library_versions", {"libavcodec": (1, 2, 3)})
    keys.add(CachePlan(base).key)
    assert len(keys) == 7


def test_videos_that_are_listed_twice_are_stored_once(videos):
    once, twice = [videos["plain"]], [videos["plain"], Video(videos["plain"].path, (5,))]
    sizes = [FrameCaches("memory", 1.0, Path("x"), lambda split, r=r: r).get("train").size for r in (once, twice)]
    assert sizes[1] - sizes[0] < 100


def test_budget_is_one_for_all_splits_and_checked_before_decoding(tmp_path, videos, monkeypatch):
    splits = {"train": [videos["plain"]], "val": [videos["larger"]], "test": [videos["plain"]]}
    monkeypatch.setattr(caches, "fill", None)
    needed = 14 * (48 * 64 * 3 // 2 + 120 * 96 + 2 * 60 * 48) / 1e9
    with pytest.raises(ConfigError) as error:
        FrameCaches("disk", 2e-4, tmp_path / "cache", splits.get).make(["train"], ["val", "test"])
    assert (error.value.key, error.value.value) == ("data.cache_gb", 2e-4)
    text = str(error.value)
    assert budget.gigabytes(needed * 1e9) in text and "GB of train" in text and "of test" not in text
    assert not (tmp_path / "cache").exists()
    monkeypatch.undo()
    FrameCaches("disk", 4e-4, tmp_path / "cache", splits.get).make(["train"], ["val", "test"])


def test_far_too_large_data_set_is_refused_by_a_sample(videos, monkeypatch):
    measured = []
    monkeypatch.setattr(
        caches, "_parallel", lambda work, items, title, crashed: [measured.append(i) or work(i) for i in items]
    )
    monkeypatch.setattr(caches, "SAMPLE", 3)
    rows = [Video(videos["plain"].path, (0,), None, 0.4 + n / 1000) for n in range(40)]
    with pytest.raises(ConfigError, match="about") as error:
        FrameCaches("memory", 1e-4, Path("unused"), lambda split: rows).get("train")
    assert error.value.key == "data.cache_gb"
    assert len(measured) == 3


@pytest.mark.parametrize("mode", ["memory", "disk"])
def test_frames_that_do_not_fit_the_machine_are_refused(tmp_path, videos, monkeypatch, mode):
    monkeypatch.setattr(budget, "free_memory", lambda: 1000)
    monkeypatch.setattr(budget.shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    with pytest.raises(ConfigError) as error:
        FrameCaches(mode, 1.0, tmp_path / "cache", lambda split: [videos["plain"]]).get("train")
    assert (error.value.key, error.value.value) == ("data.cache", mode)
    assert list((tmp_path / "cache").glob("*.frames")) == []


@pytest.mark.parametrize(
    ("options", "key"), [({"cache": "ram"}, "data.cache"), ({"cache": "disk", "cache_gb": 0.0}, "data.cache_gb")]
)
def test_impossible_values_are_refused(small_motion, options, key):
    with pytest.raises(ConfigError) as error:
        data_module(small_motion, **options)
    assert error.value.key == key


def test_a_file_that_lost_its_end_is_made_again(tmp_path, videos, caplog):
    def cache():
        return FrameCaches("disk", 1.0, tmp_path / "cache", lambda split: [videos["plain"]]).get("train")

    size = cache().size
    (file,) = (tmp_path / "cache").glob("*.frames")
    for length in (size // 2, 0):
        os.truncate(file, length)
        assert cache().size == size
        assert "is made again" in caplog.text
        caplog.clear()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, videos):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "cache"
    with pytest.raises(ConfigError) as error:
        FrameCaches("disk", 1.0, folder, lambda split: [videos["plain"]]).get("train")
    assert (error.value.key, error.value.value) == ("data.cache_dir", folder)


def data_module(root, workers=0, **options):
    return VideoDataModule(
        root=str(root), dataset={"name": "motion", "format": 3, "label_columns": ["verb"]}, **CLIP,
        augment=partial(RandomViewSampler, hflip_prob=0.5), views=partial(MultiViewSampler, temporal=2, spatial=3),
        batch_size=4, seed=1, num_workers=workers, **options,
    )  # fmt: skip


def content(loader):
    return [(batch.frames.numpy().tobytes(), batch.labels.tolist(), batch.videos.tolist()) for batch in loader]


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_loaders_of_every_split_have_the_same_batches(small_motion, tmp_path, workers):
    expected = data_module(small_motion)
    for mode in ("memory", "disk"):
        data = data_module(small_motion, workers, cache=mode, cache_dir=str(tmp_path))
        for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
            loader = getattr(data, name)()
            assert loader.dataset.cache is not None
            assert content(loader) == content(getattr(expected, name)())


def test_a_share_of_the_training_videos_is_all_that_is_cached(small_motion):
    data = data_module(small_motion, cache="memory", train_share=0.25)
    cache = data.caches.get("train")
    rows = len(data.dataset.videos("train"))
    assert rows < 48 and cache.size < rows * 49 * 64 * 64 * 1.5 + 10_000
    whole = dataset_from_options({"name": "motion"} | data_options(), root=small_motion)
    assert CachePlan(whole.videos("train")).key != CachePlan(data.dataset.videos("train")).key


def data_options():
    return {"format": 3, "label_columns": ["verb"]}


MAKE = """
import sys
from pathlib import Path
from vivit.data.frame_cache import caches
from vivit.structures import Video

if __name__ == "__main__":
    rows = [Video(path, (0,)) for path in sys.argv[2:]]
    cache = caches.FrameCaches("disk", 1.0, Path(sys.argv[1]), lambda split: rows).get("train")
    print(cache.path)
"""


def start(folder, paths, before=""):
    command = [sys.executable, "-c", before + MAKE, str(folder), *paths]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_processes_at_once_make_one_cache(tmp_path, videos):
    paths = [videos[name].path for name in ("plain", "larger", "mpeg4")]
    runs = [start(tmp_path / "cache", paths) for _ in range(2)]
    outputs = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    assert len({out.strip() for out, _ in outputs}) == 1
    assert len(list((tmp_path / "cache").glob("*.frames"))) == 1
    assert ["decoding" in err for _, err in outputs].count(True) == 1


@pytest.mark.slow
def test_interrupted_making_leaves_nothing_that_is_used(tmp_path, videos):
    paths, folder = [videos[name].path for name in ("plain", "larger", "mpeg4")], tmp_path / "cache"
    slow = "import time, vivit.data.frame_cache.caches as c\nw = c.write_table\n"
    slow += "def late(*a):\n    print('ready', flush=True)\n    time.sleep(60)\nc.write_table = late\n"
    run = start(folder, paths, slow)
    assert run.stdout.readline().strip() == "ready"
    run.send_signal(signal.SIGKILL)
    run.communicate(timeout=60)
    assert list(folder.glob("*.frames")) == []
    rows = [Video(path, (0,)) for path in paths]
    cache = disk_caches(folder, rows).get("train")
    assert all(cache.video(row, square_pixels=False) for row in range(3))
    assert [file.name for file in folder.iterdir() if file.name.endswith(".partial")] == []


def test_a_file_without_its_end_is_refused(tmp_path, cached):
    for size in (len(cached._bytes) // 2, len(cached._bytes) - 1, 20):
        part = tmp_path / str(size)
        part.write_bytes(cached._bytes[:size].tobytes())
        with pytest.raises(OSError, match="no complete cache"):
            FrameCache(str(part))


HOLD = """
import sys, time
from pathlib import Path
from vivit.data.frame_cache import caches
from vivit.structures import Video

if __name__ == "__main__":
    holder = caches.FrameCaches("memory", 1.0, Path("unused"), lambda split: [Video(sys.argv[1], (0,))])
    print(holder.get("train").path, flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory without a name is Linux's")
def test_memory_is_gone_with_the_process(videos, number):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", HOLD, videos["plain"].path]
    run = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    path = run.stdout.readline().strip()
    size = FrameCache(path).size
    assert size > 14 * 48 * 64
    run.send_signal(number)
    run.communicate(timeout=60)
    assert not Path(path).exists()


def weights(folder):
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
    return checkpoint["state_dict"]


def train(root, folder, settings):
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "OMP_NUM_THREADS": "1"}
    settings = [*settings, f"data.cache_dir={folder.parent}/frames", f"hydra.run.dir={folder}", f"data.root={root}"]
    settings += ["model=spatiotemporal", "trainer.max_epochs=1", "data.batch_size=8", "logger=none"]
    command = [sys.executable, str(REPOSITORY / "src" / "train.py"), *settings]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    return weights(folder), json.loads((folder / "results.json").read_text())


def accuracies(results):
    return {name: value for name, value in results["metrics"].items() if "test" in name}


@pytest.mark.slow
def test_training_has_the_same_weights_with_any_cache(small_motion, tmp_path):
    before = time.time()
    expected, scores = train(small_motion, tmp_path / "none", ["data.num_workers=1"])
    for mode, workers in (("memory", 0), ("memory", 2), ("disk", 1), ("disk", 0)):
        settings = [f"data.cache={mode}", f"data.num_workers={workers}"]
        state, results = train(small_motion, tmp_path / f"{mode}{workers}", settings)
        assert expected.keys() == state.keys()
        assert all(torch.equal(expected[name], state[name]) for name in expected), (mode, workers)
        assert accuracies(results) == accuracies(scores) != {}
    assert len(list((tmp_path / "frames").glob("*.frames"))) == 3
    assert all(file.stat().st_mtime >= before for file in (tmp_path / "frames").glob("*.frames"))


@pytest.mark.slow
def test_ranks_share_a_cache_and_have_the_same_weights(small_motion, tmp_path):
    ranks = ("trainer=ddp_cpu", "trainer.devices=2", "data.num_workers=1", "test=false")
    expected, _ = train(small_motion, tmp_path / "none", ranks)
    for mode in ("memory", "disk"):
        state, _ = train(small_motion, tmp_path / mode, [*ranks, f"data.cache={mode}"])
        assert all(torch.equal(expected[name], state[name]) for name in expected), mode
