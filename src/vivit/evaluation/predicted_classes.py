"""The classes of videos: the most probable ones by name, and predicted ones by number."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from vivit.evaluation.joint_classes import joint_log_probs
from vivit.structures import Heads, MultiLabel, single_label_heads

TopK = dict[str, list[dict[str, Any]]]
"""The classes of every head, ``{"verb": [{"class": "left", "probability": 0.9}, ...]}``, the most probable first."""


def top_k(logits: Float[Tensor, " k"], heads: Heads, k: int | None = None) -> TopK:
    """Return the ``k`` most probable classes of every head with their probabilities; None: all of them.

    Several heads have an entry ``action`` for their combinations: ``{"noun": "circle", "verb": "left", "probability":
    0.8}``. Its probability is the product of theirs. A multi-label head has, whatever ``k`` is, all classes whose
    probability reaches their ``threshold``, which may be none; with None all classes.
    """
    parts = dict(zip(heads, logits.float().split([len(names) for names in heads.values()]), strict=True))
    result: TopK = {}
    for head, names in heads.items():
        probabilities = head_probabilities(parts[head][None], names)[0]
        if isinstance(names, MultiLabel):
            result[head] = [
                {"class": names[number], "probability": probability, "threshold": names.thresholds[number]}
                for number, probability in _largest(probabilities, None)
                if k is None or probability >= names.thresholds[number]
            ]
        else:
            result[head] = [
                {"class": names[number], "probability": probability}
                for number, probability in _largest(probabilities, k)
            ]
    if len(single := single_label_heads(heads)) > 1:
        pairs = joint_log_probs([parts[head][None] for head in single])[0].exp()
        result["action"] = [
            _combination(number, single) | {"probability": probability} for number, probability in _largest(pairs, k)
        ]
    return result


def answer_lines(classes: TopK) -> list[str]:
    """Return a line for every head: its most probable class with the probability, or all that reach their threshold.

    Combinations of heads are left out. Names of heads stand before their classes where there are several.
    """
    heads = {head: rows for head, rows in classes.items() if not rows or "class" in rows[0]}
    lines = {}
    for head, rows in heads.items():
        some = rows[:1] if rows and "threshold" not in rows[0] else rows
        lines[head] = ", ".join(f"{row['class']} {100 * row['probability']:.1f} %" for row in some) or "none"
    return [line if len(heads) == 1 else f"{head}: {line}" for head, line in lines.items()]


def head_probabilities(logits: Float[Tensor, "n k"], names: Sequence[str]) -> Float[Tensor, "n k"]:
    """Return the probabilities of a head's classes: by softmax, of a multi-label head by sigmoid in double precision.

    Thresholds are such probabilities, and a class whose own is chosen as threshold reaches it.
    """
    return logits.double().sigmoid() if isinstance(names, MultiLabel) else logits.softmax(1)


def _largest(probabilities: Float[Tensor, " k"], k: int | None) -> list[tuple[int, float]]:
    values, numbers = probabilities.topk(min(k or len(probabilities), len(probabilities)))
    return list(zip(numbers.tolist(), values.tolist(), strict=True))


def _combination(number: int, heads: Heads) -> dict[str, Any]:
    """Return the class names of a joint label; the last head counts fastest."""
    names_of_heads = {}
    for head, names in reversed(list(heads.items())):
        number, index = divmod(number, len(names))
        names_of_heads[head] = names[index]
    return dict(reversed(list(names_of_heads.items())))


def split_heads(scores: Float[Tensor, "b k"], heads: Heads) -> dict[str, Float[Tensor, "b _"]]:
    """Return the scores of every head."""
    return dict(zip(heads, scores.split([len(classes) for classes in heads.values()], 1), strict=True))


def predicted_classes(scores: Mapping[str, Float[Tensor, "b _"]], heads: Heads) -> Int[np.ndarray, "b c"]:
    """Return the predicted classes in the columns of labels: of each head the most probable, or all above threshold."""
    columns = [
        (head_probabilities(scores[head], names).numpy() >= np.array(names.thresholds)).astype(np.int64)
        if isinstance(names, MultiLabel)
        else scores[head].argmax(1, keepdim=True).numpy()
        for head, names in heads.items()
    ]
    return np.concatenate(columns, 1)
