"""Predictions of video files by a trained network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm import tqdm

from vivit.data.loader import EvalLoader
from vivit.data.sliding_window import sliding_windows
from vivit.errors import ConfigError, DataError
from vivit.evaluation import TopK, ViewAggregator, get_aggregation, score, top_k
from vivit.inference.preprocessing import Preprocessing
from vivit.inference.sliding_prediction import SlidingPrediction
from vivit.structures import Predictions, Video


class NonFiniteLogitsError(DataError):
    """The logits of a video are NaN or infinite, so that it has no class."""


@dataclass(frozen=True)
class Predictor:
    """A network in evaluation mode on its device, with its classes and preprocessing."""

    network: nn.Module
    heads: Mapping[str, Sequence[str]]
    preprocessing: Preprocessing
    batch_size: int
    """Clips through the network at a time."""
    device: torch.device

    def predict(self, files: Sequence[str], skipped: dict[int, str] | None = None) -> Iterator[tuple[str, Tensor]]:
        """Yield every file and its logits, averaged over its views.

        Raises ``VideoError``, unless ``skipped`` takes the reason by the file's row, and ``NonFiniteLogitsError``.
        """
        views = self.preprocessing.views
        videos_at_once = max(1, self.batch_size // (views.temporal * views.spatial))
        videos = [Video(file, ()) for file in files]
        for predictions in self._score(self.preprocessing.load_views(videos, views, videos_at_once, skipped)):
            for row, logits in zip(predictions.videos.tolist(), predictions.logits, strict=True):
                yield files[row], check_finite_logits(logits, files[row])

    def predict_sliding(self, file: str, every: float) -> SlidingPrediction:
        """Return the logits of a clip every so many seconds. Memory does not grow with the length of the video."""
        segments = sliding_windows(file, self.preprocessing.views, every, self.batch_size)
        crops = segments.view_samplers[0].spatial
        scored = self._score(self.preprocessing.load_segments(segments), crops)
        logits = [check_finite_logits(predictions.logits, file) for predictions in scored]
        return SlidingPrediction(segments.spans, torch.cat(logits), segments.weights)

    def aggregate(self, sliding: SlidingPrediction) -> Float[Tensor, " k"]:
        """Return the logits of a video: its clips averaged as views are, each weighted by its time steps."""
        equal = len(set(sliding.weights)) == 1
        weights = None if equal else torch.tensor(sliding.weights, dtype=sliding.logits.dtype)
        return self.aggregator(sliding.logits[None], weights)[0]

    def top_k(self, logits: Float[Tensor, " k"], k: int | None) -> TopK:
        """Return the ``k`` most probable classes of every head; None: all."""
        return top_k(logits, self.heads, k)

    @property
    def aggregator(self) -> ViewAggregator:
        """How the logits of views become those of a video."""
        sizes = [len(names) for names in self.heads.values()]
        return ViewAggregator(get_aggregation(self.preprocessing.views.average), sizes)

    def _score(self, loader: EvalLoader, crops: int | None = None) -> Iterator[Predictions]:
        """Yield predictions of batches; with ``crops``, a batch is one video, and each group of crops one result."""
        for batch in tqdm(loader, unit="batch", disable=None if len(loader) > 1 else True, leave=False):
            if not len(batch.videos):
                continue  # nothing but videos that were left out
            frames = batch.frames.to(self.device)
            if crops:
                frames = frames.unflatten(1, (-1, crops))[0]
                batch = batch._replace(
                    labels=batch.labels.expand(len(frames), -1), videos=batch.videos.expand(len(frames))
                )
            with torch.inference_mode():
                predictions = score(
                    self.network,
                    batch._replace(frames=frames),
                    clips_at_once=self.batch_size,
                    aggregator=self.aggregator,
                )
            yield predictions._replace(logits=predictions.logits.cpu())


def check_finite_logits(logits: Tensor, file: str) -> Tensor:
    """Return logits of a video as they are. Raises ``NonFiniteLogitsError`` where any is NaN or infinite."""
    if not bool(logits.isfinite().all()):
        raise NonFiniteLogitsError(
            file,
            "the network's logits are NaN or infinite",
            "use another checkpoint: its weights are damaged, or overflow on this video",
        )
    return logits


def resolve_device(name: str | None) -> torch.device:
    """Return a device; for None the accelerator of this machine, or the CPU. Raises ConfigError about ``device``."""
    if name is None:
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return accelerator or torch.device("cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            "device", name, f"cannot be used here ({str(error).splitlines()[0]})", "set cpu, cuda or mps"
        ) from None
