"""A trained network that answers about files."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from tqdm import tqdm

from vivit.data.loader import EvalLoader
from vivit.data.sliding_window import sliding_windows
from vivit.evaluation import TopK, ViewAggregator, get_aggregation, score, top_k
from vivit.launch import Job
from vivit.structures import Predictions, Video
from vivit.tasks.checkpoint import read_network
from vivit.tasks.clips import Cutting, check_reading, views_of


class NotNumbersError(ValueError):
    """A network answered with what is no number, so that no class can be named."""


class Timeline(NamedTuple):
    """What is said of every clip along one video."""

    spans: list[tuple[float, float]]
    """Its first and last moment, in seconds from the first frame."""
    logits: Float[Tensor, "clips k"]
    weights: list[int]
    """For how many moments, as far apart as clips are asked to be, each stands."""


@dataclass(frozen=True)
class Classifier:
    """A network, ready on its device, with what its checkpoint tells."""

    network: nn.Module
    heads: Mapping[str, Sequence[str]]
    cutting: Cutting
    batch_size: int
    """Clips through the network at a time."""
    device: torch.device

    @classmethod
    def of(cls, cfg: DictConfig, job: Job) -> "Classifier":
        """Read the checkpoint that a configuration names; its clips are cut as it tells, but for what was typed."""
        check_reading(cfg)
        network, record = read_network(Path(cfg.ckpt_path))
        views = views_of(OmegaConf.create(record["data"]).get("views"), cfg, job)
        cutting = Cutting.of_record(record, views=views, resampling=cfg.get("resampling"), workers=cfg.workers)
        if cfg.get("every") is not None:
            cutting = cutting.sliding(chosen=bool(cfg.get("views")))
        device = device_called(cfg.device)
        return cls(network.to(device).eval(), record["heads"], cutting, cfg.batch_size, device)

    def whole(self, files: Sequence[str], left_out: dict[int, str] | None = None) -> Iterator[tuple[str, Tensor]]:
        """Give every file's logits, averaged over its views. Raises ``VideoError``, unless ``left_out`` is there."""
        views = self.cutting.views
        at_once = max(1, self.batch_size // (views.temporal * views.spatial))
        videos = [Video(file, ()) for file in files]
        for scores in self._scores(self.cutting.read(videos, views, at_once, left_out)):
            for row, logits in zip(scores.videos.tolist(), scores.logits, strict=True):
                yield files[row], finite(logits, files[row])

    def along(self, file: str, every: float) -> Timeline:
        """Give the logits of a clip every so many seconds. What is held at a time does not grow with the video."""
        stretches = sliding_windows(file, self.cutting.views, every, self.batch_size)
        loader = self.cutting.read_stretches(stretches)
        logits = [finite(scores.logits, file) for scores in self._scores(loader, stretches.view_samplers[0].spatial)]
        return Timeline(stretches.spans, torch.cat(logits), stretches.weights)

    def overall(self, timeline: Timeline) -> Float[Tensor, " k"]:
        """Average the clips along a video as its views are, each as often as it stands for a moment."""
        alike = len(set(timeline.weights)) == 1
        weights = None if alike else torch.tensor(timeline.weights, dtype=timeline.logits.dtype)
        return self.averaging(timeline.logits[None], weights)[0]

    def _scores(self, loader: EvalLoader, crops: int | None = None) -> Iterator[Predictions]:
        """Score batches; with ``crops``, each holds one video, and every so many views are a result of their own."""
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
                found = score(
                    self.network,
                    batch._replace(frames=frames),
                    clips_at_once=self.batch_size,
                    aggregator=self.averaging,
                )
            yield found._replace(logits=found.logits.cpu())

    @property
    def averaging(self) -> ViewAggregator:
        """How views become one score, as the checkpoint or a configuration says."""
        return ViewAggregator(
            get_aggregation(self.cutting.views.average), [len(names) for names in self.heads.values()]
        )

    def said(self, logits: Float[Tensor, " k"], top: int | None) -> TopK:
        """Name the classes."""
        return top_k(logits, self.heads, top)


def finite(logits: Tensor, file: str) -> Tensor:
    """Return logits of a video as they are. Raises ``NotNumbersError``, naming it, where any is NaN or infinite."""
    if not bool(logits.isfinite().all()):
        raise NotNumbersError(
            f"{file}: the network's logits are not numbers, so it names no class; the weights of the checkpoint are "
            "damaged, or they overflow on this video"
        )
    return logits


def device_called(name: str | None) -> torch.device:
    """Find a device; None: the accelerator of this machine, if it has one. Raises ``ValueError``."""
    if name is None:
        found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return found or torch.device("cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device={name} cannot be used here: {str(error).splitlines()[0]}") from None


def timeline_rows(timeline: Timeline, classifier: Classifier, top: int | None) -> list[dict[str, Any]]:
    """Say of every clip when it is, and its classes."""
    return [
        {"start": round(start, 3), "end": round(end, 3), "weight": weight, **classifier.said(logits, top)}
        for (start, end), weight, logits in zip(timeline.spans, timeline.weights, timeline.logits, strict=True)
    ]
