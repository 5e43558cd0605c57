"""Predictions of clips along a video."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from vivit.evaluation import top_k


class SlidingPrediction(NamedTuple):
    """Logits of clips along one video."""

    spans: list[tuple[float, float]]
    """First and last moment of each clip, in seconds from the first frame."""
    logits: Float[Tensor, "clips k"]
    weights: list[int]
    """Number of time steps that each clip represents."""

    def rows(self, heads: Mapping[str, Sequence[str]], k: int | None) -> list[dict[str, Any]]:
        """Return the span, weight, ``k`` most probable classes and logits of every clip; None: all classes."""
        return [
            {"start": round(start, 3), "end": round(end, 3), "weight": weight}
            | top_k(logits, heads, k)
            | {"logits": [round(value, 5) for value in logits.tolist()]}
            for (start, end), weight, logits in zip(self.spans, self.weights, self.logits, strict=True)
        ]
