"""What a training run takes on this machine: by the measured time of a step and of reading clips."""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig

from vivit.cores import allowed_cores
from vivit.data import VideoDataModule
from vivit.data.datasets import SPLITS
from vivit.data.frame_cache.budget import gigabytes
from vivit.data.index.sources import Sources, opened
from vivit.data.index.transcode import transcode
from vivit.data.overview import VideoFacts
from vivit.data.overview.page import Costs
from vivit.data.readers.video_error import VideoError
from vivit.data.samplers import SampleKey
from vivit.tasks.batch_size import auto_size, measure_memory
from vivit.tasks.build import build_network
from vivit.tasks.compute import AUTO
from vivit.text import format_duration
from vivit.training.batch_size import run_step

log = logging.getLogger(__name__)

LARGEST_ON_CPU = 4
"""Clips of the batch that is timed on a CPU, where time grows with their number."""
STEPS, CLIPS, PATIENCE = 3, 24, 20.0
"""Steps that are timed, clips that are read, and seconds for each after which there are enough."""
COPIED, GOP, CRF = 3, 12, 18
"""Videos that are copied to see how large copies are."""


def measure_costs(run: DictConfig, facts: VideoFacts) -> Costs:
    """Return what a run takes: time and memory of a step, time to read clips, and what follows from them."""
    memory, free, device = measure_memory(run, sum(map(len, facts.heads.values())))
    listed = int((facts.videos["split"] == "train").sum())
    batch = int(auto_size(memory, free, listed) if run.data.batch_size == AUTO else run.data.batch_size)
    run.data.batch_size = batch
    run.data.dataset.max_missing = dict.fromkeys(SPLITS, 1.0)  # a page about them is what is made here
    data: VideoDataModule = instantiate(run.data, _convert_="all")
    videos = {split: len(data.dataset.videos(split)) for split in data.dataset.splits}
    network = build_network(run, sum(map(len, facts.heads.values()))).to(device).train()
    on_gpu, cores = device.type == "cuda", len(allowed_cores())
    timed = batch if on_gpu else min(batch, LARGEST_ON_CPU)
    clips = torch.zeros(timed, 3, run.data.frames, *run.data.crop, device=device)
    autocast = torch.bfloat16 if on_gpu else None
    of_step = _seconds([lambda: run_step(network, clips, autocast)] * (STEPS + 1)) / timed
    of_clip = _seconds(_reads(data)) / cores
    trained = max(of_step, of_clip) if on_gpu else of_step + of_clip
    scored = max(of_step / 3, of_clip) if on_gpu else of_step / 3 + of_clip
    epochs = int(run.trainer.max_epochs or 1)
    validated = videos.get("val", 0) * scored
    tested = videos.get("test", videos.get("val", 0)) * len(data.test_views) * scored
    epoch = videos["train"] * trained + validated
    rows = [
        ("clips a step", f"{batch}"),
        ("memory", f"{gigabytes(memory.peak(batch))} of {gigabytes(free)} that are free"),
        ("a step", f"{batch * of_step:.3g} s, {1 / of_step:.3g} clips a second"),
        (f"reading, on {cores} cores", f"{1 / of_clip:.3g} clips a second"),
        ("an epoch with its validation", format_duration(epoch)),
        (f"{epochs} epochs", format_duration(epochs * epoch)),
        (f"the test, {len(data.test_views)} views a video", format_duration(tested)),
        *_copies(data, facts),
    ]
    lead = f"Measured in {STEPS} steps of {timed} clips and by reading up to {CLIPS} clips, with random weights; "
    lead += "the GPU reads while it computes." if on_gpu else "one after the other, for they share the cores."
    return Costs(lead, rows)


def _reads(data: VideoDataModule) -> list[Callable[[], object]]:
    """Return calls that each read one training clip, of videos spread over the list."""
    clips = data.clip_dataset("train", data.training_view)
    step = max(1, len(clips) // CLIPS)

    def read(row: int) -> None:
        try:
            clips[SampleKey(0, 0, row)]
        except VideoError as error:
            log.info("not counted: %s", error)

    return [lambda row=row: read(row) for row in range(0, len(clips), step)]  # type: ignore[misc]


def _seconds(calls: Sequence[Callable[[], object]]) -> float:
    """Return the median of the seconds that calls take; the first warms up, and no more begin after ``PATIENCE``."""
    times: list[float] = []
    end = time.monotonic() + PATIENCE
    for number, call in enumerate(calls):
        begun = time.perf_counter()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if number or len(calls) == 1:
            times.append(time.perf_counter() - begun)
        if times and time.monotonic() > end:
            break
    return max(median(times), 1e-9)


def _copies(data: VideoDataModule, facts: VideoFacts) -> list[tuple[str, str]]:
    """Return the disk that copies of ``data.resize`` pixels take, by copies of a few videos; nothing where smaller."""
    side, videos = int(data.training_view.resize), facts.examined.drop_duplicates("path")
    larger = videos[videos[["width", "height"]].min(axis=1) > side]
    if larger.empty:
        return []
    sources = Sources(data.dataset, data.dataset.splits)
    sample = larger.iloc[:: max(1, len(larger) // COPIED)].iloc[:COPIED]
    with TemporaryDirectory() as folder:
        copies = [Path(folder) / f"{number}.mp4" for number in range(len(sample))]
        for path, copy in zip(sample["path"], copies, strict=True):
            with opened(sources.source(path)) as video:
                transcode(video, copy, side=side, gop=GOP, crf=CRF)
        sizes = [
            (copy.stat().st_size, seconds)
            for copy, seconds in zip(copies, sample["seconds"], strict=True)
            if copy.is_file()
        ]
    if not sizes:
        return []
    rate = sum(size for size, _ in sizes) / sum(seconds for _, seconds in sizes)
    return [(f"disk of copies={side}", f"about {gigabytes(rate * float(videos['seconds'].sum()))}")]
