"""Folders of pictures that were written at a known rate, cut by ``fps``; and what is said of rates that are too low."""

import logging
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from films import HEADS, film, network

from vivit.data.datamodule import VideoDataModule
from vivit.data.dataset import ClipDataset
from vivit.data.datasets import CsvDataset, VideoFolder
from vivit.data.frame_cache.survey import CachePlan
from vivit.data.frame_rates import format_repeats, rates_below
from vivit.data.index.prepare import prepare
from vivit.data.readers.open_video import on_screen_from_start, open_video
from vivit.data.readers.video_error import VideoError
from vivit.data.transforms.flip import FlipLabelMap
from vivit.data.view_samplers import MultiViewSampler, sample_views
from vivit.data.views import CropBox
from vivit.errors import ConfigError
from vivit.inference import Predictor, Preprocessing
from vivit.structures import Video

CLIP: dict[str, Any] = {"frames": 6, "fps": 5, "resize": 36, "crop": (32, 32)}
VIEWS = MultiViewSampler(**CLIP, temporal=2)
PICTURES = 40


def write_pictures(folder: Path, count: int = PICTURES, first: int = 1) -> Path:
    """Write pictures whose grey level is 20 + 5 times their number."""
    folder.mkdir(parents=True)
    for number in range(count):
        codec: Any = av.CodecContext.create("mjpeg", "w")
        codec.height, codec.width, codec.pix_fmt, codec.time_base = 40, 48, "yuvj420p", Fraction(1, 25)
        pixels = np.full((40, 48, 3), 20 + 5 * number, np.uint8)
        picture = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuvj420p")
        picture.color_range = 2
        data = b"".join(map(bytes, [*codec.encode(picture), *codec.encode(None)]))
        (folder / f"frame_{first + number:010d}.jpg").write_bytes(data)
    return folder


def shown(frames: np.ndarray) -> list[int]:
    """Return the numbers of pictures by their grey levels."""
    return ((frames.mean((-3, -2, -1)) - 20) / 5).round().astype(int).ravel().tolist()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of two folders of pictures each."""
    root = tmp_path_factory.mktemp("pictures")
    for name in ("a", "b"):
        for number in range(2):
            write_pictures(root / name / f"{name}{number}")
    return root


def test_pictures_have_evenly_spaced_times(root: Path) -> None:
    with open_video(Video(str(root / "a" / "a0"), (), frames_fps=10)) as video:
        times = video.times()
        assert times.begins.tolist() == pytest.approx([n / 10 for n in range(PICTURES)])
        assert times.end == pytest.approx(4)
        views = sample_views(VIEWS, video)
        assert [view.numbers for view in views] == [(0, 2, 4, 6, 8, 10), (28, 30, 32, 34, 36, 38)]


@pytest.mark.parametrize("previous", [False, True])
def test_a_segment_in_seconds_is_that_of_a_file_of_the_same_pictures(
    previous: bool, root: Path, tmp_path: Path
) -> None:
    pixels = np.stack([np.full((40, 48, 3), 20 + 5 * n, np.uint8) for n in range(PICTURES)])
    file = film(tmp_path / "a.mp4", pixels, rate=10)
    for start, end in ((None, None), (1.05, 3.0), (1.0, 2.0), (None, 2.0), (2.5, None), (0.0, 9.0)):
        times, frames = [], []
        for path in (file, str(root / "a" / "a0")):
            part = Video(path, (), start, end, frames_fps=10)
            with open_video(on_screen_from_start(part) if previous else part) as video:
                times.append(video.times())
                frames.append(sample(video))
        assert times[0].begins.tolist() == pytest.approx(times[1].begins.tolist()), (start, end)
        assert times[0].end == pytest.approx(times[1].end), (start, end)
        assert shown(frames[0]) == shown(frames[1]), (start, end)


def test_frame_ranges_count_from_their_first_frame(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "p", count=30, first=11)
    with open_video(Video(str(folder), (), frame_range=(21, 30), frames_fps=10)) as video:
        assert video.times().begins[:2].tolist() == pytest.approx([0, 0.1])
        assert video.times().end == pytest.approx(1)
        assert shown(sample(video)) == [10, 12, 14, 16, 18, 10]  # a second, after which it starts again


def sample(video: Any) -> np.ndarray:
    (view,) = sample_views(MultiViewSampler(**CLIP), video)
    frames: np.ndarray = video.read(view.numbers, [view.crop_box], (32, 32))
    return frames


def test_seconds_of_pictures_without_a_rate_are_refused(root: Path) -> None:
    folder = str(root / "a" / "a0")
    with pytest.raises(VideoError, match=r"has a start or an end; set data\.dataset\.frames_fps"):
        open_video(Video(folder, (), 1.0, 2.0))
    with pytest.raises(VideoError, match="has no frame from 7 s to 8 s"):
        open_video(Video(folder, (), 7.0, 8.0, frames_fps=10))


def datamodule(root: Path, **options: Any) -> VideoDataModule:
    data = {"cache": options.pop("cache", "none"), "cache_dir": options.pop("cache_dir", None)}
    return VideoDataModule(
        root=str(root), dataset={"name": "folder", **options}, batch_size=2, seed=0, num_workers=0, val_share=0.5,
        views=MultiViewSampler, **CLIP, **data,
    )  # fmt: skip


@pytest.mark.parametrize("cache", ["none", "disk"])
def test_clips_of_folders_are_cut_by_seconds_in_training_and_testing(cache: str, root: Path, tmp_path: Path) -> None:
    data = datamodule(root, frames_fps=10, cache=cache, cache_dir=str(tmp_path))
    data.prepare_data()
    (batch,) = data.train_dataloader()
    steps = np.diff([shown(clip.numpy()) for clip in batch.frames[:, 0]], axis=1)
    assert set(steps.ravel().tolist()) <= {1, 2, 3} and steps.mean() == pytest.approx(2, abs=0.2)
    (batch,) = data.val_dataloader()
    assert shown(batch.frames[0, 0].numpy()) == [14, 16, 18, 20, 22, 24]


def test_the_rate_travels_with_the_data_set_and_is_part_of_a_cache(root: Path) -> None:
    videos = {fps: VideoFolder(root=root, frames_fps=fps).videos("train") for fps in (None, 10, 20)}
    assert [videos[fps][0].frames_fps for fps in videos] == [None, 10, 20]
    assert len({CachePlan(of).key for of in videos.values()}) == 3


def test_without_a_rate_the_key_is_named(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"no timestamps; set data\.dataset\.frames_fps to the rate") as error:
        datamodule(root).train_dataloader()
    assert (error.value.key, error.value.value) == ("data.fps", 5)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), True, "fast"])
@pytest.mark.usefixtures("untyped")
def test_impossible_rates_are_refused(fps: Any, root: Path) -> None:
    for build in (lambda: datamodule(root, frames_fps=fps), lambda: VideoFolder(root=root, frames_fps=fps)):
        with pytest.raises(ConfigError) as error:
            build()
        assert error.value.key == "data.dataset.frames_fps"
    with pytest.raises(ConfigError) as error:
        predictor(frames_fps=fps)
    assert error.value.key == "frames_fps"


def predictor(**options: Any) -> Predictor:
    return Predictor(
        network(frames=6), classes=HEADS, preprocessing=Preprocessing(VIEWS), device="cpu", num_workers=0, **options
    )


def test_predictions_of_folders_and_arrays_need_their_rate(root: Path) -> None:
    folder = root / "a" / "a0"
    with pytest.raises(VideoError, match=r"of predict\.py frames_fps, to the rate at which they were written"):
        predictor()(folder)
    with open_video(Video(str(folder), ())) as video:
        pixels = video.read(range(PICTURES), [CropBox(0, 0, 40, 48)], (40, 48))[0]
    logits = predictor(frames_fps=10).logits([folder, pixels])
    assert (logits[0] - logits[1]).abs().max() < 0.1, "an array is converted in two steps"
    faster = predictor(frames_fps=30).logits([folder])
    assert not (faster[0] == logits[0]).all()


@pytest.mark.parametrize(
    ("fps", "rates", "count"),
    [(8, [25, 30], 0), (30, [25, 30, 29.97, 10], 2), (30, [float("nan"), 12], 1), (24, [23.976], 0), (8, [], 0)],
)
def test_rates_below(fps: float, rates: list[float], count: int) -> None:
    assert rates_below(fps, rates) == count
    assert (format_repeats(fps, rates, "videos") is None) == (count == 0)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING)
    return lambda: [each.getMessage() for each in caplog.records if "more than once" in each.getMessage()]


def films(root: Path, rates: list[int]) -> Path:
    for number, rate in enumerate(rates):
        (root / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        name = root / "ab"[number % 2] / f"{number}.mp4"
        pixels = np.full((8, 40, 48, 3), 90, np.uint8)
        film(name, pixels, rate=rate)
    return root


def test_one_warning_counts_by_the_index(tmp_path: Path, warnings: Callable[[], list[str]]) -> None:
    root = films(tmp_path / "v", [4, 3, 10, 12, 10, 10, 10, 10])
    prepare(VideoFolder(root=root), num_workers=1, look_alike=False)
    data = datamodule(root)
    for _ in range(2):
        data.train_dataloader()
        data.test_split = "val"
        data.test_dataloader()
    counts = [rates_below(5, data.dataset.videos(split).column("fps").to_numpy()) for split in ("train", "val")]  # type: ignore[union-attr, arg-type]
    assert sum(counts) == 2
    assert len(warnings()) <= 1
    whole = VideoDataModule(
        root=str(root), dataset={"name": "folder"}, batch_size=4, seed=0, num_workers=0, views=MultiViewSampler, **CLIP
    )
    whole.train_dataloader()
    assert warnings()[-1] == (
        "data.fps=5: 2 of 8 train videos have fewer frames a second, the lowest 3, so that clips show frames more than "
        "once"
    )


def test_without_an_index_a_few_files_are_looked_at(tmp_path: Path, warnings: Callable[[], list[str]]) -> None:
    root = films(tmp_path / "v", [3] * 7)
    VideoDataModule(
        root=str(root), dataset={"name": "folder"}, batch_size=4, seed=0, num_workers=0, views=MultiViewSampler, **CLIP
    ).train_dataloader()
    (message,) = warnings()
    assert message.startswith("data.fps=5: 5 of 5 train videos that were looked at have fewer frames a second")


def test_pictures_of_a_lower_rate_and_predictions_are_named_too(root: Path, warnings: Callable[[], list[str]]) -> None:
    datamodule(root, frames_fps=2.5).train_dataloader()
    assert "2 of 2 train videos have fewer frames a second, the lowest 2.5" in warnings()[0]
    predictor(frames_fps=3).logits([root / "a" / "a0"])
    assert warnings()[1].startswith("data.fps=5: 1 of 1 videos have fewer frames a second, the lowest 3")


def test_a_stride_and_fast_files_have_no_warning(tmp_path: Path, warnings: Callable[[], list[str]]) -> None:
    root = films(tmp_path / "v", [10, 10])
    VideoDataModule(
        root=str(root), dataset={"name": "folder"}, batch_size=2, seed=0, num_workers=0, views=MultiViewSampler, **CLIP
    ).train_dataloader()
    slow = CLIP | {"fps": None, "stride": 1}
    VideoDataModule(
        root=str(films(tmp_path / "w", [3, 3])),
        dataset={"name": "folder"},
        batch_size=2,
        seed=0,
        num_workers=0,
        views=MultiViewSampler,
        **slow,
    ).train_dataloader()
    assert not warnings()


def test_lists_name_pictures_with_seconds(root: Path, tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(f"path,label,start,end\n{root}/a/a0,x,1,2\n")
    data = CsvDataset(root=tmp_path, frames_fps=10)
    clips = ClipDataset(data.videos("train"), MultiViewSampler(**CLIP), FlipLabelMap(), 0)
    assert shown(clips[0].frames)[:5] == [10, 12, 14, 16, 18]
