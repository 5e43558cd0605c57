"""Time from a video file to a clip, beside other libraries; all return the same bytes of the same frames."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import av
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from vivit.benchmarks.checks import check_positive
from vivit.benchmarks.loader_baselines import BASELINES, Clip, ClipRequest, decode_only, read_native
from vivit.data.find_videos import SUFFIXES, is_video
from vivit.data.index.transcode import transcode
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.view_samplers import RandomViewSampler
from vivit.errors import ConfigError, DataError

log = logging.getLogger(__name__)

Reader = Callable[[ClipRequest], Clip | None]
DECODE_ONLY = "bare_decode"


def loader_rows(
    *,
    videos: str,
    gop: int,
    crf: int,
    num_clips: int,
    frames: int,
    stride: int,
    resize: int,
    crop: Sequence[int],
    num_workers: int,
    num_passes: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Time every reader on the same ``num_clips`` clips at random positions, interleaved, in this one thread.

    ``ours_prepared`` reads copies that are made here as ``prepare`` makes them, by ``resize``, ``gop`` and ``crf``.
    ``clips_per_second`` is the median of ``num_passes`` passes through a DataLoader with ``num_workers`` workers, again
    interleaved. Readers whose package is not installed are left out with a warning. Raises ConfigError where ``videos``
    is not a folder of videos, a count is below 1 or ``crop`` is not two numbers, and DataError for a video that cannot
    be copied.
    """
    check_positive(num_clips=num_clips, num_passes=num_passes, frames=frames, stride=stride, resize=resize, gop=gop)
    if len(crop) != 2:
        raise ConfigError("bench.crop", list(crop), "is not height and width", "set for example [224,224]")
    torch.set_num_threads(1)
    view_sampler = RandomViewSampler(
        frames=frames, stride=stride, resize=resize, crop=(crop[0], crop[1]), random_crop=False
    )
    files = find_videos(videos)
    rng = np.random.default_rng(seed)
    requests = [plan_clip(files[number % len(files)], view_sampler, rng) for number in range(num_clips)]
    readers = available_readers()
    with TemporaryDirectory() as folder:
        copies = {
            str(file): transcode_video(file, Path(folder), resize, gop, crf) for file in tqdm(files, desc="copies")
        }
        clips = dict.fromkeys(readers, requests)
        readers["ours_prepared"] = read_native
        clips["ours_prepared"] = [map_to_transcoded(clip, copies[clip.path], view_sampler) for clip in requests]
        seconds = time_interleaved(readers, clips)
        with_pixels = {name: reader for name, reader in readers.items() if name != DECODE_ONLY}
        rates = time_with_workers(with_pixels, clips, num_workers, num_passes)
        return [
            {
                "name": name,
                "ms_per_clip": 1000 * median(seconds[name]),
                "min": 1000 * min(seconds[name]),
                "max": 1000 * max(seconds[name]),
                "clips": len(seconds[name]),
                "clips_per_second": median(rates[name]) if name in rates else None,
            }
            for name in readers
        ]


def find_videos(folder: str) -> list[Path]:
    """Return the videos of a folder, sorted. Raises ConfigError where there is none."""
    if not Path(folder).is_dir():
        raise ConfigError("bench.videos", folder, "there is no such folder", "set a folder of video files")
    files = sorted(file for file in Path(folder).iterdir() if is_video(file.name))
    if not files:
        remedy = f"set a folder of files that end in {', '.join(SUFFIXES)}"
        raise ConfigError("bench.videos", folder, "the folder contains no video", remedy)
    return files


def available_readers() -> dict[str, Reader]:
    """Return the readers whose packages can be imported, by name; the log names the others."""
    readers: dict[str, Reader] = {"ours": read_native}
    for name, reader in BASELINES.items():
        try:
            import_module(name)
        except ImportError:
            log.warning("left out: %s is not installed (`make install EXTRAS=bench`, or pip install it)", name)
        except (RuntimeError, OSError) as error:  # torchcodec without ffmpeg
            log.warning("left out: %s cannot be loaded (is ffmpeg installed?): %s", name, str(error).split("\n", 1)[0])
        else:
            readers[name] = reader
    return readers | {DECODE_ONLY: decode_only}


def plan_clip(file: Path, view_sampler: RandomViewSampler, rng: np.random.Generator) -> ClipRequest:
    """Draw a random clip of a file."""
    with av.open(str(file), metadata_errors="ignore") as container:
        fps = float(container.streams.video[0].average_rate or 25)
    with PyAVVideoReader(str(file)) as video:
        extent = video.shape
    (view,) = view_sampler(extent, rng)
    short_side = min(extent.height, extent.width)
    scaled_size = extent.height * view_sampler.resize // short_side, extent.width * view_sampler.resize // short_side
    return ClipRequest(str(file), view.numbers, view.crop_box, scaled_size, view_sampler.crop, fps)


def transcode_video(file: Path, folder: Path, side: int, gop: int, crf: int) -> Path:
    """Write a copy that is faster to read, and return its path. Raises DataError where that fails."""
    copy = folder / f"{file.name}.mp4"
    if problem := transcode(file, copy, side=side, gop=gop, crf=crf):
        raise DataError(file, problem, "remove it from bench.videos")
    return copy


def map_to_transcoded(clip: ClipRequest, copy: Path, view_sampler: RandomViewSampler) -> ClipRequest:
    """Return the request for the same clip in a copy of its file, whose frames may be smaller, with an index."""
    with PyAVVideoReader(str(copy)) as video:
        timestamps = video.stamps
    in_copy = plan_clip(copy, view_sampler, np.random.default_rng(0))
    return replace(in_copy, frame_numbers=clip.frame_numbers, timestamps=timestamps)


def time_interleaved(
    readers: Mapping[str, Reader], clips: Mapping[str, Sequence[ClipRequest]]
) -> dict[str, list[float]]:
    """Return the seconds of every reader for every clip.

    All readers read a clip before any reads the next, and each is first equally often. One clip before is not timed.
    """
    names = list(readers)
    for name in names:
        readers[name](clips[name][0])
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in tqdm(range(len(clips[names[0]])), desc="clips", unit="clip"):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = perf_counter()
            readers[name](clips[name][turn])
            seconds[name].append(perf_counter() - start)
    return seconds


class ClipDataset(Dataset[torch.Tensor]):
    """Clips as one reader reads them."""

    def __init__(self, reader: Reader, clips: Sequence[ClipRequest]) -> None:
        self.reader, self.clips = reader, clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> torch.Tensor:
        """Read one clip."""
        return torch.from_numpy(self.reader(self.clips[index]))


def time_with_workers(
    readers: Mapping[str, Reader], clips: Mapping[str, Sequence[ClipRequest]], num_workers: int, num_passes: int
) -> dict[str, list[float]]:
    """Return clips a second of every reader through a DataLoader, one number a round; a round before is not timed."""
    loaders = {
        name: DataLoader(
            ClipDataset(reader, clips[name]), batch_size=2, num_workers=num_workers, persistent_workers=num_workers > 0
        )
        for name, reader in readers.items()
    }
    rates: dict[str, list[float]] = {name: [] for name in readers}
    for turn in tqdm(range(num_passes + 1), desc=f"{num_workers} workers", unit="round"):
        for name, loader in loaders.items():
            start = perf_counter()
            count = sum(map(len, loader))
            if turn:
                rates[name].append(count / (perf_counter() - start))
    return rates
