"""Files of the kinds that public bug reports name: their frames are right, or the file is refused by name."""

import csv
import io
import re
from fractions import Fraction
from pathlib import Path

import av
import av.container
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from av.stream import Disposition
from PIL import Image, ImageOps

from vivit.data.dataset import ClipDataset
from vivit.data.datasets import FlipLabelMap
from vivit.data.index.probe import probe
from vivit.data.index.transcode import transcode
from vivit.data.readers import pyav_reader, streams
from vivit.data.readers.frame_folder import FrameFolderReader
from vivit.data.readers.open_video import open_video
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.readers.video_error import VideoError
from vivit.data.transforms.resize import FusedResize, ReferenceResize
from vivit.data.view_samplers import MultiViewSampler
from vivit.data.views import CropBox
from vivit.structures import Video

HEIGHT, WIDTH = 48, 64


def drifting(frames, height=HEIGHT, width=WIDTH):
    """Draw waves that drift: every frame differs from every other."""
    y, x = np.mgrid[:height, :width]
    t = np.arange(frames)[:, None, None, None]
    waves = 128 + 100 * np.sin(x[..., None] / 7 + y[..., None] / 5 + t / 3 + np.arange(3))
    return waves.clip(0, 255).astype(np.uint8)


def add_film(container, codec="h264", rate=25, size=(HEIGHT, WIDTH), pixels="yuv420p", **options):
    stream = container.add_stream(codec, rate=rate)
    stream.height, stream.width, stream.pix_fmt = *size, pixels
    stream.codec_context.time_base = 1 / Fraction(rate)
    stream.codec_context.thread_count = 1
    stream.options = {key.replace("_", "-"): str(value) for key, value in options.items()}
    return stream


def encode(container, stream, pictures, stamps=None):
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        if stream.pix_fmt == "pal8":
            frame = palettised(picture)
        frame.pts, frame.time_base = stamps[number] if stamps else number, stream.codec_context.time_base
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def palettised(picture):
    """Return a picture in eight greys, whose palette is not one that a decoder would assume."""
    palette = np.zeros((256, 4), np.uint8)
    palette[:, 0] = 255
    palette[:8, 1:] = (30 * np.arange(8))[::-1, None]
    return av.VideoFrame.from_ndarray((picture[..., 0] // 32, palette), format="pal8")


def write(path, pictures, codec="h264", kind=None, stamps=None, muxing=None, **film):
    with av.open(str(path), "w", format=kind, options=muxing or {}) as container:
        encode(container, add_film(container, codec, size=pictures.shape[1:3], **film), pictures, stamps)
    return str(path)


def shown(file, numbers):
    height, width = file.shape[1:]
    return file.read(numbers, [CropBox(0, 0, height, width)], (height, width))[0]


def in_sequence(path, stream=0):
    """Decode a file from its beginning with nothing but PyAV; the pictures in grey."""
    with av.open(str(path), metadata_errors="ignore") as container:
        container.streams.video[stream].codec_context.thread_count = 1
        return [frame.reformat(format="gray").to_ndarray() for frame in container.decode(video=stream)]


def check(path, expected=None, frames=None):
    """Every frame read alone is the same as in sequence, bit for bit; the sequence is that of ``expected``."""
    expected = in_sequence(path) if expected is None else expected
    with PyAVVideoReader(str(path)) as file:
        together = shown(file, range(file.shape.frames))
    assert len(together) == len(expected) == (frames or len(expected))
    for number, (picture, right) in enumerate(zip(together, expected, strict=True)):
        luma = picture @ [0.299, 0.587, 0.114]
        right = right.astype(float) if right.ndim == 2 else right @ [0.299, 0.587, 0.114]
        assert np.abs(luma - right).mean() < 20, number
        assert right.std() < 2 or np.corrcoef(luma.ravel(), right.ravel())[0, 1] > 0.98
        with PyAVVideoReader(str(path)) as file:
            np.testing.assert_array_equal(shown(file, [number])[0], picture)


def refusal(path):
    """Return why a file is refused when it is opened, which the error says behind its name."""
    with pytest.raises(VideoError) as error, PyAVVideoReader(str(path)):
        pass
    assert str(error.value).split("; name videos")[0] == f"{path}: {error.value.problem}"
    return error.value.problem


@pytest.mark.parametrize(
    ("name", "codec", "pixels"), [("a.avi", "rawvideo", "pal8"), ("a.mov", "qtrle", "rgb24"), ("a.mov", "smc", "pal8")]
)
@pytest.mark.parametrize("size", [(48, 64), (80, 112)])
def test_seek_does_not_lose_the_palette_of_the_first_packet(tmp_path, name, codec, pixels, size):
    path = write(tmp_path / name, drifting(10, *size), codec, pixels=pixels)
    if pixels == "pal8":
        expected = [240 - 30.0 * (1 + picture[..., 0] // 32) for picture in drifting(10, *size)]
        with PyAVVideoReader(path) as file:
            assert np.abs(shown(file, range(10)).mean() - np.mean(expected)) < 2
    else:
        check(path, frames=10)


@pytest.mark.parametrize("kind", ["mp4", "matroska", "mpegts"])
def test_seek_does_not_lose_the_encoder_version_of_the_first_packet(tmp_path, kind):
    """Builds of x264 before 151 wrote 4:4:4 otherwise; decoders go by the number that the first packet has."""
    path = Path(write(tmp_path / "a", drifting(50), kind=kind, pixels="yuv444p", g=10, bf=2, x264_params="cabac=0"))
    data = path.read_bytes()
    begin = data.index(b"x264 - core ") + len("x264 - core ")
    path.write_bytes(data[:begin] + b"142" + data[begin + 3 :])
    check(path, frames=50)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"x264_params": "intra-refresh=1:keyint=20:bframes=0"}),
        ("a.mkv", "libx264", {"x264_params": "intra-refresh=1:keyint=12:bframes=0"}),
        ("a.ts", "libx264", {"x264_params": "intra-refresh=1:keyint=30:bframes=2"}),
        ("a.mkv", "libx264", {"x264_params": "open-gop=1:keyint=12:bframes=3"}),
        ("a.flv", "libx264", {"x264_params": "open-gop=1:keyint=12:bframes=3"}),
        ("a.flv", "libx264", {"bf": 3, "g": 20}),
        ("a.mp4", "libx265", {"x265_params": "log-level=none:intra-refresh=1:keyint=20"}),
        ("a.mkv", "libx265", {"x265_params": "log-level=none:open-gop=1:keyint=12"}),
        ("a.m1v", "mpeg1video", {"bf": 2, "g": 12}),
        ("a.m2v", "mpeg2video", {"bf": 2, "g": 12}),
        ("a.mjpeg", "mjpeg", {}),
        ("a.h264", "libx264", {"bf": 2, "g": 12}),
        ("a.vob", "mpeg2video", {"bf": 2, "g": 12}),
        ("a.wmv", "wmv2", {"g": 12}),
        ("a.3gp", "mpeg4", {"g": 12}),
        ("a.m2ts", "libx264", {"bf": 2, "g": 12}),
        ("a.gif", "gif", {}),
    ],
)
def test_seek_to_single_frames_equals_sequential_decoding(tmp_path, name, codec, options):
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg cannot write {codec}")
    pixels = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
    check(write(tmp_path / name, drifting(60), codec, pixels=pixels, **options), frames=60)


@pytest.mark.parametrize(("name", "sound"), [("a.webm", "libopus"), ("a.mkv", "aac"), ("a.avi", "libmp3lame")])
@pytest.mark.parametrize("tags", [True, False])
def test_truncation_check_ignores_longer_sound(tmp_path, name, sound, tags):
    path = tmp_path / name
    with av.open(str(path), "w", options={} if tags else {"fflags": "+bitexact"}) as container:
        film = add_film(container, "libvpx" if name == "a.webm" else "mpeg4", g=12)
        voice = container.add_stream(sound, rate=48000)
        encode(container, film, drifting(25))
        for number in range(480):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.pts, frame.sample_rate, frame.time_base = 1024 * number, 48000, Fraction(1, 48000)
            container.mux(voice.encode(frame))
        container.mux(voice.encode())
    data = path.read_bytes()
    path.write_bytes(data if tags else data.replace(b"DURATION", b"LOUDNESS"))
    check(path, frames=25)


@pytest.mark.parametrize("name", ["a.webm", "a.mkv", "a.avi", "a.mov", "a.mp4"])
@pytest.mark.parametrize(("pictures", "seconds"), [(1, 2), (2, 5), (3, 7)])
def test_truncation_check_of_a_slide_show(tmp_path, name, pictures, seconds):
    codec = {"a.webm": "libvpx", "a.avi": "mpeg4"}.get(name, "h264")
    path = write(tmp_path / name, drifting(pictures), codec, rate=Fraction(1, seconds))
    check(path, frames=pictures)
    facts = probe(tmp_path, name)
    assert facts["problem"] is None
    assert facts["seconds"] == pytest.approx(pictures * seconds)


@pytest.mark.slow
@pytest.mark.parametrize(("header_rate", "frames"), [(50, 60), (60, 60), (48, 240)])
def test_truncation_check_of_a_stream_with_twice_the_rate_in_its_header(tmp_path, header_rate, frames):
    source = write(tmp_path / "a.mp4", drifting(frames), rate=header_rate // 2, bf=2, g=12)
    path = tmp_path / "a.avi"
    with av.open(source) as reading, av.open(str(path), "w") as writing:
        old = reading.streams.video[0]
        new = writing.add_stream_from_template(old)
        new.time_base = Fraction(1, header_rate)
        unwrap = BitStreamFilterContext("h264_mp4toannexb", old)
        for packet in reading.demux(old):
            for part in unwrap.filter(packet if packet.size else None):
                part.stream = new
                writing.mux(part)
    with PyAVVideoReader(str(path)) as file:
        assert file.shape.frames == frames
        times = (np.array(file.stamps) - file.stamps[0]) * float(file.time_base)
    np.testing.assert_allclose(times, np.arange(frames) * 2 / header_rate, atol=1e-3)
    check(path, frames=frames)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize(
    ("name", "codec", "muxing"),
    [
        ("a.mp4", "libx264", {"movflags": "faststart"}),
        ("a.mov", "libx264", {"movflags": "faststart"}),
        ("a.mkv", "libx264", {}),
        ("a.webm", "libvpx", {}),
        ("a.avi", "mpeg4", {}),
        ("a.wmv", "wmv2", {}),
    ],
)
def test_truncated_download_is_refused(tmp_path, name, codec, muxing, share):
    noise = np.random.default_rng(0).integers(0, 256, (100, HEIGHT, WIDTH, 3), np.uint8)
    path = Path(write(tmp_path / name, noise, codec, muxing=muxing, g=12))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    what = "frames that its index" if name in ("a.mp4", "a.mov") else "bytes that its header"
    assert re.fullmatch(rf"is cut off; \d+ of the \d+ {what} names are missing", refusal(path))


@pytest.mark.parametrize("tag", [b"4.0", b"noon", b"1:00:00:00", b"00:00:99.0", b"-1", b"1e999"])
def test_truncation_check_ignores_invalid_duration_tags(tmp_path, tag):
    path = Path(write(tmp_path / "a.mkv", drifting(25)))
    data = path.read_bytes()
    assert b"00:00:01.000000000" in data
    path.write_bytes(data.replace(b"00:00:01.000000000", tag.ljust(18)))
    check(path, frames=25)


def boxes(data, begin, end):
    """Yield place, size and name of the boxes of an MP4 file."""
    while begin < end:
        size = int.from_bytes(data[begin : begin + 4])
        yield begin, size, data[begin + 4 : begin + 8]
        begin += size


def with_edits(data, edits):
    """Return an MP4 whose index, which comes last, shows ``edits``: (length in milliseconds, first tick) each."""
    way, begin, end = [], 0, len(data)
    for name in (b"moov", b"trak", b"edts"):
        begin, size, _ = next(box for box in boxes(data, begin, end) if box[2] == name)
        way.append(begin)
        begin, end = begin + 8, begin + size
    entries = b"".join(
        length.to_bytes(4) + start.to_bytes(4, signed=True) + b"\x00\x01\x00\x00" for length, start in edits
    )
    elst = (16 + len(entries)).to_bytes(4) + b"elst" + bytes(4) + len(edits).to_bytes(4) + entries
    grown = len(elst) - (end - begin)
    data = bytearray(data[:begin] + elst + data[end:])
    for box in way:
        data[box : box + 4] = (int.from_bytes(data[box : box + 4]) + grown).to_bytes(4)
    return bytes(data)


@pytest.mark.parametrize(
    ("edits", "frames"),
    [
        ([(1000, 12800), (1000, 38400)], [*range(25, 50), *range(75, 100)]),
        ([(400, 0), (400, 25600), (400, 44800)], [*range(10), *range(50, 60), *range(87, 97)]),
        ([(1000, 38400), (1000, 12800)], [*range(75, 100), *range(25, 50)]),
    ],
)
def test_edit_lists_of_several_entries(tmp_path, edits, frames):
    pictures = drifting(100)
    path = Path(write(tmp_path / "a.mp4", pictures, bf=0, g=12))
    path.write_bytes(with_edits(path.read_bytes(), [(length, start) for length, start in edits]))
    expected = in_sequence(path)
    if frames[0] < frames[-1]:  # FFmpeg's frames are those that the edits name
        assert len(expected) == len(frames)
    check(path, frames=len(expected))


def test_empty_packets_are_no_frames(tmp_path):
    """An encoder of MPEG-4 in AVI leaves frames out by empty chunks; the others keep their times."""
    stamps = [number for number in range(60) if number % 3 != 1]
    path = write(tmp_path / "a.avi", drifting(40), "mpeg4", stamps=stamps, g=12)
    with PyAVVideoReader(path) as file:
        times = (np.array(file.stamps) - file.stamps[0]) * float(file.time_base)
    np.testing.assert_allclose(times * 25, stamps, atol=0.01)
    check(path, frames=40)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
@pytest.mark.parametrize("first", ["still", "marked", "cover"])
def test_video_stream_is_no_cover_and_no_still(tmp_path, name, first):
    """Not even where the still picture is the one that is marked, as muxers mark the first."""
    with av.open(str(tmp_path / name), "w") as container:
        still = add_film(container, "mjpeg", size=(96, 128), pixels="yuvj420p")
        film = add_film(container)
        marks = {"cover": Disposition.attached_pic, "marked": Disposition.default}
        still.disposition = marks.get(first, Disposition(0))
        film.disposition = Disposition(0) if first == "marked" else Disposition.default
        encode(container, still, drifting(1, 96, 128))
        encode(container, film, drifting(25))
    with PyAVVideoReader(str(tmp_path / name)) as file:
        assert file.shape == (25, HEIGHT, WIDTH)
        complete = shown(file, range(25))
        np.testing.assert_array_equal(shown(file, [17])[0], complete[17])
    assert probe(tmp_path, name, decode=True)["frames"] == 25
    assert transcode(tmp_path / name, tmp_path / "copy.mp4", side=48, gop=12, crf=18) is None
    with PyAVVideoReader(str(tmp_path / "copy.mp4")) as file:
        assert file.shape == (25, HEIGHT, WIDTH)


def test_video_stream_without_packets_is_ignored(tmp_path):
    with av.open(str(tmp_path / "a.ts"), "w") as container:
        add_film(container, size=(96, 128))
        film = add_film(container)
        encode(container, film, drifting(25))
    check(tmp_path / "a.ts", in_sequence(tmp_path / "a.ts", 1), frames=25)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_orientations_are_upright_in_copies_too(tmp_path, name, degrees, mirrored):
    drawn = np.zeros((HEIGHT, WIDTH))
    drawn[: HEIGHT // 3, : WIDTH // 4] = 1
    with av.open(str(tmp_path / name), "w") as container:
        stream = add_film(container, crf=5)
        stream.set_display_rotation(degrees, hflip=mirrored)
        encode(container, stream, (40 + 200 * drawn[None, ..., None].repeat(3, 3).repeat(5, 0)).astype(np.uint8))
    expected = np.rot90(drawn, degrees // 90)
    expected = expected[:, ::-1] if mirrored else expected
    assert transcode(tmp_path / name, tmp_path / "copy.mp4", side=48, gop=12, crf=5) is None
    for path in (tmp_path / name, tmp_path / "copy.mp4"):
        with PyAVVideoReader(str(path)) as file:
            assert file.shape[1:] == expected.shape
            assert ((shown(file, [2])[0].mean(-1) > 140) == expected).mean() > 0.97


def jpeg(picture, orientation=None):
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "jpeg", quality=95, exif=exif)
    return data.getvalue()


EXIF = {
    1: (0, False),
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (3, True),
    6: (3, False),
    7: (1, True),
    8: (1, False),
}


@pytest.mark.parametrize("orientation", EXIF)
@pytest.mark.parametrize("film", [True, False])
def test_orientation_by_exif_is_upright(tmp_path, orientation, film):
    """EXIF's eight numbers (CIPA DC-008, section 4.6.4): quarter turns, then mirrored."""
    stored = np.full((60, 90, 3), 40, np.uint8)
    stored[:20, :22] = 240
    turns, mirrored = EXIF[orientation]
    expected = np.rot90(stored, turns)
    expected = expected[:, ::-1] if mirrored else expected
    right = ImageOps.exif_transpose(Image.open(io.BytesIO(jpeg(stored, orientation))))  # Pillow's own reading of it
    assert np.abs(np.asarray(right).astype(int) - expected).mean() < 6
    if film:
        with av.open(str(tmp_path / "a.mov"), "w") as container:
            stream = add_film(container, "mjpeg", size=(60, 90), pixels="yuvj420p")
            for number in range(3):
                packet = av.Packet(jpeg(stored, orientation))
                packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 25), number, number
                packet.is_keyframe = True
                container.mux(packet)
        assert transcode(tmp_path / "a.mov", tmp_path / "copy.mp4", side=60, gop=12, crf=5) is None
        with PyAVVideoReader(str(tmp_path / "copy.mp4")) as copy:
            assert np.abs(shown(copy, [1])[0].astype(int) - expected).mean() < 6
        opened = PyAVVideoReader(str(tmp_path / "a.mov"))
    else:
        for number in range(1, 4):
            (tmp_path / f"frame_{number:010d}.jpg").write_bytes(jpeg(stored, orientation))
        opened = FrameFolderReader(str(tmp_path))
    with opened as file:
        assert file.shape == (3, *expected.shape[:2])
        assert np.abs(shown(file, [1])[0].astype(int) - expected).mean() < 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "codec", "parts"), [("a.ts", "h264", 2), ("a.ts", "mpeg2video", 3), ("a.vob", "mpeg2video", 2)]
)
def test_concatenated_files_are_in_order(tmp_path, name, codec, parts):
    part = Path(write(tmp_path / name, drifting(50), codec, bf=2, g=25)).read_bytes()
    path = tmp_path / f"joined{Path(name).suffix}"
    path.write_bytes(part * parts)
    with PyAVVideoReader(str(path)) as file:
        assert file.untrusted_reason
        assert np.ptp(np.diff(file.stamps)) <= 1
    check(path, frames=50 * parts)
    rows = shown(PyAVVideoReader(str(path)), [3, 53])
    assert np.abs(rows[0].astype(int) - rows[1]).mean() < 3


@pytest.mark.parametrize(
    "rate", [Fraction(24), Fraction(30), Fraction(30000, 1001), Fraction(60000, 1001), Fraction(120)]
)
@pytest.mark.parametrize("name", ["a.mkv", "a.flv", "a.mp4"])
def test_segment_that_begins_at_a_frame_begins_with_it(tmp_path, name, rate):
    """Ticks of a millisecond are up to half of one too early."""
    path = write(tmp_path / name, drifting(40), rate=rate)
    for number in range(40):
        with PyAVVideoReader(path, start=float(number / rate)) as file:
            assert file.shape.frames == 40 - number
        if number:
            with PyAVVideoReader(path, end=float(number / rate)) as file:
                assert file.shape.frames == number


def picture(path, kind):
    Image.fromarray(drifting(1)[0]).save(path, kind)


@pytest.mark.parametrize("name", ["list.txt", "a.mp4", "notes.md"])
@pytest.mark.parametrize("line", ["train/fight/a.mp4\n", "Straße/打篮球.mp4\n", "a\tb,\x0c\r\n"])
@pytest.mark.parametrize("lines", [1, 40, 400])
def test_text_file_is_refused(tmp_path, name, line, lines):
    (tmp_path / name).write_text(line * lines)
    assert refusal(tmp_path / name) == streams.IS_TEXT[0]


PLAYLISTS = ["ffconcat version 1.0\nfile film.mp4\nfile film.mp4\n", "#EXTM3U\n#EXTINF:1\nfilm.mp4\n"]


@pytest.mark.parametrize("text", PLAYLISTS)
def test_playlist_is_refused(tmp_path, text):
    write(tmp_path / "film.mp4", drifting(12))
    for name in ("list.mp4", "list.ffconcat", "list.m3u8"):
        (tmp_path / name).write_text(text)
        assert refusal(tmp_path / name) == streams.IS_TEXT[0]


def test_playlist_is_refused_before_its_files_are_read(tmp_path, monkeypatch):
    """Or an upload to the demo could have the server read any of its files."""
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    monkeypatch.setattr(av, "open", lambda *_, **__: pytest.fail("FFmpeg was asked"))
    assert refusal(tmp_path / "list.mp4") == streams.IS_TEXT[0]


def test_raw_video_that_looks_like_text_is_read(tmp_path):
    """Of YUV4MPEG2, whose header is text, with pictures of a grey that is the code of a letter."""
    path = Path(write(tmp_path / "a.y4m", drifting(5), "wrapped_avframe", "yuv4mpegpipe"))
    header = path.read_bytes().partition(b"\n")[0]
    path.write_bytes(header + b"\n" + (b"FRAME\n" + b"a" * (HEIGHT * WIDTH * 3 // 2)) * 5)
    assert path.read_bytes().isascii()
    with PyAVVideoReader(str(path)) as file:
        assert file.shape == (5, HEIGHT, WIDTH)


def test_truncation_check_of_an_avi_written_into_a_pipe(tmp_path):
    """Its writer could not come back to the header: the number of frames and the size stand for unknown ones."""
    path = Path(write(tmp_path / "a.avi", drifting(30), "mpeg4"))
    data = bytearray(path.read_bytes())
    data[4:8] = b"\xff" * 4
    main, stream = data.index(b"avih") + 8, data.index(b"strh") + 8
    for place in (main + 16, stream + 32):
        data[place : place + 4] = (1 << 30).to_bytes(4, "little")
    path.write_bytes(data)
    check(path, frames=30)


@pytest.mark.parametrize("kind", ["png", "jpeg", "bmp", "tiff", "webp", "gif", "avif"])
@pytest.mark.parametrize("suffix", [None, "mp4"])
def test_picture_file_is_refused(tmp_path, kind, suffix):
    path = tmp_path / f"clip.{suffix or kind}"
    picture(path, kind)
    assert refusal(path) == "is a picture, no video"


@pytest.mark.parametrize("name", ["a:b.mp4", "http:clip.mp4", "pipe:0.mp4", "%d.mp4", "ü [1] (2).mp4"])
def test_file_name_of_any_form_is_a_path(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(Path("plain.mp4"), drifting(12))
    Path("plain.mp4").rename(name)
    check(name, in_sequence(tmp_path / name), frames=12)


@pytest.mark.parametrize("error", [ValueError, OverflowError, UnicodeDecodeError, KeyError, RuntimeError])
def test_video_error_for_any_exception_contains_the_file(tmp_path, error, monkeypatch):
    path = write(tmp_path / "a.mp4", drifting(12))

    def fails(*_: object):
        raise error("utf-8", b"", 0, 1, "odd") if error is UnicodeDecodeError else error("odd")

    monkeypatch.setattr(pyav_reader, "index_packets", fails)
    assert re.fullmatch(rf"cannot be read \({error.__name__}: .*odd.*\)", refusal(path))


KINDS = {
    "h264.mp4": ("libx264", {"g": 20, "bf": 2}),
    "h264.mkv": ("libx264", {"g": 40, "bf": 3}),
    "mpeg4.avi": ("mpeg4", {"g": 20}),
    "mpeg4.mkv": ("mpeg4", {"g": 20, "bf": 2}),
    "vp9.webm": ("libvpx-vp9", {"g": 20, "deadline": "realtime", "cpu_used": 8}),
    "hevc.mp4": ("libx265", {"x265_params": "log-level=none:keyint=20"}),
}


@pytest.mark.parametrize("name", KINDS)
def test_damaged_frames_are_never_returned(tmp_path, name):
    """Bits flipped and packets zeroed: what comes of each frame, read alone, is held against a plain sequential decode.

    A frame that FFmpeg marks there, or that comes after one before the next key frame, is refused; one before all
    damage is as in the undamaged file; and nothing ends in another error.
    """
    codec, options = KINDS[name]
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg cannot write {codec}")
    good = Path(write(tmp_path / name, drifting(60), codec, **options))
    with PyAVVideoReader(str(good)) as file:
        right = shown(file, range(60))
    with av.open(str(good)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    rng = np.random.default_rng(1)
    returned = 0
    for trial in range(12):
        data = bytearray(good.read_bytes())
        at, size = packets[int(rng.integers(5, 60))]
        if trial % 2:
            data[at + size // 2 : at + size] = bytes(size - size // 2)
        else:
            for place in rng.integers(at + size // 4, at + size, size=3):
                data[place] ^= 1 << int(rng.integers(8))
        bad = tmp_path / f"bad_{name}"
        bad.write_bytes(data)
        marked, first = marks(bad)
        try:
            opened = PyAVVideoReader(str(bad))
        except VideoError as error:
            assert str(bad) in str(error)
            continue
        with opened as file:
            for number in range(0, file.shape.frames, 4):
                stamp = file.stamps[number]
                try:
                    alone = shown(file, [number])[0]
                except VideoError:
                    continue
                returned += 1
                assert stamp not in marked
                if file.shape.frames == 60 and stamp < first:
                    np.testing.assert_array_equal(alone, right[number])
    assert returned > 20


def marks(path):
    """Timestamps of frames that a decoder marks, and from which on anything may be wrong, in a sequential decode."""
    marked, lost = set(), []
    with av.open(str(path), metadata_errors="ignore") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            try:
                frames = packet.decode() if packet.size else stream.codec_context.decode(None)
            except av.FFmpegError:
                lost.append(packet.pts)
                continue
            marked |= {frame.pts for frame in frames if frame.is_corrupt}
    return marked, min([*marked, *lost], default=-1) - 20000


def test_damaged_reference_damages_later_frames(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, HEIGHT, WIDTH, 3), np.uint8)
    good = Path(write(tmp_path / "a.mp4", noise, g=20, bf=0, x264_params="scenecut=0"))
    with av.open(str(good)) as container:
        packets = [(packet.pos, packet.size, packet.pts) for packet in container.demux(video=0) if packet.size]
    data = bytearray(good.read_bytes())
    at, size, _ = packets[25]
    data[at + size // 3 : at + size] = bytes(size - size // 3)
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(data)
    with PyAVVideoReader(str(good)) as complete, PyAVVideoReader(str(bad)) as file:
        for number in [*range(25), *range(40, 60)]:
            np.testing.assert_array_equal(shown(file, [number]), shown(complete, [number]))
        for number in range(25, 40):
            with pytest.raises(VideoError, match=r"bad\.mp4: (is damaged in|lacks) 1 of 1 wanted frames"):
                shown(file, [number])
    assert probe(tmp_path, "bad.mp4")["problem"] is None, "its first frame is whole"
    assert "frames are damaged" in probe(tmp_path, "bad.mp4", decode=True)["problem"]
    assert "damaged" in (transcode(bad, tmp_path / "copy.mp4", side=48, gop=12, crf=18) or "")
    assert not (tmp_path / "copy.mp4").exists()


def test_probe_detects_an_undecodable_video_without_decoding_all(tmp_path):
    good = Path(write(tmp_path / "a.mp4", drifting(30), g=10, bf=0))
    with av.open(str(good)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(good.read_bytes())
    for at, size in packets:
        data[at : at + size] = bytes(size)
    good.write_bytes(data)
    assert "decoded" in probe(tmp_path, "a.mp4")["problem"]


@pytest.mark.slow
def test_reported_files(shared):
    """The files of public reports: as many frames, of the size, as ffmpeg shows; each alone as in sequence."""
    cases = shared / "cases"
    if not cases.is_dir():
        pytest.skip(f"{cases} is not there")
    with (cases / "expected.csv").open(newline="", encoding="utf-8") as text:
        for row in csv.DictReader(text):
            path = cases / "videos" / row["file"]
            if row["frames"] == "error":
                assert "is cut off; 123 of the 200 frames" in refusal(path)
                continue
            with PyAVVideoReader(str(path)) as file:
                frames, *size = file.shape
                assert [str(length) for length in size] == [row["height"], row["width"]], path.name
                assert str(frames) == row["frames"] or not row["frames"], path.name
                window, small = CropBox(0, 0, *size), (32, 32)
                together = file.read(range(frames), [window], small)[0]
            for number in range(0, frames, max(1, frames // 40)):
                with PyAVVideoReader(str(path)) as file:
                    alone = file.read([number], [window], small)[0, 0]
                np.testing.assert_array_equal(alone, together[number], err_msg=f"{path.name} {number}")


@pytest.mark.parametrize(
    ("shape", "width"), [(Fraction(2), 128), (Fraction(16, 11), 93), (Fraction(1, 2), 32), (Fraction(1), 64)]
)
@pytest.mark.parametrize("degrees", [0, 90])
@pytest.mark.parametrize("resampling", [FusedResize, ReferenceResize])
def test_square_pixels_option_widens_anamorphic_videos(tmp_path, shape, width, degrees, resampling):
    """Of a film and of its copy: the size that players show, and what a window shows of it."""
    drawn = np.full((6, HEIGHT, WIDTH, 3), 40, np.uint8)
    drawn[:, 16:32, 16:48] = 240
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = add_film(container, crf=5)
        stream.codec_context.sample_aspect_ratio = Fraction(shape)
        stream.set_display_rotation(degrees)
        encode(container, stream, drawn)
    assert transcode(path, tmp_path / "copy.mp4", side=48, gop=12, crf=5) is None
    for file in (path, tmp_path / "copy.mp4"):
        video = Video(str(file), ())
        size = (HEIGHT, width) if degrees == 0 else (width, HEIGHT)
        plan = MultiViewSampler(frames=2, stride=1, resize=min(size), crop=(16, 16))
        with open_video(video) as stored:
            assert stored.shape[1:] == ((HEIGHT, WIDTH) if degrees == 0 else (WIDTH, HEIGHT))
        clips = ClipDataset([video], plan, FlipLabelMap(), 0, resampling=resampling(square_pixels=True))
        with clips.open(video) as opened:
            assert opened.shape == (6, *size)
            bright = shown(opened, [0])[0].mean(-1) > 140
        expected = np.rot90(drawn[0, ..., 0] > 140, degrees // 90)
        rows, columns = (np.arange(a) * b // a for a, b in zip(size, expected.shape, strict=True))
        assert (bright == expected[np.ix_(rows, columns)]).mean() > 0.94
        assert clips[0].frames.shape == (1, 2, 16, 16, 3)
        if width >= 64:  # the middle of the picture is bright
            assert clips[0].frames[0, 0, 6:10, 6:10].mean() > 200
