"""Mixup, label smoothing and the loss, by hand and against the authors' numbers."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from vivit.errors import ConfigError
from vivit.training.losses import SoftTargetLoss, cross_entropy
from vivit.training.mixup import one_hot, smooth_labels

Numbers = Mapping[str, np.ndarray]


class Fixed(np.random.Generator):
    """A generator that draws one weight, whatever is asked."""

    def __init__(self, weight: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.weight = weight

    def beta(self, *args: float, **kwargs: float) -> float:
        return self.weight


def tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(array))


def test_one_hot_puts_heads_behind_one_another() -> None:
    labels = torch.tensor([[1, 0], [2, 1]])
    assert one_hot(labels, [3, 2]).tolist() == [[0, 1, 0, 1, 0], [0, 0, 1, 0, 1]]


def test_smoothing_uses_each_head_s_own_number_of_classes() -> None:
    _, targets = SoftTargetLoss(label_smoothing=0.3).soft_labels(
        torch.zeros(1, 3, 2, 4, 5), torch.tensor([[1, 0]]), [3, 2], np.random.default_rng(0)
    )
    torch.testing.assert_close(targets, torch.tensor([[0.1, 0.8, 0.1, 0.85, 0.15]]))


def test_mixup_blends_with_the_reversed_batch_and_smooths_after() -> None:
    clips = torch.arange(3.0)[:, None, None, None, None].expand(3, 3, 2, 4, 5)
    mixed, targets = SoftTargetLoss(mixup=0.3, label_smoothing=0.4).soft_labels(
        clips, torch.tensor([[0], [1], [3]]), [4], Fixed(0.75)
    )
    torch.testing.assert_close(mixed[:, 0, 0, 0, 0], torch.tensor([0.5, 1.0, 1.5]))
    expected = torch.tensor([[0.75, 0, 0, 0.25], [0, 1, 0, 0], [0.25, 0, 0, 0.75]]) * 0.6 + 0.1
    torch.testing.assert_close(targets, expected)


def test_no_mixup_and_no_smoothing_leave_clips_and_hard_labels() -> None:
    clips = torch.rand(2, 3, 2, 4, 5)
    same, targets = SoftTargetLoss().soft_labels(clips, torch.tensor([[2], [0]]), [3], Fixed(0.5))
    assert same is clips
    assert targets.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_mixup_weight_follows_the_beta_distribution() -> None:
    rng = np.random.default_rng(0)
    clips = torch.tensor([1.0, 0.0])[:, None, None, None, None].expand(2, 3, 1, 1, 1)
    labels = torch.tensor([[0], [1]])
    weights = [float(SoftTargetLoss(mixup=0.3).soft_labels(clips, labels, [2], rng)[1][0, 0]) for _ in range(2000)]
    assert np.mean(weights) == pytest.approx(0.5, abs=0.03)
    assert np.var(weights) == pytest.approx(1 / (4 * (2 * 0.3 + 1)), rel=0.05)


def test_loss_is_the_mean_over_heads_of_each_head_s_mean() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, 1.0, -1.0], [1.0, 0.0, 0.0, 0.0, 3.0]])
    targets = torch.tensor([[0.5, 0.5, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0, 1.0]])
    noun = -(targets[:, :3] * (logits[:, :3] - logits[:, :3].exp().sum(1, keepdim=True).log())).sum(1)
    verb = -(targets[:, 3:] * (logits[:, 3:] - logits[:, 3:].exp().sum(1, keepdim=True).log())).sum(1)
    torch.testing.assert_close(cross_entropy(logits, targets, [3, 2]), (noun.mean() + verb.mean()) / 2)


@pytest.mark.parametrize("strength", [{"mixup": -0.1}, {"label_smoothing": 1.0}, {"label_smoothing": -0.5}], ids=str)
def test_loss_refuses_impossible_strengths(strength: dict[str, float]) -> None:
    with pytest.raises(ConfigError) as error:
        SoftTargetLoss(**strength)
    ((name, value),) = strength.items()
    assert (error.value.key, error.value.value) == (f"loss.{name}", value)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("kind", ["onehot", "soft_targets"])
def test_loss_and_gradient_equal_the_reference(kind: str, smoothing: float, reference_numbers: Numbers) -> None:
    """Of hard labels and of mixed ones. The reference masks examples out; ours are not there in the first place."""
    logits = tensor(reference_numbers["ce/logits"]).requires_grad_()
    plain, classes = tensor(reference_numbers[f"ce/{kind}"]), [logits.shape[1]]
    where = f"ce/{kind}/ls_{smoothing}"
    targets = smooth_labels(plain, smoothing, classes)
    loss = cross_entropy(logits, targets, classes)
    loss.backward()
    np.testing.assert_allclose(loss.detach(), reference_numbers[f"{where}/mean_loss"], rtol=1e-6)
    np.testing.assert_allclose(logits.grad, reference_numbers[f"{where}/dloss_dlogits"], atol=1e-7)
    each = [cross_entropy(logits[i : i + 1], targets[i : i + 1], classes).detach() for i in range(len(logits))]
    np.testing.assert_allclose(each, reference_numbers[f"{where}/per_example"], rtol=1e-6)
    there = tensor(reference_numbers["ce/batch_mask"]) > 0
    assert 0 < there.sum() < len(there)
    masked = cross_entropy(logits[there], targets[there], classes).detach()
    np.testing.assert_allclose(masked, reference_numbers[f"{where}/masked_mean_loss"], rtol=1e-6)
    if smoothing:
        np.testing.assert_allclose(targets, reference_numbers[f"{where}/smoothed_targets"], atol=1e-7)


def test_one_hot_equals_the_reference(reference_numbers: Numbers) -> None:
    labels = tensor(reference_numbers["ce/labels"]).long()[:, None]
    np.testing.assert_array_equal(one_hot(labels, [11]), reference_numbers["ce/onehot"])
    pairs = torch.stack([tensor(reference_numbers[f"joint/labels_{head}"]).long() for head in "ab"], 1)
    np.testing.assert_array_equal(one_hot(pairs, [7, 5]), reference_numbers["joint/onehot"])


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_of_two_heads_equals_the_reference(smoothing: float, reference_numbers: Numbers) -> None:
    logits = tensor(reference_numbers["joint/logits"]).requires_grad_()
    labels = torch.stack([tensor(reference_numbers[f"joint/labels_{head}"]).long() for head in "ab"], 1)
    _, targets = SoftTargetLoss(label_smoothing=smoothing).soft_labels(
        torch.zeros(len(labels), 3, 1, 2, 2), labels, [7, 5], Fixed(1.0)
    )
    loss = cross_entropy(logits, targets, [7, 5])
    loss.backward()
    where = f"multihead_loss/ls_{smoothing}"
    np.testing.assert_allclose(loss.detach(), reference_numbers[f"{where}/mean_loss"], rtol=1e-6)
    np.testing.assert_allclose(logits.grad, reference_numbers[f"{where}/dloss_dlogits"], atol=1e-7)
    there = tensor(reference_numbers["joint/batch_mask"]) > 0
    masked = cross_entropy(logits[there], targets[there], [7, 5]).detach()
    np.testing.assert_allclose(masked, reference_numbers[f"{where}/masked_mean_loss"], rtol=1e-6)


@pytest.mark.parametrize("source", ["numpy", "jax"])
def test_mixup_equals_the_reference(source: str, reference_numbers: Numbers) -> None:
    clips = tensor(reference_numbers["mixup/videos"]).movedim(-1, 1)
    labels = tensor(reference_numbers["mixup/labels"]).argmax(1, keepdim=True)
    weight = float(reference_numbers[f"mixup/{source}/lambda"])
    mixed, targets = SoftTargetLoss(mixup=0.3).soft_labels(clips, labels, [7], Fixed(weight))
    np.testing.assert_allclose(mixed.movedim(1, -1), reference_numbers[f"mixup/{source}/out_videos"], atol=1e-6)
    np.testing.assert_allclose(targets, reference_numbers[f"mixup/{source}/out_labels"], atol=1e-6)
