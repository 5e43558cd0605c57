"""All metrics of the validation split: loss, accuracies, and mean average precision."""

import math

from jaxtyping import Float
from torch import Tensor, nn
from torchmetrics import MeanMetric

from vivit.structures import Heads, Predictions, multi_label_heads
from vivit.training.validation_accuracy import ValidationAccuracy
from vivit.training.validation_map import ValidationMAP


class ValidationMetrics(nn.Module):
    """Metrics accumulated batch by batch over all ranks, by the names under which they are logged."""

    def __init__(self, heads: Heads) -> None:
        super().__init__()
        self.loss = MeanMetric(nan_strategy=math.nan)  # else a loss that is not a number would be left out
        self.accuracy = ValidationAccuracy(heads)
        self.map = ValidationMAP(heads) if multi_label_heads(heads) else None

    @property
    def names(self) -> list[str]:
        """Names of the metrics."""
        names = self.accuracy.names + ([] if self.map is None else self.map.names)
        return ["val/loss", *(f"val/{name}" for name in sorted(names))]

    def gather(self, predictions: Predictions) -> None:
        """Add a batch, which may have no videos, to what is put together from all ranks."""
        if self.map is not None:
            self.map.update(predictions)

    def update(self, predictions: Predictions, loss: Float[Tensor, ""]) -> None:
        """Add a batch of videos to what every rank sums up by itself."""
        self.accuracy.update(predictions)
        self.loss.update(loss, len(predictions.videos))

    def compute(self) -> dict[str, Tensor]:
        """Return all metrics of the split, the same on every rank, and begin anew."""
        metrics = {"loss": self.loss.compute()} | self.accuracy.compute()
        metrics |= {} if self.map is None else self.map.compute()
        for metric in (self.loss, self.accuracy, self.map):
            if metric is not None:
                metric.reset()
        return {f"val/{name}": value for name, value in metrics.items()}

    @property
    def thresholds(self) -> dict[str, list[float]]:
        """The thresholds of multi-label heads that the last split chose."""
        return {} if self.map is None else dict(self.map.thresholds)
