"""A sample is a function of (seed, epoch, index): workers, ranks and restarts change nothing."""

import numpy as np
import pytest
import torch

from vivit.data.dataset import ClipDataset, collate
from vivit.data.datasets import FlipLabelMap, Motion
from vivit.data.loader import EvalLoader, StatefulTrainLoader, WorkerConfig
from vivit.data.readers.video_error import VideoError
from vivit.data.samplers import DistributedBatchSampler, DistributedEvalBatchSampler, SampleKey
from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler
from vivit.data.views import VideoShape
from vivit.errors import ConfigError
from vivit.structures import Video

CLIP = {"frames": 4, "stride": 2, "resize": 36, "crop": (24, 32)}
PLAN = RandomViewSampler(**CLIP, scale_jitter=(0.9, 1.33), hflip_prob=0.5)


def clips(root, plan=PLAN, mirror=None, seed=3, columns=("verb",)):
    data = Motion(root=root, label_columns=columns)
    return ClipDataset(data.videos("train"), plan, mirror or data.flip_labels, seed)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))


def training_loader(root, workers=0, epoch=0):
    batches = DistributedBatchSampler(48, 10, seed=3)
    batches.set_epoch(epoch)
    return StatefulTrainLoader(clips(root), batches, WorkerConfig(workers))


def test_clip_is_a_function_of_seed_epoch_and_row(small_motion):
    dataset = clips(small_motion)
    first = dataset[SampleKey(1, 7, 5)]
    assert first.frames.shape == (1, 4, 24, 32, 3)
    assert first.video == 5
    np.testing.assert_array_equal(first.frames, dataset[SampleKey(1, 99, 5)].frames)  # the step decides nothing
    np.testing.assert_array_equal(dataset[5].frames, dataset[SampleKey(0, 0, 5)].frames)
    others = [dataset[SampleKey(2, 7, 5)], dataset[SampleKey(1, 7, 6)], clips(small_motion, seed=4)[SampleKey(1, 7, 5)]]
    assert all((other.frames != first.frames).any() for other in others)


@pytest.mark.parametrize(("frames", "expected"), [(40, range(0, 36, 4)), (9, [0]), (12, [0, 4]), (3, [0])])
def test_offsets_are_multiples_of_their_step_wherever_there_is_room(frames, expected):
    rng, shape = np.random.default_rng(0), VideoShape(frames, 36, 48)
    aligned, free = RandomViewSampler(**CLIP, offset_step=4), RandomViewSampler(**CLIP)
    assert {int(aligned(shape, rng)[0].numbers[0]) for _ in range(300)} == set(expected)
    assert {int(free(shape, rng)[0].numbers[0]) for _ in range(600)} == set(range(max(frames - 6, 1)))
    with pytest.raises(ConfigError, match="augment.offset_step"):
        RandomViewSampler(**CLIP, offset_step=0)


def test_clip_reads_its_video_record_once(small_motion):
    """What is known of a long one may be a hundred thousand timestamps."""
    asked = []

    class Asked(list):
        def __getitem__(self, row) -> Video:
            asked.append(row)
            return super().__getitem__(row)

    known = clips(small_motion)
    dataset = ClipDataset(Asked(known.videos), PLAN, known.flip_labels, 3)
    asked.clear()  # type checks have looked in
    assert dataset[5].labels == known[5].labels
    assert asked == [5]


def test_clip_is_the_same_with_workers(small_motion):
    by_none, by_two = (list(training_loader(small_motion, workers)) for workers in (0, 2))
    assert len(by_none) == 4
    assert all(same(one, other) for one, other in zip(by_none, by_two, strict=True))
    assert by_none[0].frames.dtype == torch.uint8


def test_epochs_differ_in_clips_and_order_with_persistent_workers(small_motion):
    loader = training_loader(small_motion, workers=1)
    first = next(iter(loader))
    loader.batch_sampler.set_epoch(1)
    second = list(loader)
    assert not torch.equal(first.videos, second[0].videos)
    assert all(same(a, b) for a, b in zip(second, training_loader(small_motion, epoch=1), strict=True))


def test_views_are_in_the_order_of_the_view_sampler(small_motion):
    plan = MultiViewSampler(**CLIP, temporal=4, spatial=3)
    dataset = clips(small_motion, plan)
    clip = dataset[0]
    assert clip.frames.shape == (12, 4, 24, 32, 3)
    middle = clips(small_motion, MultiViewSampler(**CLIP, temporal=4))[0]
    np.testing.assert_array_equal(clip.frames[1::3], middle.frames)
    assert collate([clip, dataset[1]]).frames.shape == (2, 12, 4, 24, 32, 3)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("videos", [1, 2, 7, 12, 48])
@pytest.mark.parametrize("batch_size", [1, 5])
def test_eval_batch_sampler_has_every_video_once_and_equally_many_batches_a_rank(videos, batch_size, ranks):
    of_ranks = [DistributedEvalBatchSampler(videos, batch_size, rank, ranks) for rank in range(ranks)]
    batches = [list(sampler) for sampler in of_ranks]
    assert sorted(t.row for mine in batches for batch in mine for t in batch) == list(range(videos))
    assert [len(mine) for mine in batches] == [len(sampler) for sampler in of_ranks]
    assert len({len(mine) for mine in batches}) == 1
    assert all(len(batch) <= batch_size for mine in batches for batch in mine)
    assert all(batches[0]), "the first rank has the most, and no batch for nothing"


def test_eval_loaders_of_three_ranks_score_every_video_once(small_motion):
    dataset = clips(small_motion, MultiViewSampler(**CLIP))
    loaders = [
        EvalLoader(dataset, DistributedEvalBatchSampler(len(dataset), 5, rank, 3), WorkerConfig(0)) for rank in range(3)
    ]
    assert sorted(video for loader in loaders for batch in loader for video in batch.videos.tolist()) == list(range(48))


@pytest.mark.parametrize("ranks", [2, 3])
def test_batch_sampler_ranks_share_each_global_batch(ranks):
    """Several ranks with small batches see, step by step, the videos of one rank with a large batch."""
    alone = list(DistributedBatchSampler(50, 4 * ranks, seed=1))
    of_ranks = [list(DistributedBatchSampler(50, 4, 1, rank, ranks)) for rank in range(ranks)]
    assert {len(mine) for mine in of_ranks} == {len(alone)}
    for full, *parts in zip(alone, *of_ranks, strict=True):
        assert [ticket for part in parts for ticket in part] == full


def test_batch_sampler_epoch_has_every_video_once_and_drops_the_last():
    batches = DistributedBatchSampler(50, 8, seed=1)
    tickets = [ticket for batch in batches for ticket in batch]
    assert len(batches) == 6
    assert len({ticket.row for ticket in tickets}) == len(tickets) == 48
    assert [ticket.step for ticket in tickets] == [step for step in range(6) for _ in range(8)]


def test_batch_sampler_epochs_differ_in_order_and_count_steps_on():
    batches = DistributedBatchSampler(50, 8, seed=1)
    first = [ticket.row for batch in batches for ticket in batch]
    batches.set_epoch(2)
    third = [ticket for batch in batches for ticket in batch]
    assert [ticket.row for ticket in third] != first
    assert {ticket.epoch for ticket in third} == {2}
    assert [third[0].step, third[-1].step] == [12, 17]
    assert [ticket.row for batch in DistributedBatchSampler(50, 8, seed=2) for ticket in batch] != first


def test_batch_sampler_with_too_few_videos_is_refused():
    with pytest.raises(ConfigError, match="7 training videos .* on each of 2 devices; set 3 or less") as error:
        DistributedBatchSampler(7, 4, seed=0, ranks=2)
    assert (error.value.key, error.value.value) == ("data.batch_size", 4)
    with pytest.raises(ConfigError, match="7 training videos do not fill one batch; set 7 or less"):
        DistributedBatchSampler(7, 8, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("taken", [0, 1, 3, 4])
def test_train_loader_resumes_in_mid_epoch(small_motion, workers, taken):
    """Counted is what was handed out, not what the workers have ready; a complete epoch counts as none."""
    full = list(training_loader(small_motion, epoch=1))
    stopped = training_loader(small_motion, workers, epoch=1)
    batches = iter(stopped)
    for _ in range(taken):
        next(batches)
    state = stopped.state_dict()
    assert state.items() >= {"epoch": 1 + taken // 4 if taken else 0, "delivered": taken % 4, "bad": []}.items()
    assert (state["clips"], state["of_epoch"][1]) == (
        taken % 4 * stopped.order.batch_size,
        4 * stopped.order.batch_size,
    )
    resumed = training_loader(small_motion, workers, epoch=1)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    rest = list(resumed)
    assert len(rest) == 4 - taken % 4
    assert all(same(a, b) for a, b in zip(rest, full[taken % 4 :], strict=True))
    assert resumed.state_dict().items() >= {"epoch": 2, "delivered": 0, "clips": 0, "bad": []}.items()
    resumed.batch_sampler.set_epoch(2)
    assert len(list(resumed)) == 4


@pytest.mark.parametrize("columns", [("verb",), ("noun", "verb")])
def test_flip_swaps_the_label_exactly_when_the_clip_is_flipped(small_motion, columns):
    plain, flipped = (
        clips(small_motion, RandomViewSampler(**CLIP, random_crop=False, hflip_prob=flip), columns=columns)
        for flip in (0.0, 1.0)
    )
    mirror = Motion(root=small_motion, label_columns=columns).flip_labels
    for index in range(16):
        as_is, swapped = plain[index], flipped[index]
        np.testing.assert_array_equal(swapped.frames, as_is.frames[..., ::-1, :])
        assert as_is.labels == plain.videos[index].labels
        assert swapped.labels == mirror(as_is.labels)
    assert any(plain[index].labels != flipped[index].labels for index in range(8))


def test_flip_of_half_of_the_clips_renames_only_these(small_motion):
    some, none = (
        clips(small_motion, RandomViewSampler(**CLIP, random_crop=False, hflip_prob=flip)) for flip in (0.5, 0.0)
    )
    flips = 0
    for index in range(24):
        clip, as_is = some[index], none[index]
        flipped = bool((clip.frames != as_is.frames).any())
        assert clip.labels == (some.flip_labels(as_is.labels) if flipped else as_is.labels)
        flips += flipped
    assert 4 < flips < 20


@pytest.mark.parametrize(("mirror", "flipped"), [(FlipLabelMap(), True), (FlipLabelMap(allowed=False), False)])
def test_flip_harmless_keeps_the_label_and_forbidden_never_happens(small_motion, mirror, flipped):
    asked, plain = (
        clips(small_motion, RandomViewSampler(**CLIP, random_crop=False, hflip_prob=flip), mirror)
        for flip in (1.0, 0.0)
    )
    for index in range(8):
        expected = plain[index].frames[..., ::-1, :] if flipped else plain[index].frames
        np.testing.assert_array_equal(asked[index].frames, expected)
        assert asked[index].labels == plain[index].labels


@pytest.mark.parametrize("workers", [0, 1])
def test_video_error_contains_the_file_also_from_a_worker(tmp_path, workers):
    dataset = ClipDataset([Video(str(tmp_path / "gone.mp4"), (0,))], MultiViewSampler(**CLIP), FlipLabelMap(), 0)
    with pytest.raises(VideoError, match=r"gone\.mp4"):
        list(EvalLoader(dataset, DistributedEvalBatchSampler(1, 1), WorkerConfig(workers)))
