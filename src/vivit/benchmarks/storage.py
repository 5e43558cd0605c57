"""Clips from storage beside a local disk: requests, bytes and clips a second, through a web server on this machine."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch

from vivit.benchmarks.checks import check_positive
from vivit.benchmarks.loader import find_videos
from vivit.benchmarks.storage_server import Storage, serving
from vivit.data.dataset import ClipDataset
from vivit.data.datasets import CsvDataset
from vivit.data.index.prepare import prepare
from vivit.data.loader import StatefulTrainLoader, WorkerConfig
from vivit.data.samplers import DistributedBatchSampler
from vivit.data.storage.range_cache import RangeCache
from vivit.data.storage.remote_path import RemotePath
from vivit.data.view_samplers import RandomViewSampler
from vivit.structures import Video


def storage_rows(
    *,
    videos: str,
    latency_ms: float,
    copies: int,
    frames: int,
    stride: int,
    resize: int,
    crop: Sequence[int],
    batch_size: int,
    num_workers: int,
    prefetch_factor: int,
    num_passes: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Read random clips of the videos of a folder from a local disk, and through a server that answers late.

    Sources are the files, copies of them (``copies`` is their short side), and tar files; each from the disk, by
    planned ranges with and without a cache, and each file at once. ``requests`` and ``kilobytes`` are of a clip;
    ``clips_per_second`` is that of a loader with ``num_workers`` workers and ``prefetch_factor`` batches each. All are
    of ``num_passes`` passes after a first one, which starts workers and fills a cache. A pass takes each video so often
    that all workers have as many batches as they prefetch. ``same`` says whether the clips are those of the local disk
    bit for bit. Workers and server share the cores.
    """
    check_positive(
        frames=frames, stride=stride, resize=resize, batch_size=batch_size, copies=copies, num_passes=num_passes
    )
    torch.set_num_threads(1)
    workers = WorkerConfig(num_workers, prefetch_factor)
    view = RandomViewSampler(frames=frames, stride=stride, resize=resize, crop=(crop[0], crop[1]))
    rows = []
    with TemporaryDirectory() as temporary:
        folders = [Path(temporary, name) for name in ("videos", "tars")]
        for folder in folders:
            _prepare(find_videos(videos), folder, copies, num_workers or 1, tars=folder.name == "tars")
        for kind, position, side in (("files", 0, None), ("copies", 0, copies), ("tars", 1, None)):
            with serving(folders[position], latency_ms / 1000) as served:
                cache = RangeCache(str(Path(temporary, f"cache-{kind}")), 1 << 40)
                digests = None
                for name, root, plan, where in (
                    ("disk", folders[position], True, None),
                    ("ranges", RemotePath(served.address), True, None),
                    ("ranges, cache", RemotePath(served.address), True, cache),
                    ("at once", RemotePath(served.address), False, None),
                ):
                    dataset = CsvDataset(root=root, copies=side)
                    dataset.cache = where
                    listed = [video if plan else _without_plan(video) for video in dataset.videos("train")]
                    listed *= max(1, batch_size * (num_workers or 1) * prefetch_factor // len(listed))
                    clips = ClipDataset(listed, view, dataset.flip_labels, seed)
                    rate, requests, fetched, made = _measure(clips, batch_size, workers, num_passes, seed, served)
                    digests = digests or made
                    rows.append(
                        {
                            "name": f"{kind}: {name}",
                            "clips_per_second": rate,
                            "requests": requests,
                            "kilobytes": fetched / 1000,
                            "same": made == digests,
                        }
                    )
    return rows


def _prepare(files: Sequence[Path], folder: Path, copies: int, workers: int, *, tars: bool) -> None:
    """Make a data set of files with an index and copies; with ``tars`` its videos are in tar files alone."""
    folder.mkdir()
    for file in files:
        shutil.copy(file, folder)
    (folder / "train.csv").write_text("path,label\n" + "".join(f'"{file.name}",a\n' for file in files))
    options: dict[str, Any] = {"tar_size": max(1, len(files) // 4)} if tars else {"copies": copies}
    prepare(CsvDataset(root=folder), splits=["train"], num_workers=workers, look_alike=False, **options)
    for file in files if tars else ():
        (folder / file.name).unlink()


def _without_plan(video: Video) -> Video:
    return replace(video, stored=replace(video.stored, plan=None))


def _measure(
    clips: ClipDataset, batch_size: int, workers: WorkerConfig, passes: int, seed: int, served: Storage
) -> tuple[float, float, float, list[str]]:
    """Return clips a second, requests and bytes a clip of some passes after a first one, and digests of all clips."""
    order = DistributedBatchSampler(len(clips), batch_size, seed)
    loader = StatefulTrainLoader(clips, order, workers)
    digests: list[str] = []
    seconds, count, before = 0.0, 0, (0, 0)
    for epoch in range(passes + 1):
        order.set_epoch(epoch)
        if epoch == 1:
            before = served.gets, served.fetched
        start = perf_counter()
        frames = [batch.frames for batch in loader]
        if epoch:
            seconds += perf_counter() - start
            count += sum(map(len, frames))
        digests += [hashlib.sha256(batch.numpy().tobytes()).hexdigest() for batch in frames]
    return count / seconds, (served.gets - before[0]) / count, (served.fetched - before[1]) / count, digests
