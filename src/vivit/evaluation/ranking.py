"""Logits as the names of the most probable classes."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from vivit.evaluation.metrics import joint

Ranked = dict[str, list[dict[str, Any]]]
"""The classes of every head, ``{"verb": [{"class": "left", "probability": 0.9}, ...]}``, the most probable first."""


def ranked(logits: Float[Tensor, " k"], heads: Mapping[str, Sequence[str]], top: int | None = None) -> Ranked:
    """Name the ``top`` classes of every head with their probabilities; None: all of them.

    Several heads have a line of their own, ``action``, for their combinations: ``{"noun": "circle", "verb": "left",
    "probability": 0.8}``. Its probability is the product of theirs.
    """
    parts = logits.float().split([len(names) for names in heads.values()])
    found: Ranked = {}
    for (head, names), part in zip(heads.items(), parts, strict=True):
        values, places = part.softmax(0).topk(min(top or len(names), len(names)))
        found[head] = [
            {"class": names[place], "probability": value}
            for place, value in zip(places.tolist(), values.tolist(), strict=True)
        ]
    if len(heads) > 1:
        pairs = joint([part[None] for part in parts])[0].exp()
        values, places = pairs.topk(min(top or len(pairs), len(pairs)))
        found["action"] = [
            _combination(place, heads) | {"probability": value}
            for place, value in zip(places.tolist(), values.tolist(), strict=True)
        ]
    return found


def _combination(number: int, heads: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Names that a combination stands for; the last head counts fastest."""
    found = {}
    for head, names in reversed(list(heads.items())):
        number, place = divmod(number, len(names))
        found[head] = names[place]
    return dict(reversed(list(found.items())))
