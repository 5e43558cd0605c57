"""Files that trip loaders up: what they show is right, or one error names them. All are made here."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from vivit.data.readers.frame_folder import FrameFolderReader
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.readers.video_error import VideoError
from vivit.data.views import CropBox

HEIGHT, WIDTH = 48, 64
FRAMES = 40
SHARED = Path(os.environ.get("VIVIT_SHARED") or Path(__file__).parents[3] / "shared") / "videos" / "odd"


def level(number):
    """Grey of frame ``number``; no two are alike, and those next to one another are far apart."""
    return 30 + 5 * (number * 17 % FRAMES)


def write(path, codec="h264", kind=None, stamps=range(FRAMES), pixels="yuv420p", size=(HEIGHT, WIDTH), **options):
    """Write flat frames of one grey each, or a brighter top left corner; ``options`` are the encoder's."""
    corner = options.pop("corner", False)
    turned = options.pop("turned", None)
    with av.open(str(path), "w", format=kind, options={"avoid_negative_ts": "disabled"}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *size, pixels
        stream.codec_context.time_base = Fraction(1, 25)
        stream.codec_context.thread_count = 1
        stream.options = {key.replace("_", "-"): str(value) for key, value in options.items()}
        if turned is not None:
            stream.set_display_rotation(turned)
        for number, stamp in enumerate(stamps):
            picture = np.full((*size, 3), level(number), np.uint8)
            if corner:
                picture[: size[0] // 3, : size[1] // 4] = 250
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


def greys(path, numbers, **part):
    with PyAVVideoReader(path, **part) as file:
        _, height, width = file.shape
        return file.read(numbers, [CropBox(0, 0, height, width)], (8, 8))[0].mean((1, 2, 3))


def shows(path, numbers, expected=None, **part):
    """Whether frames are those drawn: nearer to their own grey than to that of any other."""
    read = greys(path, numbers, **part)
    return np.abs(read - [level(number) for number in expected or numbers]).max() < 2.4


CODECS = {
    "hevc": ("libx265", "mp4", {"x265_params": "log-level=none:bframes=3:keyint=12"}),
    "vp8": ("libvpx", "webm", {"auto_alt_ref": 1, "lag_in_frames": 16, "g": 12, "arnr_maxframes": 0, "b": 2_000_000}),
    "vp9": ("libvpx-vp9", "webm", {"auto_alt_ref": 1, "lag_in_frames": 16, "g": 12, "b": 2_000_000}),
    "av1": ("libsvtav1", "matroska", {"preset": 12, "svtav1_params": "keyint=12:lp=1"}),
    "mpeg4": ("mpeg4", "mp4", {"bf": 2, "g": 12, "b": 2_000_000}),
    "mpeg4_avi": ("mpeg4", "avi", {"bf": 2, "g": 12, "b": 2_000_000}),
    "h264": ("h264", "matroska", {"bf": 3, "g": 12}),
}


@pytest.fixture
def usual_scheduling():
    """SVT-AV1, run by root, gives the thread that calls it real-time priority and leaves it there: others starve."""
    before = (os.sched_getscheduler(0), os.sched_getparam(0)) if sys.platform == "linux" else None
    yield
    if before:
        os.sched_setscheduler(0, *before)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.usefixtures("usual_scheduling")
def test_codecs_return_the_frames_drawn(tmp_path, name):
    codec, kind, options = CODECS[name]
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg cannot write {codec}")
    path = write(tmp_path / "clip", codec, kind, **options)
    with PyAVVideoReader(path) as file:
        assert file.shape == (FRAMES, HEIGHT, WIDTH)
    for numbers in (range(FRAMES), [31, 3, 17, 3], [FRAMES - 1], range(1, FRAMES, 7)):
        assert shows(path, numbers)


def test_variable_frame_rate_is_numbered_by_frames_and_cut_by_time(tmp_path):
    stamps = [number + 3 * (number // 10) for number in range(FRAMES)]
    path = write(tmp_path / "clip.mp4", stamps=stamps, bf=2)
    assert shows(path, range(FRAMES))
    late = stamps[23] / 25
    with PyAVVideoReader(path, start=late) as file:
        assert file.shape.frames == FRAMES - 23
    assert shows(path, [0, 5], [23, 28], start=late)


@pytest.mark.parametrize(("kind", "shift"), [("mp4", 90), ("matroska", 90), ("mpegts", 90)])
def test_late_start_does_not_change_frame_numbers(tmp_path, kind, shift):
    path = write(tmp_path / "clip", kind=kind, stamps=range(shift, shift + FRAMES), bf=2, g=12)
    assert shows(path, [0, 13, FRAMES - 1])
    assert shows(path, [0], [10], start=0.4)


def test_edit_list_hidden_frames_are_not_counted(tmp_path):
    """Frames before time 0 are stored, for others refer to them, and a list of edits says not to show them."""
    path = write(tmp_path / "clip.mp4", stamps=range(-10, FRAMES - 10), bf=2)
    with PyAVVideoReader(path) as file:
        shown = file.shape.frames
    assert shown == FRAMES - 10
    assert shows(path, range(shown), range(10, FRAMES))


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_rotated_videos_are_upright(tmp_path, degrees):
    """FFmpeg's own sign: the picture is stored as drawn and shown turned anticlockwise."""
    path = write(tmp_path / "clip.mp4", turned=degrees, corner=True, crf=5)
    drawn = np.zeros((HEIGHT, WIDTH))
    drawn[: HEIGHT // 3, : WIDTH // 4] = 1
    expected = np.rot90(drawn, degrees // 90)
    with PyAVVideoReader(path) as file:
        _, height, width = file.shape
        assert (height, width) == expected.shape
        picture = file.read([0], [CropBox(0, 0, height, width)], (height, width))[0, 0].mean(-1) > 150
        assert (picture == expected).mean() > 0.97
        part = CropBox(2, 5, 21, 33)
        cut = file.read([0], [part], (21, 33))[0, 0].mean(-1) > 150
        assert (cut == expected[2:23, 5:38]).mean() > 0.95


def test_rotated_videos_are_found_by_threads_that_open_others(tmp_path, monkeypatch):
    monkeypatch.setattr(av.logging, "set_level", lambda level, set_=av.logging.set_level: (set_(level), time.sleep(0)))
    path = write(tmp_path / "clip.mp4", turned=90)

    def shape(_):
        with PyAVVideoReader(path) as file:
            return file.shape[1:]

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(shape, range(200))) == {(WIDTH, HEIGHT)}


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv444p", "yuvj420p"])
def test_deep_full_and_unsampled_colours_keep_their_grey(tmp_path, pixels):
    assert shows(write(tmp_path / "clip.mp4", pixels=pixels), range(0, FRAMES, 3))


def test_odd_sizes(tmp_path):
    path = write(tmp_path / "clip.mkv", pixels="yuv444p", size=(47, 61))
    with PyAVVideoReader(path) as file:
        assert file.shape == (FRAMES, 47, 61)
        assert file.read([3], [CropBox(0, 0, 47, 61)], (47, 61)).shape == (1, 1, 47, 61, 3)
    assert shows(path, [3, 20])


def test_timestampless_frames_are_numbered_in_display_order(tmp_path):
    """A bare stream of H.264 has no times at all."""
    path = write(tmp_path / "clip.h264", kind="h264", bf=3, g=12)
    with PyAVVideoReader(path) as file:
        assert file.untrusted_reason
        assert file.shape.frames == FRAMES
    assert shows(path, [0, 22, 7, FRAMES - 1])
    assert shows(path, [0, 3], [25, 28], start=1.0)


def test_stream_that_begins_between_key_frames_is_numbered_from_its_first_displayable_frame(tmp_path):
    complete = Path(write(tmp_path / "whole.ts", kind="mpegts", bf=0, g=10, x264_params="scenecut=0")).read_bytes()
    with av.open(str(tmp_path / "whole.ts")) as container:
        second = [packet.pos for packet in container.demux(video=0) if packet.size][2]
    tables = complete[: 3 * 188]
    path = tmp_path / "cut.ts"
    path.write_bytes(tables + complete[second - second % 188 :])
    with PyAVVideoReader(str(path)) as file:
        shown = file.shape.frames
    assert shown <= FRAMES - 10
    assert shows(str(path), range(shown), range(FRAMES - shown, FRAMES))


def test_truncated_file_is_refused(tmp_path):
    path = Path(write(tmp_path / "clip.mkv", stamps=range(0, 10 * FRAMES, 10), g=5))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError, match=r"clip\.mkv: is cut off; \d+ of the \d+ bytes"):
        PyAVVideoReader(str(path))


def test_damaged_decoder_header_is_a_video_error(tmp_path):
    path = Path(write(tmp_path / "clip.mp4", "libx265", x265_params="log-level=none"))
    data = bytearray(path.read_bytes())
    header = data.index(b"hvcC") + 20
    data[header : header + 40] = b"\xff" * 40
    path.write_bytes(data)
    with pytest.raises(VideoError, match=r"clip\.mp4: cannot be decoded \(.*\); its header is damaged"):
        PyAVVideoReader(str(path))


@pytest.fixture
def folder(tmp_path):
    for number in range(1, 13):
        context = av.CodecContext.create("mjpeg", "w")
        context.height, context.width = HEIGHT, WIDTH
        context.pix_fmt, context.time_base = "yuvj420p", Fraction(1, 25)
        picture = np.full((HEIGHT, WIDTH, 3), level(number), np.uint8)
        packets = context.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuvj420p"))
        (tmp_path / f"frame_{number:010d}.jpg").write_bytes(b"".join(map(bytes, [*packets, *context.encode()])))
    return tmp_path


def test_frame_folder_is_numbered_from_its_first_frame(folder):
    with FrameFolderReader(str(folder), 4, 9) as file:
        assert file.shape == (6, HEIGHT, WIDTH)
        read = file.read([5, 0, 5], [CropBox(0, 0, 24, 32), CropBox(3, 5, 20, 30)], (8, 10))
    assert read.shape == (2, 3, 8, 10, 3)
    assert np.abs(read.mean((2, 3, 4)) - [level(9), level(4), level(9)]).max() < 2.4
    assert FrameFolderReader(str(folder)).shape.frames == 12


@pytest.mark.parametrize("spoil", ["missing", "cut", "other"])
def test_frame_folder_error_contains_the_bad_frame(folder, spoil):
    picture = folder / "frame_0000000006.jpg"
    if spoil == "missing":
        picture.unlink()
    else:
        picture.write_bytes(picture.read_bytes()[:300] if spoil == "cut" else b"no picture")
    with FrameFolderReader(str(folder), 1, 12) as file, pytest.raises(VideoError, match=r"frame_0000000006\.jpg"):
        file.read([5], [CropBox(0, 0, HEIGHT, WIDTH)], (8, 8))


def test_damaged_bytes_are_an_error_or_harmless(tmp_path):
    """Bits flipped, ends cut, zeros written, names changed: each copy is read or reported."""
    rng = np.random.default_rng(3)
    good = [Path(write(tmp_path / f"good.{kind}", kind=kind, bf=2, g=12)) for kind in ("mp4", "matroska", "mpegts")]
    outcomes = []
    for trial in range(45):
        data = bytearray(good[trial % 3].read_bytes())
        at = int(rng.integers(len(data)))
        match trial // 3 % 4:
            case 0:
                for place in rng.integers(len(data), size=8):
                    data[place] ^= 1 << int(rng.integers(8))
            case 1:
                del data[at:]
            case 2:
                data[at : at + 500] = bytes(len(data[at : at + 500]))
            case 3:
                pass
        path = tmp_path / f"bad{trial}{['.mp4', '.avi', '.txt', '.mkv'][trial % 4]}"
        path.write_bytes(data)
        try:
            with PyAVVideoReader(str(path)) as file:
                length, height, width = file.shape
                shape = file.read(range(0, length, 3), [CropBox(0, 0, height, width)], (8, 8)).shape
                outcomes.append(shape == (1, -(-length // 3), 8, 8, 3))
        except VideoError as error:
            outcomes.append(str(path) in str(error))
    assert all(outcomes)


def test_reader_leaks_no_file_descriptors(tmp_path):
    path = write(tmp_path / "clip.mp4", bf=2)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(Path(path).read_bytes()[:-300])

    def use(times):
        for _ in range(times):
            with PyAVVideoReader(path) as file:
                file.read([1, 9], [CropBox(0, 0, HEIGHT, WIDTH)], (32, 32))
            with pytest.raises(VideoError):
                PyAVVideoReader(str(broken))

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    if not Path("/proc/self/statm").is_file():
        pytest.skip("only Linux tells a process what it holds")
    use(20)
    handles, before = len([*Path("/proc/self/fd").iterdir()]), resident()
    use(100)
    assert len([*Path("/proc/self/fd").iterdir()]) == handles
    assert resident() - before < 4e6


WRONG = {"corrupted.mp4": "is damaged", "nasa_13013.mp4.audio.mp3": "no moving picture"}
ODD = sorted(SHARED.glob("*"))


@pytest.mark.skipif(not ODD, reason=f"no odd videos at {SHARED}: set VIVIT_SHARED to the folder above videos/")
@pytest.mark.parametrize("path", ODD, ids=lambda path: path.name)
def test_odd_files_equal_a_full_decode_or_raise(path):
    if path.name in WRONG:
        with pytest.raises(VideoError, match=WRONG[path.name]), PyAVVideoReader(str(path)) as file:
            file.read(range(file.shape.frames), [CropBox(0, 0, *file.shape[1:])], (8, 8))
        return
    with av.open(str(path), metadata_errors="ignore") as container:
        container.streams.video[0].codec_context.thread_count = 1
        frames = [frame.reformat(format="gray8").to_ndarray() for frame in container.decode(video=0)]
    with PyAVVideoReader(str(path)) as file:
        length, height, width = file.shape
        assert length == len(frames)
        assert sorted((height, width)) == sorted(frames[0].shape)
        numbers = [int(number) for number in np.random.default_rng(0).integers(length, size=9)]
        read = file.read(numbers, [CropBox(0, 0, height, width)], (height, width))[0].astype(float)
    turns = {"video_90.mov": -1, "video_180.mov": 2, "video_270.mov": 1}.get(path.name, 0)
    for number, picture in zip(numbers, read, strict=True):
        right = np.rot90(frames[number], turns).astype(float)
        luma = picture @ [0.299, 0.587, 0.114]
        assert right.std() < 2 or np.corrcoef(luma.ravel(), right.ravel())[0, 1] > 0.98
