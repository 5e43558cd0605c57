"""Ways from a video file to the same clip: ours, and others by the best path that each documents.

All show the middle of the picture, its short side scaled to ``resize``, as bytes [f, h, w, 3]. One thread each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import av
import numpy as np
from jaxtyping import UInt8

from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.views import CropBox

Clip = UInt8[np.ndarray, "f h w 3"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A clip to be read: frames of a file, and its middle window once as a source window, once after scaling."""

    path: str
    numbers: tuple[int, ...]
    window: CropBox
    scaled: tuple[int, int]
    crop: tuple[int, int]
    rate: float
    """Frames a second."""
    stamps: Sequence[int] | None = None
    """Timestamps of all frames, where an index tells them."""

    @property
    def corner(self) -> tuple[int, int]:
        """Top and left of the crop in the scaled picture."""
        return (self.scaled[0] - self.crop[0]) // 2, (self.scaled[1] - self.crop[1]) // 2

    def cut(self, frames: np.ndarray) -> Clip:
        """Crop scaled frames [f, h, w, 3]."""
        top, left = self.corner
        return np.ascontiguousarray(frames[:, top : top + self.crop[0], left : left + self.crop[1]])


def ours(wanted: Wanted) -> Clip:
    """Read with our decoder; the file is opened each time, and listed if no index has done it."""
    with PyAVVideoReader(wanted.path, stamps=wanted.stamps) as file:
        return file.read(wanted.numbers, [wanted.window], wanted.crop)[0]


def pytorchvideo(wanted: Wanted) -> Clip:
    """Read as its tutorials do: a clip in seconds, frames picked evenly, colours to floats, short side scaled, cut.

    Its transforms do not import beside a current torchvision, so these lines do what they do.
    """
    import torch
    from pytorchvideo.data.encoded_video import EncodedVideo
    from torch.nn.functional import interpolate

    first, last = wanted.numbers[0], wanted.numbers[-1]
    video = EncodedVideo.from_path(wanted.path, decode_audio=False)
    frames = video.get_clip((first - 0.5) / wanted.rate, (last + 0.5) / wanted.rate)["video"]  # c f h w
    video.close()
    picked = torch.linspace(0, frames.shape[1] - 1, len(wanted.numbers)).long()
    colours = frames.index_select(1, picked) / 255.0
    scaled = interpolate(colours, wanted.scaled, mode="bilinear", align_corners=False)
    top, left = wanted.corner
    cropped = scaled[:, :, top : top + wanted.crop[0], left : left + wanted.crop[1]]
    return cropped.mul(255).to(torch.uint8).permute(1, 2, 3, 0).contiguous().numpy()


def torchcodec(wanted: Wanted) -> Clip:
    """Read with scaling and cropping done while decoding."""
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import CenterCrop, Resize

    transforms = [Resize(wanted.scaled), CenterCrop(wanted.crop)]
    decoder = VideoDecoder(wanted.path, dimension_order="NHWC", num_ffmpeg_threads=1, transforms=transforms)
    return np.ascontiguousarray(decoder.get_frames_at(list(wanted.numbers)).data.numpy())


def decord(wanted: Wanted) -> Clip:
    """Read with its own scaling, then crop."""
    from decord import VideoReader

    reader = VideoReader(wanted.path, height=wanted.scaled[0], width=wanted.scaled[1], num_threads=1)
    return wanted.cut(reader.get_batch(list(wanted.numbers)).asnumpy())


def bare_decode(wanted: Wanted) -> None:
    """Seek as we do, decode every frame up to the last wanted one, and convert none."""
    with av.open(wanted.path, metadata_errors="ignore") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        tick = 1 / (wanted.rate * float(stream.time_base or 1))
        start = stream.start_time or 0
        container.seek(int(start + (min(wanted.numbers) + 0.5) * tick), stream=stream, backward=True)
        last = start + (max(wanted.numbers) - 0.5) * tick
        for frame in container.decode(stream):
            if frame.pts is not None and frame.pts >= last:
                return


PEERS: dict[str, Callable[[Wanted], Clip]] = {"pytorchvideo": pytorchvideo, "torchcodec": torchcodec, "decord": decord}
"""Readers of others, by the name of the package that each needs."""
