"""From logits of views to scores of videos, and from those to metrics."""

from vivit.evaluation.averages import Averaging, average_named
from vivit.evaluation.metrics import Accuracies
from vivit.evaluation.ranking import Ranked, ranked
from vivit.evaluation.views import score

__all__ = ["Accuracies", "Averaging", "Ranked", "average_named", "ranked", "score"]
