"""Formats that store when frames are decoded, and not when they are shown: frames come in the order of display."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from test_unusual_videos import check, drifting, write

from vivit.data.index.transcode import transcode
from vivit.data.readers.pyav_reader import PyAVVideoReader

X264 = {"bf": 0, "g": 12}, {"bf": 3, "g": 12}, {"bf": 0, "g": 250}
"""H.264 without and with frames out of order, and with a single key frame."""


def element(name, content):
    """Return an element of a Matroska file: the hexadecimal name, the length of its content, the content."""
    if isinstance(content, int):
        content = content.to_bytes(max(1, (content.bit_length() + 7) // 8), "big")
    return bytes.fromhex(name) + (len(content) | 1 << 56).to_bytes(8, "big") + content


def matroska_of_avi(source, target, tag):
    """Write the frames of an AVI into a Matroska as mkvmerge does in its mode of compatibility, 25 a second."""
    with av.open(source) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        height, width, extra = stream.height, stream.width, stream.codec_context.extradata or b""
    size = height * width * 3
    header = struct.pack("<IiiHH4sIiiII", 40 + len(extra), width, height, 1, 24, tag, size, 0, 0, 0, 0) + extra
    film = element("b0", width) + element("ba", height)
    track = element("d7", 1) + element("73c5", 1) + element("83", 1) + element("e0", film)
    track += element("86", b"V_MS/VFW/FOURCC") + element("63a2", header) + element("23e383", 40_000_000)
    blocks = b"".join(
        element("a3", b"\x81" + struct.pack(">hB", 40 * number, 128 * packet.is_keyframe) + bytes(packet))
        for number, packet in enumerate(packets)
    )
    about = element("2ad7b1", 1_000_000) + element("4489", struct.pack(">d", 40 * len(packets)))
    segment = element("1549a966", about) + element("1654ae6b", element("ae", track))
    segment += element("1f43b675", element("e7", 0) + blocks)
    kind = element("4282", b"matroska") + element("4287", 4) + element("4285", 2)
    Path(target).write_bytes(element("1a45dfa3", kind) + element("18538067", segment))
    return str(target)


def check_film(path, tmp_path, frames):
    """Frames are those drawn, alone as in sequence, 25 a second, and a copy shows the same."""
    check(path, drifting(frames), frames)
    with PyAVVideoReader(path) as file:
        times = (np.array(file.stamps) - file.stamps[0]) * float(file.time_base)
    np.testing.assert_allclose(times, np.arange(frames) / 25, atol=1e-6)
    assert transcode(Path(path), tmp_path / "copy.mp4", side=48, gop=12, crf=18) is None
    check(str(tmp_path / "copy.mp4"), drifting(frames), frames)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        *(("a.asf", "libx264", options) for options in X264),
        ("a.wmv", "libx264", {}),
        ("a.asf", "mpeg1video", {"bf": 2, "g": 12}),
        ("a.asf", "mpeg2video", {"g": 12}),
        ("a.asf", "mpeg2video", {"bf": 2, "g": 12}),
        ("a.asf", "mpeg4", {"bf": 2, "g": 12}),
        ("a.mxf", "libx264", {"bf": 3, "g": 12}),
        ("a.mxf", "mpeg2video", {"bf": 2, "g": 12}),
    ],
)
def test_frames_of_a_format_without_times_of_display(tmp_path, name, codec, options):
    check_film(write(tmp_path / name, drifting(60), codec, **options), tmp_path, 60)


@pytest.mark.parametrize("options", [*X264, {}])
def test_frames_of_a_matroska_made_from_an_avi(tmp_path, options):
    source = write(tmp_path / "a.avi", drifting(60), "libx264", **options)
    check_film(matroska_of_avi(source, tmp_path / "a.mkv", b"H264"), tmp_path, 60)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        *((name, "libx264", {"bf": bf}) for name in ("a.mp4", "a.mkv", "a.flv", "a.ts", "a.nut") for bf in (0, 3)),
        *(("a.asf", codec, {}) for codec in ("wmv1", "wmv2", "msmpeg4", "mpeg4", "libvpx")),
        ("a.webm", "libvpx", {}),
        ("a.mxf", "mpeg2video", {"bf": 2}),
    ],
)
def test_files_with_times_of_display_are_not_decoded_to_be_indexed(tmp_path, name, codec, options):
    with PyAVVideoReader(write(tmp_path / name, drifting(30), codec, g=12, **options)) as file:
        assert file.untrusted_reason is None
