"""How long a clip takes to come from its file: ours beside others, all delivering the same bytes of the same frames."""

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

from vivit.benchmarks.loader_peers import PEERS, Clip, Wanted, bare_decode, ours
from vivit.data.find_videos import SUFFIXES, is_video
from vivit.data.index.transcode import transcode
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.view_samplers import RandomViewSampler

log = logging.getLogger(__name__)

Reader = Callable[[Wanted], Clip | None]


def loader_rows(
    *,
    videos: str,
    gop: int,
    quality: int,
    plans: int,
    frames: int,
    stride: int,
    resize: int,
    crop: Sequence[int],
    workers: int,
    rounds: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Time every reader on the same ``plans`` clips at random positions, taking turns, in this one thread.

    ``ours_prepared`` reads copies that are made here as ``prepare`` makes them, by ``resize``, ``gop`` and ``quality``.
    ``clips_per_second`` is the median of ``rounds`` passes through a DataLoader with ``workers`` workers, in which the
    readers take turns again. A reader whose package is not installed is left out, and the log names it.
    """
    torch.set_num_threads(1)
    view = RandomViewSampler(frames=frames, stride=stride, resize=resize, crop=(crop[0], crop[1]), random_crop=False)
    files = sorted(file for file in Path(videos).iterdir() if is_video(file.name))
    if not files:
        raise ValueError(f"bench.videos={videos} holds no video ({', '.join(SUFFIXES)})")
    rng = np.random.default_rng(seed)
    wanted = [planned(files[number % len(files)], view, rng) for number in range(plans)]
    readers = installed()
    with TemporaryDirectory() as folder:
        copies = {str(file): copied(file, Path(folder), resize, gop, quality) for file in tqdm(files, desc="copies")}
        clips = dict.fromkeys(readers, wanted)
        readers["ours_prepared"] = ours
        clips["ours_prepared"] = [moved(clip, copies[clip.path], view) for clip in wanted]
        spent = taking_turns(readers, clips)
        rates = with_workers({name: readers[name] for name in readers if name != "bare_decode"}, clips, workers, rounds)
        return [
            {
                "name": name,
                "ms_per_clip": 1000 * median(spent[name]),
                "min": 1000 * min(spent[name]),
                "max": 1000 * max(spent[name]),
                "clips": len(spent[name]),
                "clips_per_second": median(rates[name]) if name in rates else None,
            }
            for name in readers
        ]


def installed() -> dict[str, Reader]:
    """Give the readers that can be timed here."""
    there: dict[str, Reader] = {"ours": ours}
    for name, reader in PEERS.items():
        try:
            import_module(name)
        except ImportError:
            log.warning("left out: %s is not installed (make install EXTRAS=bench)", name)
        except (RuntimeError, OSError) as error:  # torchcodec, where it finds no ffmpeg
            log.warning("left out: %s cannot be loaded (is ffmpeg installed?): %s", name, str(error).split("\n", 1)[0])
        else:
            there[name] = reader
    return there | {"bare_decode": bare_decode}


def planned(file: Path, view: RandomViewSampler, rng: np.random.Generator) -> Wanted:
    """Choose a clip of a file."""
    with av.open(str(file), metadata_errors="ignore") as container:
        rate = float(container.streams.video[0].average_rate or 25)
    with PyAVVideoReader(str(file)) as video:
        extent = video.shape
    (chosen,) = view(extent, rng)
    short = min(extent.height, extent.width)
    scaled = extent.height * view.resize // short, extent.width * view.resize // short
    return Wanted(str(file), chosen.numbers, chosen.crop_box, scaled, view.crop, rate)


def copied(file: Path, folder: Path, side: int, gop: int, quality: int) -> Path:
    """Make a copy that is faster to read."""
    copy = folder / f"{file.name}.mp4"
    if why := transcode(file, copy, side=side, gop=gop, quality=quality):
        raise ValueError(f"{file}: {why}")
    return copy


def moved(clip: Wanted, copy: Path, view: RandomViewSampler) -> Wanted:
    """Find the same clip in the copy of its file, whose pictures may be smaller, and which an index knows."""
    with PyAVVideoReader(str(copy)) as video:
        stamps = video.stamps
    return replace(planned(copy, view, np.random.default_rng(0)), numbers=clip.numbers, stamps=stamps)


def taking_turns(readers: Mapping[str, Reader], clips: Mapping[str, Sequence[Wanted]]) -> dict[str, list[float]]:
    """Seconds of every reader for every clip; each reads a clip before any reads the next, none always first."""
    names = list(readers)
    for name in names:
        readers[name](clips[name][0])
    spent: dict[str, list[float]] = {name: [] for name in names}
    for turn in tqdm(range(len(clips[names[0]])), desc="clips", unit="clip"):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            begin = perf_counter()
            readers[name](clips[name][turn])
            spent[name].append(perf_counter() - begin)
    return spent


class Reading(Dataset[torch.Tensor]):
    """Clips of one reader."""

    def __init__(self, reader: Reader, clips: Sequence[Wanted]) -> None:
        self.reader, self.clips = reader, clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> torch.Tensor:
        """Read one."""
        return torch.from_numpy(self.reader(self.clips[number]))


def with_workers(
    readers: Mapping[str, Reader], clips: Mapping[str, Sequence[Wanted]], workers: int, rounds: int
) -> dict[str, list[float]]:
    """Clips a second of every reader through a DataLoader in each round; a round before them is not counted."""
    alive = workers > 0
    loaders = {
        name: DataLoader(Reading(reader, clips[name]), batch_size=2, num_workers=workers, persistent_workers=alive)
        for name, reader in readers.items()
    }
    rates: dict[str, list[float]] = {name: [] for name in readers}
    for turn in tqdm(range(rounds + 1), desc=f"{workers} workers", unit="round"):
        for name, loader in loaders.items():
            begin = perf_counter()
            count = sum(map(len, loader))
            if turn:
                rates[name].append(count / (perf_counter() - begin))
    return rates
