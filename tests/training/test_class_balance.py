"""Class weights and logit adjustment equal scikit-learn, torch and the formulas of their papers."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.utils.class_weight import compute_class_weight

from vivit.errors import ConfigError
from vivit.training.losses import SoftTargetLoss

COUNTS = np.array([2, 10, 100, 1])
LABELS = torch.tensor([0, 2, 2, 3, 1, 2])


def logits() -> torch.Tensor:
    return torch.randn(len(LABELS), len(COUNTS), generator=torch.Generator().manual_seed(0))


def loss_of(loss: SoftTargetLoss, counts: dict[str, np.ndarray]) -> torch.Tensor:
    targets = loss.unmixed_labels(LABELS[:, None], [len(COUNTS)])
    return loss(logits(), targets, [len(COUNTS)], balance=loss.balance(counts))


def weights_of(counts: np.ndarray, **options: Any) -> np.ndarray:
    balance = SoftTargetLoss(**options).balance({"label": counts})
    assert balance is not None
    assert balance.weights is not None
    return balance.weights.numpy()


def test_inverse_weights_are_scikit_learn_s_balanced_ones() -> None:
    labels = np.repeat(np.arange(len(COUNTS)), COUNTS)
    expected = compute_class_weight("balanced", classes=np.arange(len(COUNTS)), y=labels)
    np.testing.assert_allclose(weights_of(COUNTS, class_weights="inverse"), expected, rtol=1e-6)


def test_effective_weights_are_the_paper_s() -> None:
    """Cui et al. 2019: the sum 1 + beta + beta^2 + ... is the effective number; weights add up to the classes."""
    effective = [sum(0.9**power for power in range(count)) for count in COUNTS]
    expected = len(COUNTS) / np.array(effective) / (1 / np.array(effective)).sum()
    actual = weights_of(COUNTS, class_weights="effective", effective_beta=0.9)
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize("scheme", ["inverse", "effective"])
def test_a_class_without_videos_has_no_weight_and_changes_no_other(scheme: str) -> None:
    without = weights_of(np.array([2, 10, 100, 1]), class_weights=scheme)
    beside = weights_of(np.array([2, 10, 0, 100, 1]), class_weights=scheme)
    assert beside[2] == 0
    np.testing.assert_array_equal(np.delete(beside, 2), without)


def test_weighted_loss_is_torch_s_with_the_mean_over_videos() -> None:
    weights = [0.5, 2.0, 1.0, 3.0]
    total = F.cross_entropy(logits(), LABELS, torch.tensor(weights), reduction="sum")
    actual = loss_of(SoftTargetLoss(class_weights=weights), {"label": COUNTS})
    torch.testing.assert_close(actual, total / len(LABELS))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_logit_adjusted_loss_is_the_paper_s(temperature: float) -> None:
    """Menon et al. 2021, equation 10: log(1 + sum over others of (share / own share)^tau exp(their logit - own))."""
    shares, scores = torch.tensor(COUNTS / COUNTS.sum()), logits().double()
    expected = []
    for score, label in zip(scores, LABELS.tolist(), strict=True):
        others = [other for other in range(len(COUNTS)) if other != label]
        margins = [(shares[i] / shares[label]) ** temperature * (score[i] - score[label]).exp() for i in others]
        expected.append(torch.log1p(torch.stack(margins).sum()))
    actual = loss_of(SoftTargetLoss(logit_adjustment=temperature), {"label": COUNTS})
    torch.testing.assert_close(actual.double(), torch.stack(expected).mean(), rtol=1e-5, atol=1e-6)


def test_every_head_has_its_own_weights() -> None:
    loss = SoftTargetLoss(class_weights={"noun": [1, 2], "verb": [3, 4, 5]})
    balance = loss.balance({"noun": np.array([1, 1]), "verb": np.array([1, 1, 1])})
    assert balance is not None
    assert balance.weights is not None
    assert balance.weights.tolist() == [1, 2, 3, 4, 5]


def test_a_balance_is_in_no_checkpoint() -> None:
    balance = SoftTargetLoss(class_weights="inverse", logit_adjustment=1.0).balance({"label": COUNTS})
    assert balance is not None
    assert len(list(balance.buffers())) == 2
    assert balance.state_dict() == {}


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"class_weights": "inversed"}, "loss.class_weights"),
        ({"class_weights": [1.0, 2.0]}, "loss.class_weights"),
        ({"class_weights": {"verb": [1.0, 2.0, 3.0, 4.0]}}, "loss.class_weights"),
        ({"class_weights": [1.0, 2.0, -3.0, 4.0]}, "loss.class_weights"),
        ({"effective_beta": 1.0}, "loss.effective_beta"),
        ({"logit_adjustment": -1.0}, "loss.logit_adjustment"),
    ],
    ids=str,
)
def test_impossible_settings_are_refused(options: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        SoftTargetLoss(**options).balance({"label": COUNTS})
    assert error.value.key == key
