"""Balanced sampling: the shares of classes by hand, and samples that depend on seed, epoch and index alone."""

from collections import Counter

import numpy as np
import pytest

from vivit.data.dataset import ClipDataset
from vivit.data.datasets import Motion
from vivit.data.samplers import BalancedOrder, DistributedBatchSampler, SampleKey
from vivit.data.view_samplers import RandomViewSampler
from vivit.errors import ConfigError

COUNTS = (160, 30, 10)
CLASSES = np.random.default_rng(0).permutation(np.repeat([4, 0, 7], COUNTS))


def sampler(balance: float, rank: int = 0, ranks: int = 1, batch: int = 20) -> DistributedBatchSampler:
    order = BalancedOrder(CLASSES, balance)
    return DistributedBatchSampler(len(CLASSES), batch, 3, rank, ranks, balanced=order)


def keys(batches: DistributedBatchSampler, epoch: int) -> list[SampleKey]:
    batches.set_epoch(epoch)
    return [key for batch in batches for key in batch]


@pytest.mark.parametrize(
    ("balance", "shares"),
    [
        (0.0, [0.8, 0.15, 0.05]),
        (0.5, [0.5879, 0.2546, 0.1470]),  # 12.649, 5.477, 3.162 of 21.289
        (1.0, [1 / 3, 1 / 3, 1 / 3]),
    ],
)
def test_classes_are_drawn_by_a_power_of_their_number(balance: float, shares: list[float]) -> None:
    epochs = 200
    drawn = Counter(int(CLASSES[key.row]) for epoch in range(epochs) for key in keys(sampler(balance), epoch))
    total = epochs * len(CLASSES)
    for number, share in zip((4, 0, 7), shares, strict=True):
        assert abs(drawn[number] / total - share) < 4 * np.sqrt(share * (1 - share) / total) + 5e-4


def test_all_videos_of_a_class_come_before_one_comes_again_and_repeats_are_numbered() -> None:
    drawn = keys(sampler(1.0), 0)
    times: Counter[int] = Counter()
    for key in drawn:
        assert key.repeat == times[key.row]
        times[key.row] += 1
    for number in (4, 0, 7):
        of_class = [times[row] for row in np.flatnonzero(number == CLASSES)]
        assert max(of_class) - min(of_class) <= 1
    assert max(times.values()) >= 6, "ten videos make a third of two hundred samples"


def test_two_ranks_see_what_one_does_in_every_epoch_anew() -> None:
    alone = [keys(sampler(0.7), epoch) for epoch in range(2)]
    both = [list(zip(*(sampler(0.7, rank, 2, 10) for rank in range(2)), strict=True))]
    assert alone[0] == [key for step in both[0] for batch in step for key in batch]
    assert [key.row for key in alone[0]] != [key.row for key in alone[1]]
    assert alone[0] == keys(sampler(0.7), 0)


def test_a_video_that_is_drawn_again_is_cut_anew(small_motion) -> None:
    data = Motion(root=small_motion)
    view = RandomViewSampler(frames=4, stride=2, resize=36, crop=(24, 32), scale_jitter=(0.9, 1.33), hflip_prob=0.5)
    clips = ClipDataset(data.videos("train"), view, data.flip_labels, 3)
    first, again, same = (clips[SampleKey(1, 0, 5, repeat)].frames for repeat in (0, 1, 1))
    assert (first != again).any()
    np.testing.assert_array_equal(again, same)


@pytest.mark.parametrize("balance", [-0.1, 1.5])
def test_a_power_outside_of_0_to_1_is_refused(balance, composed, small_motion) -> None:
    from vivit.tasks.build import build_data

    with pytest.raises(Exception, match="data.balance") as error:
        build_data(composed(f"data.root={small_motion}", f"data.balance={balance}"))
    assert isinstance(error.value.__cause__ or error.value, ConfigError)
