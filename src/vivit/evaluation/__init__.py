"""Evaluation: from logits of views to predictions of videos, and from those to metrics."""

from vivit.evaluation.multi_view import ViewAggregator, get_aggregation, score
from vivit.evaluation.predicted_classes import TopK, top_k

__all__ = ["TopK", "ViewAggregator", "get_aggregation", "score", "top_k"]
