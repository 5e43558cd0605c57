"""pytorchvideo's data set, fed by our lists, samplers and decoder, gives the clips of the native loader."""

import os
import signal
import sys
from fractions import Fraction
from multiprocessing import active_children

import numpy as np
import pytest
import torch
from pytorchvideo.data import LabeledVideoDataset, UniformClipSampler

from vivit.data.dataset import TrainClipDataset
from vivit.data.datasets import Motion
from vivit.data.loader import StatefulTrainLoader, WorkerConfig
from vivit.data.pytorchvideo import LabeledPaths, LabeledVideoLoader, PyAVPathHandler
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.samplers import DistributedBatchSampler
from vivit.data.view_samplers import RandomViewSampler
from vivit.data.views import CropBox
from vivit.structures import Video

CLIP = {"frames": 4, "stride": 2, "resize": 36, "crop": (24, 32)}
PLAN = RandomViewSampler(**CLIP, scale_jitter=(0.9, 1.33), hflip_prob=0.5)
BATCH, STEPS = 9, 5


BY_TIME = RandomViewSampler(frames=4, fps=11, resize=36, crop=(24, 32), hflip_prob=0.5)


def clips(root, bad=(), sampler=PLAN):
    data = Motion(root=root)
    videos = list(data.videos("train"))
    for row in bad:
        videos[row] = Video(str(root / "gone.mp4"), videos[row].labels)
    return TrainClipDataset(videos, sampler, data.flip_labels, 3)


def loader(kind, root, workers=0, epoch=1, bad=(), sampler=PLAN):
    batches = DistributedBatchSampler(48, BATCH, seed=3)
    batches.set_epoch(epoch)
    return kind(clips(root, bad, sampler), batches, WorkerConfig(workers), 0.1)


def clips_by_row(batches):
    return sorted(
        (video, labels.tolist(), frames.numpy().tobytes())
        for batch in batches
        for frames, labels, video in zip(batch.frames, batch.labels, batch.videos.tolist(), strict=True)
    )


@pytest.mark.parametrize("sampler", [PLAN, BY_TIME], ids=["stride", "fps"])
def test_pytorchvideo_loader_without_workers_equals_the_native_one(small_motion, sampler):
    """The bad video included, and the clip in its place."""
    native, reference = (
        list(loader(kind, small_motion, bad=[5], sampler=sampler)) for kind in (StatefulTrainLoader, LabeledVideoLoader)
    )
    assert len(native) == len(reference) == STEPS
    for actual, other in zip(native, reference, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(actual[:3], other[:3], strict=True))
        assert actual.bad == other.bad
    assert sum(len(batch.bad) for batch in native) == 1


@pytest.mark.slow
def test_pytorchvideo_loader_with_workers_has_the_same_clips(small_motion):
    native = list(loader(StatefulTrainLoader, small_motion))
    other = loader(LabeledVideoLoader, small_motion, workers=2)
    reference = list(other)
    assert [len(batch.videos) for batch in reference] == [BATCH] * STEPS
    assert clips_by_row(reference) == clips_by_row(native)
    assert any(not torch.equal(a.videos, b.videos) for a, b in zip(native, reference, strict=True))
    other.batch_sampler.set_epoch(2)
    assert clips_by_row(other) == clips_by_row(loader(StatefulTrainLoader, small_motion, epoch=2))


def test_pytorchvideo_workers_ignore_signals_to_the_group(small_motion):
    """So that the run can finish its step and save."""
    before = {child.pid for child in active_children()}
    batches = iter(loader(LabeledVideoLoader, small_motion, workers=2))
    first = next(batches)
    workers = {child.pid for child in active_children()} - before
    assert len(workers) == 2
    for worker in workers:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            os.kill(worker, number)
    assert clips_by_row([first, *batches]) == clips_by_row(loader(StatefulTrainLoader, small_motion))


def test_pytorchvideo_loader_counts_and_resumes_as_the_native_one(small_motion):
    stopped = loader(LabeledVideoLoader, small_motion)
    batches = iter(stopped)
    next(batches), next(batches)
    resumed = loader(LabeledVideoLoader, small_motion)
    resumed.load_state_dict(stopped.state_dict())
    rest = list(resumed)
    expected = list(loader(StatefulTrainLoader, small_motion))[2:]
    assert all(torch.equal(a.frames, b.frames) for a, b in zip(rest, expected, strict=True))


def test_pytorchvideo_samplers_with_our_decoder(small_motion):
    """Seconds of its samplers are frames at 30 a second; the pictures are whole."""
    actual = clips(small_motion)
    dataset = LabeledVideoDataset(
        LabeledPaths(actual.videos), UniformClipSampler(Fraction(7, 30)), torch.utils.data.SequentialSampler,
        decode_audio=False,
    )  # fmt: skip
    dataset.video_path_handler = PyAVPathHandler(actual)
    first, second = next(dataset), next(dataset)
    with PyAVVideoReader(actual.videos[0].path) as file:
        _, height, width = file.shape
        full = file.read(range(14), [CropBox(0, 0, height, width)], (height, width))[0]
    for sample, expected in ((first, full[:7]), (second, full[7:])):
        np.testing.assert_array_equal(sample["video"].permute(1, 2, 3, 0).numpy(), expected)
        assert sample["label"] == actual.videos[0].labels


def test_pytorchvideo_transforms_are_never_imported():
    """They do not import with current torchvision."""
    assert "pytorchvideo.data" in sys.modules
    assert not [module for module in sys.modules if module.startswith("pytorchvideo.transforms")]
