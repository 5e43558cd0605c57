"""What the decoder skips must not be missed: wanted frames equal those of a plain sequential decode, bit for bit."""

import os
import pickle
from pathlib import Path

import av
import av.filter
import numpy as np
import pytest

from vivit.data.datasets.motion import encode
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.readers.video_error import VideoError
from vivit.data.views import CropBox

REPOSITORY = Path(__file__).parents[2]
REAL = Path(os.environ.get("VIVIT_SHARED") or REPOSITORY.parent / "shared") / "videos" / "kinetics_like"
FRAMES = 50
HEIGHT, WIDTH = 48, 64
WHOLE = CropBox(0, 0, HEIGHT, WIDTH)
CODECS = {
    "one_gop": ("mp4", "h264", {"bf": "2"}),
    "short_gops": ("mp4", "h264", {"g": "12", "bf": "3"}),
    "open_gops": ("mp4", "h264", {"g": "12", "bf": "3", "x264-params": "open-gop=1:scenecut=0"}),
    "pyramid": ("matroska", "h264", {"g": "30", "bf": "7", "x264-params": "b-pyramid=normal:b-adapt=0"}),
    "key_frames": ("mp4", "h264", {"g": "1", "bf": "0"}),
    "transport": ("mpegts", "h264", {"g": "12", "bf": "3"}),
    "mpeg4": ("avi", "mpeg4", {"g": "12", "bf": "2"}),
}


def moving_picture(frames=FRAMES):
    """Draw drifting waves with noise: every frame differs from every other, and B-frames pay."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    t = np.arange(frames)[:, None, None, None]
    waves = 128 + 80 * np.sin(x[..., None] / 7 + y[..., None] / 5 + t / 6 + np.arange(3))
    return (waves + np.random.default_rng(0).normal(0, 6, waves.shape)).clip(0, 255).astype(np.uint8)


def write(path, kind):
    container_format, codec, options = CODECS[kind]
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = options
        for frame in moving_picture():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def decoded_in_order(path, size=None):
    """Decode every frame, skipping and seeking nothing, and convert with the documented filters."""
    with av.open(str(path), metadata_errors="ignore") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        height, width = size or (stream.height, stream.width)
        graph = av.filter.Graph()
        graph.threads = 1
        chain = [
            graph.add_buffer(template=stream),
            graph.add("crop", f"{stream.width}:{stream.height}:0:0:exact=1"),
            graph.add("scale", f"{width}:{height}:flags=bilinear"),
            graph.add("format", "rgb24"),
            graph.add("buffersink"),
        ]
        graph.link_nodes(*chain).configure()
        frames = []
        for frame in sorted(container.decode(stream), key=lambda frame: frame.pts):
            graph.push(frame)
            frames.append(graph.pull().to_ndarray())
    return np.stack(frames)


def key_frames(path):
    with av.open(str(path)) as container:
        return sum(packet.is_keyframe for packet in container.demux(video=0))


@pytest.fixture(scope="module", params=[*CODECS, "ours"])
def encoded(request, tmp_path_factory):
    """Give a file of every kind together with all its frames."""
    path = tmp_path_factory.mktemp("videos") / "clip.mp4"
    if request.param == "ours":
        encode(moving_picture(), path)
    else:
        write(path, request.param)
    return str(path), decoded_in_order(path)


@pytest.fixture(scope="module")
def actual(tmp_path_factory):
    path = tmp_path_factory.mktemp("ours") / "clip.mp4"
    encode(moving_picture(), path)
    return path


def test_reader_test_files_have_b_frames_and_few_key_frames(tmp_path):
    for kind, expected in {"one_gop": 1, "short_gops": 5, "key_frames": FRAMES}.items():
        write(tmp_path / kind, kind)
        assert key_frames(tmp_path / kind) == expected
    encode(moving_picture(), tmp_path / "ours")
    for kind in ("short_gops", "ours"):
        with av.open(str(tmp_path / kind)) as container:
            assert "B" in {av.video.frame.PictureType(frame.pict_type).name for frame in container.decode(video=0)}


def test_reader_frames_in_any_order_equal_a_full_decode(encoded):
    path, frames = encoded
    rng = np.random.default_rng(1)
    with PyAVVideoReader(path) as file:
        assert file.shape == (FRAMES, HEIGHT, WIDTH)
        for _ in range(25):
            numbers = [int(n) for n in rng.integers(FRAMES, size=rng.integers(1, 12))]
            np.testing.assert_array_equal(file.read(numbers, [WHOLE], (HEIGHT, WIDTH))[0], frames[numbers])


@pytest.mark.parametrize("stride", [1, 2, 3, 7])
def test_reader_clips_with_a_stride_equal_a_full_decode(encoded, stride):
    path, frames = encoded
    with PyAVVideoReader(path) as file:
        for offset in range(0, FRAMES, 5):
            numbers = [(offset + stride * k) % FRAMES for k in range(8)]
            np.testing.assert_array_equal(file.read(numbers, [WHOLE], (HEIGHT, WIDTH))[0], frames[numbers])


def test_reader_returns_frames_in_the_order_requested(actual):
    drawn = moving_picture().astype(float).mean(-1)
    with PyAVVideoReader(str(actual)) as file:
        read = file.read(range(FRAMES), [WHOLE], (HEIGHT, WIDTH))[0].astype(float).mean(-1)
    distance = np.abs(read[:, None] - drawn[None]).mean((2, 3))
    assert (distance.argmin(1) == np.arange(FRAMES)).all()


@pytest.mark.parametrize("number", range(FRAMES))
def test_segment_begins_and_ends_with_the_frame_at_its_time(actual, number):
    """Frame k is shown at k / 25 s: a segment that starts there holds it, one that ends there does not."""
    with PyAVVideoReader(str(actual), start=number / 25) as file:
        assert file.shape.frames == FRAMES - number
    if number:
        with PyAVVideoReader(str(actual), end=number / 25) as file:
            assert file.shape.frames == number


def test_segment_frames_are_numbered_from_0(encoded):
    path, frames = encoded
    with PyAVVideoReader(path, start=0.61, end=1.39) as file:  # between frames 15 and 16, and 34 and 35
        assert file.shape.frames == 19
        np.testing.assert_array_equal(file.read([18, 0, 7], [WHOLE], (HEIGHT, WIDTH))[0], frames[[34, 16, 23]])


def test_crop_boxes_show_their_part_of_the_picture(tmp_path):
    """A board of flat 16 pixel tiles, each its own grey, tells which part a window shows."""
    tiles = 16 + 12 * np.arange(16).reshape(4, 4)
    board = np.kron(tiles, np.ones((16, 16)))[None, ..., None].repeat(3, -1).repeat(3, 0).astype(np.uint8)
    encode(board, tmp_path / "board.mp4")
    windows = [CropBox(16 * row, 16 * column, 16, 32) for row in range(4) for column in range(3)]
    with PyAVVideoReader(str(tmp_path / "board.mp4")) as file:
        views = file.read([1], windows, (8, 16))[:, 0, ..., 0].astype(int)
    for view, (top, left, _, _) in zip(views, windows, strict=True):
        row, column = top // 16, left // 16
        assert abs(view[2:-2, 2:6].mean() - tiles[row, column]) < 4
        assert abs(view[2:-2, 10:14].mean() - tiles[row, column + 1]) < 4


def test_crop_boxes_at_odd_pixels_are_exact(actual):
    """Chroma is stored at half resolution; a window at odd pixels must not be moved to even ones."""
    window = CropBox(5, 9, 21, 33)
    with PyAVVideoReader(str(actual)) as file:
        full, part = (file.read([3], [w], (w.height, w.width))[0, 0].astype(int).mean(-1) for w in (WHOLE, window))
    errors = {
        (y, x): np.abs(full[5 + y : 26 + y, 9 + x : 42 + x] - part).mean() for y in (-1, 0, 1) for x in (-1, 0, 1)
    }
    assert min(errors, key=errors.get) == (0, 0)


def test_crop_boxes_of_several_frames_are_in_order(actual):
    windows = [CropBox(0, 0, 24, 32), CropBox(24, 32, 24, 32)]
    with PyAVVideoReader(str(actual)) as file:
        both = file.read([4, 2], windows, (12, 16))
        for window, view in zip(windows, both, strict=True):
            for number, frame in zip([4, 2], view, strict=True):
                np.testing.assert_array_equal(file.read([number], [window], (12, 16))[0, 0], frame)


def missing(path):
    pass


def text(path):
    path.write_text("not a video " * 100)


def empty(path):
    path.write_bytes(b"")


def folder(path):
    path.mkdir()


def sound(path):
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def truncated(path):
    """Cut the end off, and with it the index of an MP4."""
    encode(moving_picture(), path)
    path.write_bytes(path.read_bytes()[:-400])


def index_without_pictures(path):
    """Keep the index, which some MP4s have in front, and lose all pictures."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("h264", rate=25)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for frame in moving_picture(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    full = path.read_bytes()
    path.write_bytes(full[: full.index(b"mdat") + 4])


def overwritten(path):
    encode(moving_picture(), path)
    full = bytearray(path.read_bytes())
    start = full.index(b"mdat") + 1200
    full[start : start + 2000] = bytes(2000)
    path.write_bytes(full)


@pytest.mark.parametrize("spoil", [missing, text, empty, folder, sound, truncated, index_without_pictures, overwritten])
def test_video_error_of_an_unreadable_file_contains_its_path(tmp_path, spoil):
    path = tmp_path / "spoilt.mp4"
    spoil(path)
    with pytest.raises(VideoError) as caught, PyAVVideoReader(str(path)) as file:
        file.read(range(0, file.shape.frames, 2), [WHOLE], (HEIGHT, WIDTH))
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) > len(f"{path}: ") + 10
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("start", "end"), [(2.0, None), (99.0, 100.0), (1.0, 1.0), (1.5, 1.0), (None, 0.0)])
def test_segment_without_frames_error_contains_the_duration(actual, start, end):
    with pytest.raises(VideoError, match=r"clip\.mp4: has no frame between .* lasts 1\.96 s"):
        PyAVVideoReader(str(actual), start, end)


def test_video_error_can_be_pickled():
    error = pickle.loads(pickle.dumps(VideoError("a/b.mp4", "is damaged")))
    assert type(error) is VideoError
    assert (str(error), error.file, error.problem) == ("a/b.mp4: is damaged", "a/b.mp4", "is damaged")


REAL_FILES = sorted(REAL.glob("*.mp4"))


@pytest.mark.skipif(not REAL_FILES, reason=f"no real videos at {REAL}: set VIVIT_SHARED to the folder above videos/")
@pytest.mark.parametrize("path", REAL_FILES, ids=lambda path: path.stem)
def test_reader_of_real_videos_equals_a_full_decode(path):
    size = (56, 80)
    frames = decoded_in_order(path, size)
    rng = np.random.default_rng(2)
    with PyAVVideoReader(str(path)) as file:
        length, height, width = file.shape
        assert length == len(frames)
        for stride in (1, 2, 5):
            numbers = [int(n) % length for n in rng.integers(length) + stride * np.arange(16)]
            read = file.read(numbers, [CropBox(0, 0, height, width)], size)[0]
            np.testing.assert_array_equal(read, frames[numbers])
