"""The moments of a video in which a class stands out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from vivit.evaluation.predicted_classes import head_probabilities, split_heads
from vivit.structures import MultiLabel

MAJORITY = 0.5
"""Probability from which on a class of a head of one label a video stands out: no other one can be as probable."""


def class_moments(
    logits: Float[Tensor, "clips k"], heads: Mapping[str, Sequence[str]], spans: Sequence[tuple[float, float]]
) -> dict[str, list[dict[str, Any]]]:
    """Return by head the moments of its classes, in order of time, in plain values.

    Each has the ``class``, ``start``, ``end`` and ``peak`` in seconds, and the ``probability`` at the peak. A class
    stands out where its probability is above ``MAJORITY``, in a multi-label head from its threshold on. Each clip, by
    its first and last moment in ``spans``, speaks for the time around its middle, half way to the middles of the clips
    beside it; the first and the last one also for the beginning and the end of the video.
    """
    middles = np.array([(start + end) / 2 for start, end in spans])
    edges = np.concatenate([[spans[0][0]], (middles[:-1] + middles[1:]) / 2, [spans[-1][1]]])
    moments: dict[str, list[dict[str, Any]]] = {}
    for head, of_head in split_heads(logits, heads).items():
        names, probabilities = heads[head], head_probabilities(of_head, heads[head]).numpy()
        selected = (
            probabilities >= np.array(names.thresholds) if isinstance(names, MultiLabel) else probabilities > MAJORITY
        )
        rows = [
            {
                "class": names[number],
                "start": round(float(edges[first]), 3),
                "end": round(float(edges[end]), 3),
                "peak": round(float(middles[peak := first + int(probabilities[first:end, number].argmax())]), 3),
                "probability": float(probabilities[peak, number]),
            }
            for number in range(len(names))
            for first, end in stretches(selected[:, number])
        ]
        moments[head] = sorted(rows, key=lambda row: (row["start"], row["end"]))
    return moments


def stretches(selected: Bool[np.ndarray, " n"]) -> list[tuple[int, int]]:
    """Return where each run of true values begins, and the place behind its end."""
    changes = np.flatnonzero(np.diff(np.concatenate([[0], selected.astype(np.int8), [0]])))
    return list(zip(changes[::2].tolist(), changes[1::2].tolist(), strict=True))
