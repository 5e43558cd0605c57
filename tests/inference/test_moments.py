"""When a class stands out, by hand."""

import numpy as np
import pytest
import torch

from vivit.inference.moments import class_moments, stretches
from vivit.structures import MultiLabel

SPANS = [(second / 2, second / 2 + 2) for second in range(6)]
"""Clips of two seconds, half a second apart: their middles are at 1, 1.5, ... 3.5 s."""


def test_a_class_stands_out_where_no_other_can_be_as_probable() -> None:
    probabilities = torch.tensor([[0.7, 0.2], [0.9, 0.05], [0.5, 0.4], [0.2, 0.6], [0.55, 0.4], [0.1, 0.2]])
    logits = torch.cat([probabilities, 1 - probabilities.sum(1, keepdim=True)], 1).log()
    moments = class_moments(logits, {"label": ("run", "walk", "stand")}, SPANS)
    assert [(row["class"], row["start"], row["end"], row["peak"]) for row in moments["label"]] == [
        ("run", 0.0, 1.75, 1.5),
        ("walk", 2.25, 2.75, 2.5),
        ("run", 2.75, 3.25, 3.0),
        ("stand", 3.25, 4.5, 3.5),
    ]
    assert [row["probability"] for row in moments["label"]] == pytest.approx([0.9, 0.6, 0.55, 0.7], abs=1e-6)


def test_classes_of_a_multi_label_head_stand_out_beside_one_another_from_their_thresholds_on() -> None:
    logits = torch.tensor([[0.9, 0.2], [0.9, 0.3], [0.1, 0.3]]).logit()
    tags = MultiLabel(("indoor", "music"), thresholds=(0.5, 0.25))
    moments = class_moments(logits, {"tags": tags}, SPANS[:3])
    assert [(row["class"], row["start"], row["end"]) for row in moments["tags"]] == [
        ("indoor", 0.0, 1.75), ("music", 1.25, 3.0)
    ]  # fmt: skip


def test_one_clip_speaks_for_all_of_the_video() -> None:
    (row,) = class_moments(torch.tensor([[3.0, 0.0]]), {"label": ("a", "b")}, [(0.0, 1.2)])["label"]
    assert (row["class"], row["start"], row["end"], row["peak"]) == ("a", 0.0, 1.2, 0.6)


def test_stretches() -> None:
    assert stretches(np.array([True, False, True, True])) == [(0, 1), (2, 4)]
    assert stretches(np.array([False, False])) == []
