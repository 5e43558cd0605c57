"""Which stream of a file is its video: decided once, for the reader, the index and the copies alike."""

import threading
from codecs import getincrementaldecoder
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import av.container
from av.format import Flags
from av.stream import Discard, Disposition

from vivit.data.readers.video_error import VideoError
from vivit.data.storage.stored_file import OpenFile

STILLS = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
"""Marks of a stream that accompanies a video: its cover, its thumbnails."""
TEXT = ("tty", "bin", "xbin", "adf", "idf")
"""Formats of FFmpeg that draw any text as a video of letters."""
IS_TEXT = "is text, no video", "name videos themselves, as [a,b], or by a folder or a pattern such as *.mp4"
"""Problem and remedy."""
CAMERAS = ("mjpeg", "mjpegb", "png", "apng", "webp", "tiff", "jpegxl", "jpegxl_anim")
"""Codecs whose pictures have EXIF data of their own, with their orientation."""
PICTURES = ("image2", "gif", "apng", "ico")
PICTURE_BRANDS = ("avif", "heic", "heix", "mif1", "msf1")
"""Kinds of MP4 that contain photographs."""
LOG_LEVEL = threading.Lock()
"""FFmpeg has one log level for all threads."""


def open_video_stream(path: str | OpenFile) -> tuple[av.container.InputContainer, av.VideoStream]:
    """Return a file opened at its beginning, and its video stream. Raises ``VideoError``.

    Of several streams of pictures it is one that the file marks as default, else the first. A stream without packets
    is never taken, one of a single picture only where no other has more, and covers and thumbnails never. Nothing else
    of the file is read, and one thread decodes.
    """
    container = _open_container(path)
    try:
        streams = _video_streams(path, container)
        if len(streams) > 1:
            index = _preferred_index(container, streams)
            container.close()  # or the packets that this took would be missing
            container = _open_container(path)
            streams = [container.streams[index]]  # type: ignore[list-item]
        (stream,) = streams
        for other in container.streams:
            other.discard = Discard.default if other is stream else Discard.all
        stream.codec_context.thread_count = 1
        stream.codec_context.open()  # before anything is skipped: dav1d would skip the same to its end
    except av.FFmpegError as error:
        container.close()
        raise VideoError(path, f"cannot be decoded ({error.strerror}); its header is damaged") from None
    except BaseException:
        container.close()
        raise
    return container, stream


def is_picture_format(container: av.container.InputContainer) -> bool:
    """Return whether the format is one of photographs; several of them, as in bare MJPEG, still make a video."""
    name, brand = container.format.name, container.metadata.get("major_brand", "")
    return name.endswith("_pipe") or any(part in PICTURES for part in name.split(",")) or brand in PICTURE_BRANDS


def may_be_rotated(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Return whether pictures may be displayed rotated or mirrored; only a decoded one contains how.

    FFmpeg reports a container's display matrix as text only; cameras write theirs into each JPEG picture.
    """
    if stream.codec_context.name in CAMERAS:
        return True
    with LOG_LEVEL:
        level = av.logging.get_level()
        av.logging.set_level(av.logging.INFO)
        try:
            return "Display Matrix" in container.dumps_format()  # type: ignore[attr-defined]
        finally:
            av.logging.set_level(level)


def can_seek(container: av.container.InputContainer) -> bool:
    """Return whether a frame has the same timestamp after a seek.

    Bare streams store no timestamps, so FFmpeg counts from where it seeks to.
    """
    counts = Flags(container.format.flags) & (Flags.no_timestamps | Flags.generic_index)
    return not counts or container.format.name in ("ogg", "ivf")


def packets_of(
    container: av.container.InputContainer, streams: av.VideoStream | Sequence[av.VideoStream]
) -> Iterator[av.Packet]:
    """Yield the packets of streams from the present position, but empty ones, which repeat the picture before."""
    selected = list(streams) if isinstance(streams, Sequence) else [streams]
    return (packet for packet in container.demux(*selected) if packet.size)


def _open_container(path: str | OpenFile) -> av.container.InputContainer:
    try:
        if _is_text(path):
            raise VideoError(path, *IS_TEXT)
        container = open_container(path)
    except (av.FFmpegError, OSError) as error:
        raise VideoError(path, f"cannot be opened ({error.strerror or error})") from None
    if container.format.name in TEXT:
        container.close()
        raise VideoError(path, *IS_TEXT)
    return container


def open_container(path: str | OpenFile) -> av.container.InputContainer:
    """Return a file opened by FFmpeg. Raises what FFmpeg raises."""
    file = f"file:{path}" if isinstance(path, str) else path.cursor()  # a name with a colon is no protocol
    return av.open(file, "r", metadata_errors="ignore")


def head_of(path: str | OpenFile, count: int) -> bytes:
    """Return the first bytes of a file, up to ``count``."""
    if isinstance(path, OpenFile):
        return path.read_at(0, count)
    with Path(path).open("rb") as file:
        return file.read(count)


def _is_text(path: str | OpenFile) -> bool:
    """Return whether a file begins as text: FFmpeg would draw it, or read the files that it lists.

    A bare YUV4MPEG2 video begins with a line of text, and the pictures after it may look like any letters.
    """
    head = head_of(path, 1024)
    try:
        text = getincrementaldecoder("utf-8")().decode(head)  # which may end within a letter
    except UnicodeDecodeError:
        return False
    readable = all(letter.isprintable() or letter.isspace() for letter in text)
    return bool(text) and readable and not text.startswith("YUV4MPEG2")


def _video_streams(path: str | OpenFile, container: av.container.InputContainer) -> list[av.VideoStream]:
    streams = [stream for stream in container.streams.video if stream.codec_context and not stream.disposition & STILLS]
    if not streams:
        raise VideoError(path, "has no moving picture that can be decoded, only sound or data")
    return streams


def _preferred_index(container: av.container.InputContainer, streams: Sequence[av.VideoStream]) -> int:
    """Return the index of the stream that comes first by its marks and its packets, of which some are read."""
    ranked = sorted(streams, key=lambda stream: not stream.disposition & Disposition.default)
    count: Counter[int] = Counter()
    for packet in packets_of(container, streams):
        count[packet.stream_index] += 1
        if count[ranked[0].index] > 1:
            return ranked[0].index
    default = [stream.index for stream in ranked if stream.disposition & Disposition.default]
    return max(
        (stream.index for stream in ranked),
        key=lambda index: (count[index] > 0, count[index] > 1, index in default, -index),
    )
