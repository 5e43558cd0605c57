"""Metrics of several labels a video equal scikit-learn's, with ties and with classes that no video has."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score

from vivit.evaluation import ViewAggregator, get_aggregation, top_k
from vivit.evaluation.metrics import label_ranks, top_k_metrics
from vivit.evaluation.multi_label import best_thresholds, mean_average_precision, multi_label_scores, named_metrics
from vivit.structures import MultiLabel, Predictions, thresholds_by_head, with_thresholds
from vivit.training.validation_map import ValidationMAP

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 2, (60, 5))
LABELS[:, 3] = 0  # a class that no video has
PROBABILITIES = RNG.integers(0, 8, (60, 5)) / 8  # many ties
PROBABILITIES[:, 3] = 0.1
OCCURS = [0, 1, 2, 4]


def test_mean_average_precision_is_that_of_the_classes_that_occur() -> None:
    expected = average_precision_score(LABELS[:, OCCURS], PROBABILITIES[:, OCCURS])
    assert mean_average_precision(LABELS, PROBABILITIES) == pytest.approx(expected, abs=1e-12)
    assert mean_average_precision(np.zeros((3, 2), int), np.zeros((3, 2))) == 0


def test_a_tie_is_no_order() -> None:
    """Equal scores: the precision at the one threshold, whatever order the videos have."""
    labels = np.array([[1], [0], [0], [1]])
    for order in (slice(None), slice(None, None, -1)):
        assert mean_average_precision(labels[order], np.full((4, 1), 0.3)) == 0.5


def test_scores_at_thresholds_are_scikit_learn_s() -> None:
    thresholds = np.array([0.5, 0.25, 0.9, 0.5, 0.1])
    predicted = (thresholds <= PROBABILITIES).astype(np.int64)
    scores = multi_label_scores(LABELS, PROBABILITIES, predicted)
    each = f1_score(LABELS, predicted, average=None, zero_division=np.nan)
    np.testing.assert_array_equal(scores.f1, each)
    assert np.isnan(each[3]), "neither there nor predicted"
    macro = f1_score(LABELS, predicted, average="macro", zero_division=np.nan)
    assert scores.metrics["f1_macro"] == pytest.approx(macro, abs=1e-12)
    assert scores.videos.tolist() == LABELS.sum(0).tolist()


def test_a_class_that_is_predicted_and_never_there_has_an_f1_of_0() -> None:
    predicted = np.ones_like(LABELS)
    scores = multi_label_scores(LABELS, PROBABILITIES, predicted)
    assert scores.f1[3] == 0
    expected = f1_score(LABELS, predicted, average="macro", zero_division=np.nan)
    assert scores.metrics["f1_macro"] == pytest.approx(expected, abs=1e-12)


def test_a_head_of_one_class_has_its_scores() -> None:
    predicted = (PROBABILITIES[:, :1] >= 0.5).astype(np.int64)
    scores = multi_label_scores(LABELS[:, :1], PROBABILITIES[:, :1], predicted)
    assert scores.metrics["f1_macro"] == pytest.approx(f1_score(LABELS[:, 0], predicted[:, 0]), abs=1e-12)


def test_thresholds_have_the_largest_f1_of_all_that_there_could_be() -> None:
    thresholds = best_thresholds(LABELS, PROBABILITIES)
    assert thresholds[3] == 0.5
    for number in OCCURS:
        truth, scores = LABELS[:, number], PROBABILITIES[:, number]
        best = max(f1_score(truth, scores >= each, zero_division=0.0) for each in np.linspace(0, 1, 41))
        assert f1_score(truth, scores >= thresholds[number]) == pytest.approx(best)


def test_validation_adds_up_batches_and_gathers_heads() -> None:
    heads = {"kind": ("a", "b"), "tags": MultiLabel("vwxyz")}
    logits = torch.logit(torch.from_numpy(PROBABILITIES).clamp(0.01, 0.99)).float()
    metric = ValidationMAP(heads)
    kinds = torch.zeros(60, 1, dtype=torch.long)
    labels = torch.cat([kinds, torch.from_numpy(LABELS)], 1)
    for part in (slice(0, 7), slice(7, 7), slice(7, 60)):
        scores = torch.cat([torch.randn(60, 2), logits], 1)[part]
        metric.update(Predictions(scores, labels[part], torch.arange(60)[part]))
    values = metric.compute()
    expected = average_precision_score(LABELS[:, OCCURS], PROBABILITIES[:, OCCURS])
    assert list(values) == metric.names == ["tags_map", "map"]
    assert [float(value) for value in values.values()] == pytest.approx([expected, expected], abs=1e-6)
    assert len(metric.thresholds["tags"]) == 5


def test_accuracies_are_those_of_the_other_heads() -> None:
    heads = {"tags": MultiLabel("xyz"), "kind": tuple("abcdefg")}
    assert top_k_metrics(heads) == {
        "kind_acc_top1": ("kind", 1), "kind_acc_top5": ("kind", 5), "acc_top1": ("kind", 1)
    }  # fmt: skip
    scores = torch.tensor([[9.0, 9, 9, 0, 3, 2, 1, 0, 0, 0]])
    assert {head: int(rank) for head, rank in label_ranks(scores, torch.tensor([[1, 0, 1, 2]]), heads).items()} == {
        "kind": 1
    }
    assert top_k_metrics({"tags": MultiLabel("xyz")}) == {}


def test_the_mean_of_probabilities_is_one_of_sigmoids() -> None:
    views = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0)).double()
    weights = torch.tensor([1.0, 2.0, 1.0]).double()
    aggregate = ViewAggregator(get_aggregation("probabilities"), [2, 3], multi_label=[1])
    for each in (None, weights):
        logits = aggregate(views, each)
        shares = torch.ones(3).double() / 3 if each is None else each / each.sum()
        expected = torch.einsum("bvk,v->bk", views[:, :, 2:].sigmoid(), shares)
        torch.testing.assert_close(logits[:, 2:].sigmoid(), expected)
        softmax = torch.einsum("bvk,v->bk", views[:, :, :2].softmax(-1), shares)
        torch.testing.assert_close(logits[:, :2].softmax(-1), softmax)


def test_classes_of_a_video_are_those_that_reach_their_threshold() -> None:
    heads = {"kind": ("a", "b"), "tags": MultiLabel("xyz", [0.5, 0.9, 0.2])}
    logits = torch.tensor([2.0, 0.0, 0.0, 2.0, -1.0])
    tags = top_k(logits, heads, 1)["tags"]
    assert [(row["class"], row["threshold"]) for row in tags] == [("x", 0.5), ("z", 0.2)]
    assert [row["probability"] for row in tags] == pytest.approx([0.5, 0.26894], abs=1e-5)
    assert [row["class"] for row in top_k(logits, heads)["tags"]] == ["y", "x", "z"]
    assert list(top_k(logits, heads)) == ["kind", "tags"], "no combination with a multi-label head"
    assert top_k(-20 * torch.ones(5), heads, 1)["tags"] == []


def test_heads_are_written_in_plain_values_and_read_again() -> None:
    heads = {"kind": ("a", "b"), "tags": MultiLabel("xyz", [0.5, 0.9, 0.2])}
    plain = {head: list(names) for head, names in heads.items()}
    read = with_thresholds(plain, thresholds_by_head(heads))
    assert isinstance(read["tags"], MultiLabel)
    assert not isinstance(read["kind"], MultiLabel)
    assert read["tags"].thresholds == (0.5, 0.9, 0.2)


def test_several_multi_label_heads_have_a_mean() -> None:
    metrics = named_metrics({"tags": {"map": 0.2}, "moods": {"map": 0.6}}, several=True)
    assert metrics == {"tags_map": 0.2, "moods_map": 0.6, "map": pytest.approx(0.4)}
