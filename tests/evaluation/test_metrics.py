"""ValidationAccuracy, counted by hand and against the authors' numbers for two heads."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from vivit.evaluation.joint_classes import joint_labels, joint_log_probs
from vivit.structures import Predictions
from vivit.training.validation_accuracy import ValidationAccuracy


def names(number: int) -> tuple[str, ...]:
    return tuple(f"class {i}" for i in range(number))


def scores(logits: Tensor, labels: Tensor) -> Predictions:
    return Predictions(logits, labels, torch.arange(len(labels)))


def test_one_head_by_hand() -> None:
    """Labels 0, 0, 0, 1 with ranks 1st, 2nd, 6th and 1st: top-1 2/4, top-5 3/4, mean over classes (1/3 + 1) / 2."""
    logits = torch.tensor([[9.0, 1, 2, 3, 4, 5], [8.0, 9, 2, 3, 4, 5], [0.0, 1, 2, 3, 4, 5], [0.0, 9, 2, 3, 4, 5]])
    labels = torch.tensor([[0], [0], [0], [1]])
    accuracies = ValidationAccuracy({"label": names(6)})
    for half in (slice(0, 3), slice(3, 4)):
        accuracies.update(scores(logits[half], labels[half]))
    found = {name: float(value) for name, value in accuracies.compute().items()}
    assert found == pytest.approx({"acc_top1": 0.5, "acc_top5": 0.75, "acc_mean_class": 2 / 3})


@pytest.mark.parametrize(("classes", "has_top5"), [(5, False), (6, True)])
def test_accuracy_top_5_of_five_classes_is_left_out(classes: int, has_top5: bool) -> None:
    accuracies = ValidationAccuracy({"label": names(classes)})
    accuracies.update(scores(torch.rand(3, classes), torch.tensor([[0], [1], [2]])))
    assert ("acc_top5" in accuracies.compute()) is has_top5


def by_hand(logits: Tensor, labels: Tensor, sizes: tuple[int, int]) -> dict[str, float]:
    """Rank every pair by the product of probabilities, in NumPy and one video at a time."""
    ranks: dict[str, list[int]] = {"noun": [], "verb": [], "action": []}
    for row, (noun, verb) in zip(logits.double().numpy(), labels.tolist(), strict=True):
        nouns, verbs = (np.exp(part) / np.exp(part).sum() for part in np.split(row, [sizes[0]]))
        pairs = np.outer(nouns, verbs)
        ranks["noun"].append((nouns > nouns[noun]).sum())
        ranks["verb"].append((verbs > verbs[verb]).sum())
        ranks["action"].append((pairs > pairs[noun, verb]).sum())
    return {f"{name}_acc_top{k}": float(np.mean(np.array(rank) < k)) for name, rank in ranks.items() for k in (1, 5)}


def test_accuracy_of_noun_and_verb_by_hand() -> None:
    torch.manual_seed(0)
    logits, sizes = torch.randn(40, 15) * 2, (8, 7)
    labels = torch.stack([torch.randint(size, (40,)) for size in sizes], 1)
    labels[:20, 0] = logits[:20, :8].argmax(1)
    labels[:10, 1] = logits[:10, 8:].argmax(1)
    accuracies = ValidationAccuracy({"noun": names(8), "verb": names(7)})
    accuracies.update(scores(logits, labels))
    found = {name: float(value) for name, value in accuracies.compute().items()}
    expected = by_hand(logits, labels, sizes)
    assert found == pytest.approx(expected | {"acc_top1": expected["action_acc_top1"]})
    assert 0.25 <= expected["action_acc_top1"] < expected["noun_acc_top1"] < 1


def test_joint_labels_count_the_last_head_fastest() -> None:
    assert joint_labels(torch.tensor([[2, 3], [0, 1]]), [7, 5]).tolist() == [13, 1]
    pairs = joint_log_probs([torch.tensor([[0.0, 5.0, 0.0]]), torch.tensor([[0.0, 9.0]])])
    assert pairs.argmax(1).item() == 1 * 2 + 1
    torch.testing.assert_close(pairs.exp().sum(1), torch.ones(1))


def test_accuracy_of_actions_equals_the_reference(reference_numbers: Mapping[str, np.ndarray]) -> None:
    logits = torch.from_numpy(reference_numbers["joint/logits"])
    labels = torch.stack([torch.from_numpy(reference_numbers[f"joint/labels_{head}"]).long() for head in "ab"], 1)
    accuracies = ValidationAccuracy({"noun": names(7), "verb": names(5)})
    accuracies.update(scores(logits, labels))
    found = accuracies.compute()
    assert float(found["action_acc_top1"]) == pytest.approx(float(reference_numbers["joint/accuracy"]))
    assert float(found["action_acc_top5"]) == pytest.approx(float(reference_numbers["joint/accuracy_top5"]))
    for head in ("noun", "verb"):
        expected = reference_numbers[f"joint/{head}_correct_top1"].mean()
        assert float(found[f"{head}_acc_top1"]) == pytest.approx(expected)
    numbers = joint_labels(labels, [7, 5]).numpy()
    np.testing.assert_array_equal(numbers, reference_numbers["joint/pairwise_labels_argmax"])


def test_accuracy_reset() -> None:
    accuracies = ValidationAccuracy({"label": names(3)})
    accuracies.update(scores(torch.eye(3), torch.tensor([[1], [2], [0]])))
    accuracies.reset()
    accuracies.update(scores(torch.eye(3), torch.tensor([[0], [1], [2]])))
    assert accuracies.compute()["acc_top1"] == 1
