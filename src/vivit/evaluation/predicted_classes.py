"""The most probable classes of a video, by name."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from vivit.evaluation.joint_classes import joint_log_probs

TopK = dict[str, list[dict[str, Any]]]
"""The classes of every head, ``{"verb": [{"class": "left", "probability": 0.9}, ...]}``, the most probable first."""


def top_k(logits: Float[Tensor, " k"], heads: Mapping[str, Sequence[str]], k: int | None = None) -> TopK:
    """Return the ``k`` most probable classes of every head with their probabilities; None: all of them.

    Several heads have an entry ``action`` for their combinations: ``{"noun": "circle", "verb": "left", "probability":
    0.8}``. Its probability is the product of theirs.
    """
    parts = logits.float().split([len(names) for names in heads.values()])
    result: TopK = {}
    for (head, names), part in zip(heads.items(), parts, strict=True):
        result[head] = [
            {"class": names[number], "probability": probability} for number, probability in _largest(part.softmax(0), k)
        ]
    if len(heads) > 1:
        pairs = joint_log_probs([part[None] for part in parts])[0].exp()
        result["action"] = [
            _combination(number, heads) | {"probability": probability} for number, probability in _largest(pairs, k)
        ]
    return result


def _largest(probabilities: Float[Tensor, " k"], k: int | None) -> list[tuple[int, float]]:
    values, numbers = probabilities.topk(min(k or len(probabilities), len(probabilities)))
    return list(zip(numbers.tolist(), values.tolist(), strict=True))


def _combination(number: int, heads: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return the class names of a joint label; the last head counts fastest."""
    names_of_heads = {}
    for head, names in reversed(list(heads.items())):
        number, index = divmod(number, len(names))
        names_of_heads[head] = names[index]
    return dict(reversed(list(names_of_heads.items())))
