"""Functions that read the same clip from a video file: ours, and other libraries by their fastest documented way.

All return the center crop of frames whose short side is scaled to ``resize``, as bytes [f, h, w, 3]; one thread each.
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
class ClipRequest:
    """A clip to read: frame numbers of a file, and its center crop, in the source frame and in the scaled one."""

    path: str
    frame_numbers: tuple[int, ...]
    crop_box: CropBox
    """In pixels of the source frame."""
    scaled_size: tuple[int, int]
    """Height and width of the frame after scaling, before the crop."""
    crop: tuple[int, int]
    """Height and width of the crop."""
    fps: float
    timestamps: Sequence[int] | None = None
    """Timestamps of all frames of the file, from an index; None without an index."""

    @property
    def corner(self) -> tuple[int, int]:
        """Top and left of the crop in the scaled frame."""
        return (self.scaled_size[0] - self.crop[0]) // 2, (self.scaled_size[1] - self.crop[1]) // 2

    def center_crop(self, frames: np.ndarray) -> Clip:
        """Return the center crop of scaled frames [f, h, w, 3]."""
        top, left = self.corner
        return np.ascontiguousarray(frames[:, top : top + self.crop[0], left : left + self.crop[1]])


def read_native(request: ClipRequest) -> Clip:
    """Read with our decoder; the file is opened each time, and its packets are listed unless an index has them."""
    with PyAVVideoReader(request.path, stamps=request.timestamps) as video:
        return video.read(request.frame_numbers, [request.crop_box], request.crop)[0]


def read_pytorchvideo(request: ClipRequest) -> Clip:
    """Read as in pytorchvideo's tutorials: decode a clip by seconds, subsample, convert to floats, resize, crop.

    Its transforms cannot be imported with a current torchvision, so they are written out here.
    """
    import torch
    from pytorchvideo.data.encoded_video import EncodedVideo
    from torch.nn.functional import interpolate

    first, last = request.frame_numbers[0], request.frame_numbers[-1]
    video = EncodedVideo.from_path(request.path, decode_audio=False)
    frames = video.get_clip((first - 0.5) / request.fps, (last + 0.5) / request.fps)["video"]  # c f h w
    video.close()
    indices = torch.linspace(0, frames.shape[1] - 1, len(request.frame_numbers)).long()
    floats = frames.index_select(1, indices) / 255.0
    scaled = interpolate(floats, request.scaled_size, mode="bilinear", align_corners=False)
    top, left = request.corner
    cropped = scaled[:, :, top : top + request.crop[0], left : left + request.crop[1]]
    return cropped.mul(255).to(torch.uint8).permute(1, 2, 3, 0).contiguous().numpy()


def read_torchcodec(request: ClipRequest) -> Clip:
    """Read with torchcodec, which resizes and crops while it decodes."""
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import CenterCrop, Resize

    transforms = [Resize(request.scaled_size), CenterCrop(request.crop)]
    decoder = VideoDecoder(request.path, dimension_order="NHWC", num_ffmpeg_threads=1, transforms=transforms)
    return np.ascontiguousarray(decoder.get_frames_at(list(request.frame_numbers)).data.numpy())


def read_decord(request: ClipRequest) -> Clip:
    """Read with decord, which resizes while it decodes, then crop."""
    from decord import VideoReader

    height, width = request.scaled_size
    reader = VideoReader(request.path, height=height, width=width, num_threads=1)
    return request.center_crop(reader.get_batch(list(request.frame_numbers)).asnumpy())


def decode_only(request: ClipRequest) -> None:
    """Seek as our decoder does, decode every frame up to the last requested one, and convert none."""
    with av.open(request.path, metadata_errors="ignore") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        ticks_per_frame = 1 / (request.fps * float(stream.time_base or 1))
        start = stream.start_time or 0
        first = int(start + (min(request.frame_numbers) + 0.5) * ticks_per_frame)
        container.seek(first, stream=stream, backward=True)
        last = start + (max(request.frame_numbers) - 0.5) * ticks_per_frame
        for frame in container.decode(stream):
            if frame.pts is not None and frame.pts >= last:
                return


BASELINES: dict[str, Callable[[ClipRequest], Clip]] = {
    "pytorchvideo": read_pytorchvideo,
    "torchcodec": read_torchcodec,
    "decord": read_decord,
}
"""Other libraries' readers, by the package that each needs."""
