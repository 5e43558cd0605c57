"""From a configuration to the pictures of a sample: the paper's strengths, and what reaches a clip on its way."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from vivit.data import VideoDataModule
from vivit.data.dataset import TrainClipDataset
from vivit.data.datasets import Motion
from vivit.data.loader import StatefulTrainLoader, WorkerConfig
from vivit.data.samplers import DistributedBatchSampler, SampleKey
from vivit.data.transforms import ColorJitter, RandAugment
from vivit.data.transforms.resize import FusedResize, ReferenceResize
from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler

CLIP = {"frames": 4, "stride": 2, "resize": 36, "crop": (24, 32)}
COLOURS = {
    "none": None,
    "crop_flip": None,
    "kinetics": ColorJitter(jitter=0.8, greyscale=0.1),
    "epic": RandAugment(num_ops=2, magnitude=15),
    "ssv2": RandAugment(num_ops=2, magnitude=20),
}


@pytest.mark.parametrize("name", COLOURS)
def test_augmentation_strengths_are_the_paper_s(name, composed):
    plan = instantiate(composed(f"augment={name}").augment, _convert_="all")(**CLIP)
    assert plan.color_transform == COLOURS[name]
    paper = name not in ("none", "crop_flip")
    assert tuple(plan.scale_jitter) == ((0.9, 1.33) if paper else (1.0, 1.0))
    assert plan.random_crop == (name != "none")
    assert plan.hflip_prob == (0.0 if name == "none" else 0.5)


@pytest.mark.parametrize(("choice", "expected"), [("fused", FusedResize()), ("reference", ReferenceResize())])
def test_resize_is_selected_by_name(choice, expected, composed):
    cfg = composed(f"resampling={choice}", "data=folder", "data.root=videos")
    assert instantiate(cfg.data.resampling) == expected


def brighter(clip, rng, progress):
    """Tell by the pixels how far training is, and what the generator says."""
    return np.full_like(clip, round(100 * progress)) + rng.integers(2, dtype=np.uint8)


def dataset(root, colours=None, **changes):
    data = Motion(root=root)
    plan = RandomViewSampler(**CLIP, random_crop=False, color_transform=colours)
    return TrainClipDataset(data.videos("train"), plan, data.flip_labels, 3, **changes)


@pytest.mark.parametrize("workers", [0, 2])
def test_color_transform_gets_training_progress_also_in_workers(small_motion, workers):
    clips = dataset(small_motion, brighter, steps=16.0)
    batches = DistributedBatchSampler(48, 12, seed=1)
    loader = StatefulTrainLoader(clips, batches, WorkerConfig(workers))
    for epoch in range(2):
        loader.batch_sampler.set_epoch(epoch)
        levels = [int(batch.frames.min()) for batch in loader]
        assert levels == pytest.approx([100 * (4 * epoch + step) / 16 for step in range(4)], abs=1)


def test_color_transform_progress_is_0_in_endless_training(small_motion):
    assert dataset(small_motion, brighter)[SampleKey(0, 10**6, 1)].frames.max() <= 1
    assert dataset(small_motion, brighter, steps=10.0)[SampleKey(0, 99, 1)].frames.min() >= 100


def test_color_transform_keeps_frames_and_crop_and_depends_on_the_sample_key_only(small_motion):
    plain = dataset(small_motion)[SampleKey(1, 0, 5)].frames
    grey = dataset(small_motion, ColorJitter(jitter=0.0, greyscale=1.0))
    seen = grey[SampleKey(1, 0, 5)].frames
    assert np.abs(seen - plain @ np.array([[0.2989], [0.587], [0.114]])).max() <= 0.51
    np.testing.assert_array_equal(grey[SampleKey(1, 0, 5)].frames, seen)
    jitter = dataset(small_motion, ColorJitter(jitter=1.0))
    assert (jitter[SampleKey(1, 0, 5)].frames != jitter[SampleKey(2, 0, 5)].frames).any()
    np.testing.assert_array_equal(jitter[SampleKey(1, 0, 5)].frames, jitter[SampleKey(1, 9, 5)].frames)


def test_resize_reference_and_fused_show_the_same_frames_and_label(small_motion):
    fused, reference = (dataset(small_motion, resampling=way)[7] for way in (FusedResize(), ReferenceResize()))
    difference = np.abs(fused.frames.astype(int) - reference.frames)
    assert 0 < difference.mean() < 6
    assert fused.labels == reference.labels


class Trainer:
    """What the data module asks of one."""

    global_rank, world_size, accumulate_grad_batches = 0, 1, 2
    strategy = SimpleNamespace(root_device=torch.device("cpu"))

    def __init__(self, max_epochs, max_steps) -> None:
        self.max_epochs, self.max_steps = max_epochs, max_steps


@pytest.mark.parametrize(("epochs", "updates", "steps"), [(5, -1, 20), (5, 7, 14), (None, 7, 14), (-1, -1, np.inf)])
def test_training_length_is_the_earlier_of_steps_and_epochs(small_motion, epochs, updates, steps):
    """48 videos in batches of 12 are 4 batches an epoch; an update takes 2."""
    data = VideoDataModule(
        root=str(small_motion), dataset={"name": "motion"}, **CLIP, augment=RandomViewSampler,
        views=partial(MultiViewSampler), batch_size=12, num_workers=0, seed=1, resampling=ReferenceResize(),
    )  # fmt: skip
    assert data.train_dataloader().dataset.steps == np.inf
    data.trainer = Trainer(epochs, updates)
    loader = data.train_dataloader()
    assert loader.dataset.steps == steps
    assert loader.dataset.resampling == ReferenceResize()
