"""One film at many rates, cut by ``fps``: the same moments, by timestamps and by a clock in its pixels."""

from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import av.filter
import numpy as np
import pytest
from films import HEADS, film, network

from vivit.data.datamodule import VideoDataModule
from vivit.data.dataset import ClipDataset
from vivit.data.frame_cache import caches
from vivit.data.frame_cache.caches import FrameCaches
from vivit.data.frame_times import FrameTimes
from vivit.data.index.probe import probe
from vivit.data.readers.open_video import on_screen_from_start, open_video
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.readers.video_error import VideoError
from vivit.data.samplers import SampleKey
from vivit.data.sliding_window import SlidingVideo
from vivit.data.transforms.flip import FlipLabelMap
from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler, sample_views
from vivit.data.views import VideoShape
from vivit.errors import CheckpointError, ConfigError, DataError
from vivit.inference import Predictor, Preprocessing
from vivit.structures import Video

TICKS = 24_000
"""Ticks a second, of which a frame of every rate lasts a whole number."""
STEPS = {"10": 2400, "15": 1600, "23.976": 1001, "25": 960, "30": 800, "50": 480, "60": 400}
RATES = [*STEPS, "variable"]
CLIP = {"frames": 6, "fps": 7, "resize": 36, "crop": (32, 32)}
VIEWS = MultiViewSampler(**CLIP, temporal=3)
SECONDS = 4


def stamps_of(rate: str) -> list[int]:
    """Return the ticks of four seconds at a rate; at the variable one, steps of 1 to 6 sixtieths."""
    if rate in STEPS:
        return list(range(0, SECONDS * TICKS, STEPS[rate]))
    ends = np.cumsum(np.random.default_rng(1).integers(1, 7, 200)) * 400
    return [0, *ends[ends < SECONDS * TICKS].tolist()]


def draw(seconds: np.ndarray) -> np.ndarray:
    """Return pictures whose left half is a clock, 30 + 45 grey levels a second; on the right a wave passes."""
    pictures = np.empty((len(seconds), 40, 48, 3), np.uint8)
    pictures[:, :, :24] = (30 + 45 * seconds).round()[:, None, None, None]
    wave = 128 + 100 * np.sin(np.arange(24) / 4 + 2 * seconds[:, None])
    pictures[:, :, 24:] = wave[:, None, :, None]
    return pictures


def clock(frames: np.ndarray) -> np.ndarray:
    """Return the seconds that the clock of each picture is at, right to 0.06."""
    return (frames[..., 2:10, 2:10, :].mean((-3, -2, -1)) - 30) / 45


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("rates")
    return {
        rate: film(folder / f"{rate}.mp4", draw(np.array(stamps_of(rate)) / TICKS), TICKS, stamps_of(rate), crf=4)
        for rate in RATES
    }


def decoded_times(path: str) -> np.ndarray:
    """Return the seconds of all frames, as PyAV decodes them."""
    with av.open(path) as container:
        times = np.array([float(frame.pts * frame.time_base) for frame in container.decode(video=0)])
    return times - times[0]


def assert_on_screen(times: np.ndarray, numbers: np.ndarray, moments: np.ndarray) -> None:
    """Check that each frame is the nearest to its moment; in a long step of a variable rate, the one on screen."""
    nearest = np.abs(times - moments[:, None]).argmin(1)
    on_screen = np.searchsorted(times, moments, side="right") - 1
    if np.ptp(steps := np.diff(times)) < 1e-3:
        assert numbers.tolist() == nearest.tolist()
        assert np.abs(times[numbers] - moments).max() <= steps.max() / 2 + 1e-6
    else:
        assert ((numbers == nearest) | (numbers == on_screen)).all()


def ffmpeg_numbers(stamps: list[int], fps: int, step: int) -> list[int]:
    """Return the frames nearest to 0, 1/fps, 2/fps ... seconds by FFmpeg's fps filter, for frames a step apart.

    It takes the last frame until a moment; so frames come half a step earlier. The pixels of a frame are its number.
    """
    graph, tick = av.filter.Graph(), Fraction(1, TICKS)
    chain = [
        graph.add_buffer(width=16, height=16, format=av.VideoFormat("gray16le"), time_base=tick),
        graph.add("setpts", f"PTS-{step / 2}"),
        graph.add("fps", f"fps={fps}:round=up:start_time=0"),
        graph.add("buffersink"),
    ]
    for left, right in pairwise(chain):
        left.link_to(right)
    graph.configure()
    for number, stamp in enumerate(stamps):
        frame = av.VideoFrame.from_ndarray(np.full((16, 16), number, np.uint16), format="gray16le")
        frame.pts, frame.time_base = stamp, tick
        graph.push(frame)
    graph.push(None)
    numbers: list[int] = []
    with suppress(av.EOFError, av.BlockingIOError):
        while True:
            numbers.append(int(graph.vpull().to_ndarray()[0, 0]))
    return numbers


@pytest.mark.parametrize("rate", STEPS)
def test_frames_are_those_of_ffmpeg(rate: str, films: dict[str, str]) -> None:
    with PyAVVideoReader(films[rate]) as video:
        expected = ffmpeg_numbers(stamps_of(rate), 7, STEPS[rate])[: SECONDS * 7]
        assert len(expected) >= SECONDS * 7 - 1
        assert video.times().frames_at(np.arange(len(expected)) / 7).tolist() == expected


@pytest.mark.parametrize("rate", RATES)
def test_views_for_evaluation_are_at_the_same_moments(rate: str, films: dict[str, str]) -> None:
    times = decoded_times(films[rate])
    with PyAVVideoReader(films[rate]) as video:
        assert video.times().begins == pytest.approx(times, abs=1e-9)
        assert video.times().end == pytest.approx(SECONDS, abs=0.1)
        views = sample_views(VIEWS, video)
        room = video.times().end - 6 / 7
    clips = ClipDataset([Video(films[rate], ())], VIEWS, FlipLabelMap(), 0)
    for view, frames, begin in zip(views, clips[0].frames, (0, room / 2, room), strict=True):
        moments = begin + np.arange(6) / 7
        assert_on_screen(times, np.array(view.numbers), moments)
        assert clock(frames) == pytest.approx(moments, abs=np.diff(times).max() / 2 + 0.06)


def test_clips_for_training_are_of_one_speed_and_a_function_of_the_key(films: dict[str, str]) -> None:
    """Clips of a mixture of rates, drawn again and again: a seventh of a second from frame to frame, anywhere."""
    videos = [Video(films[rate], ()) for rate in RATES]
    clips = ClipDataset(videos, RandomViewSampler(**CLIP), FlipLabelMap(), 5)
    begins = []
    for row, video in enumerate(videos):
        half = np.diff(decoded_times(video.path)).max() / 2
        for epoch in range(4):
            frames = clips[SampleKey(epoch, 0, row)].frames[0]
            assert np.array_equal(frames, clips[SampleKey(epoch, 9, row)].frames[0])
            seen = clock(frames)
            assert seen - seen[0] == pytest.approx(np.arange(6) / 7, abs=2 * half + 0.06)
            begins.append(seen[0])
    assert min(begins) < 0.5 and max(begins) > 2.5, "of 0 to 4 - 5/7 seconds"


@pytest.mark.parametrize("rate", RATES)
def test_clips_for_training_show_what_is_on_screen(rate: str, films: dict[str, str]) -> None:
    times, sampler = decoded_times(films[rate]), RandomViewSampler(**CLIP)
    with PyAVVideoReader(films[rate]) as video:
        for seed in range(50):
            (view,) = sample_views(sampler, video, np.random.default_rng(seed))
            begin = np.random.default_rng(seed).uniform(0, video.times().end - 5 / 7)
            moments = begin + np.arange(6) / 7
            inside = moments <= times[-1]  # the last frame is on screen for a whole step
            assert_on_screen(times, np.array(view.numbers)[inside], moments[inside])
            assert (np.array(view.numbers)[~inside] == len(times) - 1).all()


def test_aligned_clips_begin_on_a_grid_of_their_own_frames() -> None:
    sampler, times = RandomViewSampler(**CLIP, offset_step=2), FrameTimes(np.arange(240) / 60, 4.0)
    offsets = {round(sampler.draw_offset(times.end, np.random.default_rng(seed)) * 7, 9) for seed in range(300)}
    assert offsets == set(range(0, 23, 2)), "multiples of 2/7 s below 4 - 5/7 s"


def test_still_pictures_stay_until_the_next_one_comes() -> None:
    times = FrameTimes(np.array([0, 0.04, 0.08, 5.08, 5.12, 5.16]), 5.2)
    assert times.frames_at(np.array([0.05, 0.07, 3.0, 5.05, 5.07, 5.11])).tolist() == [1, 2, 2, 2, 3, 4]


@pytest.mark.parametrize("length", [1, 2, 9, 12, 16, 100])
def test_of_one_rate_fps_and_stride_are_the_same(length: int) -> None:
    """Of 16 frames a second every second one is 8 a second: in short videos, too, which start again."""
    shape, times = VideoShape(length, 40, 48), FrameTimes(np.arange(length) / 16, length / 16)
    clip = {"frames": 8, "resize": 36, "crop": (32, 32)}
    by_frames = MultiViewSampler(**clip, stride=2, temporal=4).clips(shape, None)
    assert MultiViewSampler(**clip, fps=8, temporal=4).clips(shape, times) == by_frames


@pytest.mark.parametrize("rate", RATES)
def test_segments_are_cut_by_time(rate: str, films: dict[str, str]) -> None:
    """From 1.03 to 3.2 seconds, whatever frames begin there; as a data set reads an annotated segment."""
    times, segment = decoded_times(films[rate]), Video(films[rate], (), 1.03, 3.2)
    clips = ClipDataset([segment], VIEWS, FlipLabelMap(), 0)
    with clips.open(segment) as video:
        assert video.times().end == pytest.approx(3.2 - 1.03)
        before = int(np.abs(times - 1.03 - video.times().begins[0]).argmin())
        views = sample_views(VIEWS, video)
    for view, begin in zip(views, 1.03 + np.array([0, 0.5, 1]) * (3.2 - 1.03 - 6 / 7), strict=True):
        assert_on_screen(times, np.array(view.numbers) + before, begin + np.arange(6) / 7)


def test_times_of_an_index_and_of_a_cache_are_those_of_the_file(films: dict[str, str], monkeypatch) -> None:
    monkeypatch.setattr(caches, "_parallel", lambda work, items, title, crashed: [work(item) for item in items])
    videos = [Video(films["variable"], ()), Video(films["23.976"], ()), Video(films["30"], (), 1.03, 3.2)]
    row = probe(Path(films["23.976"]).parent, "23.976.mp4")
    stamps = range(row["stamp"], row["stamp"] + row["frames"] * row["step"], row["step"])
    with open_video(videos[1]) as plain, open_video(Video(films["23.976"], (), stamps=stamps)) as indexed:
        assert np.array_equal(plain.times().begins, indexed.times().begins)
        assert plain.times().end == indexed.times().end
    listed = [on_screen_from_start(video) for video in videos]
    cache = FrameCaches("memory", 1.0, Path("unused"), lambda split: listed).get("train")
    for sampler in (VIEWS, RandomViewSampler(**CLIP)):
        options = videos, sampler, FlipLabelMap(), 3
        for number in range(len(videos)):
            decoded, cached = ClipDataset(*options)[number], ClipDataset(*options, cache=cache)[number]
            assert np.array_equal(decoded.frames, cached.frames)
            assert decoded.first_frames == cached.first_frames


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("at_once", [1, 3])
def test_a_clip_every_so_many_seconds(rate: str, at_once: int, films: dict[str, str]) -> None:
    times = decoded_times(films[rate])
    film = SlidingVideo(films[rate], MultiViewSampler(**CLIP))
    slide = film.windows(0.4)
    segments = film.segments(slide.numbers, at_once)
    starts, room = np.array([start for start, _ in slide.spans]), SECONDS - 6 / 7
    assert starts[:-1] == pytest.approx(0.4 * np.arange(len(starts) - 1)), "moments, whatever frames there are"
    assert starts[-1] == pytest.approx(room, abs=0.1) or starts[-1] == pytest.approx(0.4 * 7)
    assert [end - start for start, end in slide.spans] == pytest.approx([6 / 7] * len(starts))
    assert slide.weights == [1] * len(starts)
    clips = []
    for video, sampler in zip(segments.videos, segments.view_samplers, strict=True):
        with open_video(video) as file:
            first = int(np.abs(times - video.start).argmin())
            clips += [np.array(view.numbers) + first for view in sampler(file.shape)]
    for numbers, start in zip(clips, starts, strict=True):
        assert_on_screen(times, numbers, start + np.arange(6) / 7)


def test_more_clips_than_frames_are_one_a_frame(films: dict[str, str]) -> None:
    slide = SlidingVideo(films["10"], MultiViewSampler(**CLIP)).windows(1e-7)
    assert len(slide.spans) == 32 and sum(slide.weights) == pytest.approx((SECONDS - 6 / 7) / 1e-7, rel=1e-3)


def test_a_network_answers_alike_at_every_rate(films: dict[str, str]) -> None:
    """Logits differ by what resampling explains, far less than those of every second frame do."""
    clip = {"frames": 4, "resize": 36, "crop": (32, 32), "temporal": 2}
    logits, spans = {}, {}
    for key, rate in (("fps", 6), ("stride", 2)):
        preprocessing = Preprocessing(MultiViewSampler(**clip, **{key: rate}))
        predictor = Predictor(network(), classes=HEADS, preprocessing=preprocessing, device="cpu")
        logits[key] = predictor.logits(list(films.values()))
        spans[key] = [predictor.predict_sliding(file, 1.0).spans for file in films.values()]
    spread = {key: (each - each.mean(0)).abs().max() for key, each in logits.items()}
    assert spread["fps"] < 0.5 * spread["stride"]
    nouns, verbs = logits["fps"].split([len(names) for names in HEADS.values()], 1)
    assert all(len(set(each.argmax(1).tolist())) == 1 for each in (nouns, verbs))
    lengths = {key: {round(end - start, 2) for each in of for start, end in each} for key, of in spans.items()}
    assert lengths["fps"] == {0.67} and len(lengths["stride"]) > 3


@pytest.mark.parametrize(
    ("rate", "key"),
    [
        ({}, "data.stride"),
        ({"stride": 2, "fps": 8}, "data.fps"),
        ({"fps": 0}, "data.fps"),
        ({"fps": -8.0}, "data.fps"),
        ({"fps": float("nan")}, "data.fps"),
        ({"fps": float("inf")}, "data.fps"),
        ({"fps": True}, "data.fps"),
        ({"fps": "fast"}, "data.fps"),
    ],
)
@pytest.mark.usefixtures("untyped")
def test_one_of_stride_and_fps_is_needed(rate: dict, key: str) -> None:
    for sampler in (MultiViewSampler, RandomViewSampler):
        with pytest.raises(ConfigError) as error:
            sampler(frames=4, resize=36, crop=(32, 32), **rate)
        assert error.value.key == key


def test_checkpoints_store_fps(films: dict[str, str]) -> None:
    record = {"frames": 4, "fps": 6, "resize": 36, "crop": [32, 32], "views": {"temporal": 2, "spatial": 1}}
    preprocessing = Preprocessing.from_plain(record, "a.ckpt")
    assert (preprocessing.views.fps, preprocessing.views.stride) == (6, None)
    assert preprocessing.to_dict()["clip"] == {"frames": 4, "fps": 6, "resize": 36, "crop": (32, 32)}
    before = Preprocessing.from_plain(record | {"fps": None, "stride": 2}, "a.ckpt")
    assert before.to_dict()["clip"] == {"frames": 4, "stride": 2, "resize": 36, "crop": (32, 32)}
    for wrong, key in (({"stride": 2}, "fps"), ({"fps": -1}, "fps"), ({"fps": None}, "stride")):
        with pytest.raises(CheckpointError) as error:
            Preprocessing.from_plain(record | wrong, "a.ckpt")
        assert error.value.key == key


def test_pictures_without_timestamps_are_refused(tmp_path: Path) -> None:
    codec = av.CodecContext.create("mjpeg", "w")
    codec.height, codec.width, codec.pix_fmt, codec.time_base = 40, 48, "yuvj420p", Fraction(1, 25)
    picture = av.VideoFrame.from_ndarray(draw(np.zeros(1))[0], format="rgb24").reformat(format="yuvj420p")
    picture.color_range = 2
    folder = tmp_path / "root" / "train" / "a" / "pictures"
    folder.mkdir(parents=True)
    (folder / "frame_0000000001.jpg").write_bytes(b"".join(map(bytes, [*codec.encode(picture), *codec.encode(None)])))
    with open_video(Video(str(folder), ())) as video, pytest.raises(VideoError):
        sample_views(VIEWS, video)
    predictor = Predictor(
        network(frames=6), classes=HEADS, preprocessing=Preprocessing(VIEWS), device="cpu", num_workers=0
    )
    with pytest.raises(VideoError) as of_folder:
        predictor(folder)
    assert of_folder.value.file == str(folder)
    with pytest.raises(DataError):
        predictor(draw(np.arange(20) / 10))
    (tmp_path / "root" / "train.csv").write_text("path,label\ntrain/a/pictures,a\n")
    data = VideoDataModule(
        root=str(tmp_path / "root"), dataset={"name": "csv", "label_columns": ["label"]}, batch_size=1, seed=0,
        num_workers=0, views=MultiViewSampler, **CLIP,
    )  # fmt: skip
    with pytest.raises(ConfigError) as error:
        data.train_dataloader()
    assert (error.value.key, error.value.value) == ("data.fps", 7)
    assert str(folder) in str(error.value)
