"""Predictions of video files by a trained network."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vivit.data.frame_rates import RepeatWarning, check_frames_fps
from vivit.data.loader import EvalLoader
from vivit.data.readers.frame_array import FrameArrayReader
from vivit.data.sliding_window import SlidingVideo
from vivit.data.view_samplers import sample_views
from vivit.errors import ConfigError, DataError
from vivit.evaluation import TopK, ViewAggregator, get_aggregation, score, top_k
from vivit.inference.load import preprocessing_of, read_model
from vivit.inference.preprocessing import Preprocessing
from vivit.inference.sliding_prediction import SlidingPrediction
from vivit.inference.streaming import (
    SharedIndices,
    Streaming,
    StreamingClassifier,
    classify_shared,
    share_indices,
    streaming_problem,
)
from vivit.models import ViViT
from vivit.progress_bars import ProgressBar
from vivit.structures import Batch, Predictions, Video, multi_label_positions

log = logging.getLogger(__name__)


class NonFiniteLogitsError(DataError):
    """The logits of a video are NaN or infinite, so that it has no class."""


class Predictor:
    """A trained network that names what happens in videos.

    ``model`` is a file of any format, see ``load``, whose ``options`` follow; or a network, together with its
    ``classes``, names by head, and its ``preprocessing``. ``views`` such as "4x3" are temporal x spatial views of each
    video, by default those of the checkpoint. ``batch_size`` is the number of clips that go through the network at a
    time. ``device`` is "cpu", "cuda" or "mps"; None: the accelerator, if there is one. ``num_workers`` processes decode
    files; 0: this one, None: one for each core. ``frames_fps`` is the rate at which folders of pictures, and arrays,
    were written, for networks whose clips are cut by seconds.

        predictor = vivit.Predictor("best.ckpt")
        predictor("clip.mp4", top_k=5)["label"][0]   # {"class": "archery", "probability": 0.93}

    Raises CheckpointError and ConfigError as ``load`` does.
    """

    def __init__(
        self,
        model: str | Path | ViViT,
        *,
        classes: Mapping[str, Sequence[str]] | None = None,
        preprocessing: Preprocessing | None = None,
        views: str | None = None,
        batch_size: int = 8,
        num_workers: int | None = 0,
        device: str | torch.device | None = None,
        frames_fps: int | float | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(model, ViViT):
            loaded = read_model(model, **options)
            network, stored = loaded.net, preprocessing_of(loaded, model)
            classes = classes or loaded.classes
        elif preprocessing is None:
            raise ConfigError("preprocessing", problem="is missing beside a network", remedy="pass what load returns")
        elif options:
            key = sorted(options)[0]
            raise ConfigError(key, options[key], "is for files, and has no effect beside a network", "leave it out")
        else:
            network, stored = model, preprocessing
        outputs = network.head.projection.out_features
        self.classes: Mapping[str, Sequence[str]] = classes or {"label": [str(i) for i in range(outputs)]}
        if not isinstance(self.classes, Mapping):
            raise ConfigError("classes", problem="are not names by head", remedy='pass {"label": [...]}')
        if (count := sum(map(len, self.classes.values()))) != outputs:
            raise ConfigError("classes", count, f"the network has {outputs} outputs", "pass a name for each")
        self.preprocessing = replace(preprocessing or stored, workers=num_workers)
        if views is not None:
            self.preprocessing = self.preprocessing.with_views(views)
        check_frames_fps(frames_fps, "frames_fps")
        self.batch_size, self.frames_fps = batch_size, frames_fps
        self.device = resolve_device(device)
        self.network = network.to(self.device).eval()

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a text is a sequence of texts, too
        self, videos: str | Path | np.ndarray | Tensor, *, top_k: int | None = ...
    ) -> TopK: ...
    @overload
    def __call__(
        self, videos: Sequence[str | Path | np.ndarray | Tensor], *, top_k: int | None = ...
    ) -> list[TopK]: ...
    def __call__(
        self,
        videos: str | Path | np.ndarray | Tensor | Sequence[str | Path | np.ndarray | Tensor],
        *,
        top_k: int | None = 5,
    ) -> TopK | list[TopK]:
        """Return the ``top_k`` most probable classes of a video, by head; of several videos, a list of those.

        A video is a file, a folder of numbered pictures, or an array or tensor of its frames, uint8 [f, h, w, 3] in
        RGB. None returns all classes. Of a multi-label head, those whose probability reaches their threshold are
        returned, however many they are. Raises VideoError for a file that cannot be read.
        """
        if isinstance(videos, str | Path | np.ndarray | Tensor):
            return self([videos], top_k=top_k)[0]
        return [self.top_k(logits, top_k) for logits in self.logits(videos)]

    def logits(self, videos: Sequence[str | Path | np.ndarray | Tensor]) -> Float[Tensor, "n k"]:
        """Return the logits of videos, averaged over the views of each, on the CPU."""
        videos = [video.cpu().numpy() if isinstance(video, Tensor) else video for video in videos]
        if not videos:
            return torch.empty(0, self.network.head.projection.out_features)
        files = [str(video) for video in videos if not isinstance(video, np.ndarray)]
        of_files = iter([logits for _, logits in self.predict(files)] if files else [])
        rows = [self._predict_array(each) if isinstance(each, np.ndarray) else next(of_files) for each in videos]
        return torch.stack(rows)

    def _predict_array(self, frames: np.ndarray) -> Float[Tensor, " k"]:
        video, views = FrameArrayReader(frames, self.frames_fps), self.preprocessing.views
        clips = self.preprocessing.resampling(video, sample_views(views, video), views.crop)
        batch = Batch(torch.from_numpy(clips)[None].to(self.device), torch.zeros(1, 0).long(), torch.zeros(1).long())
        with torch.inference_mode():
            predictions = score(self.network, batch, clips_at_once=self.batch_size, aggregator=self.aggregator)
        return check_finite_logits(predictions.logits[0].cpu(), "an array")

    def predict(
        self, files: Sequence[str | Video], skipped: dict[int, str] | None = None
    ) -> Iterator[tuple[int, Tensor]]:
        """Yield the row of every file, or segment of one, and its logits, averaged over its views.

        Raises ``VideoError``, unless ``skipped`` takes the reason by the row, and ``NonFiniteLogitsError``.
        """
        views = self.preprocessing.views
        videos_at_once = max(1, self.batch_size // (views.temporal * views.spatial))
        videos = [self.video(file) for file in files]
        RepeatWarning(views.fps)(videos, "videos")
        for predictions in self._score(self.preprocessing.load_views(videos, views, videos_at_once, skipped)):
            for row, logits in zip(predictions.videos.tolist(), predictions.logits, strict=True):
                yield row, check_finite_logits(logits, videos[row].path)

    def video(self, file: str | Video) -> Video:
        """Return the record of a file, or of a folder of pictures; a record is returned as it is."""
        return file if isinstance(file, Video) else Video(file, (), frames_fps=self.frames_fps)

    def predict_sliding(self, file: str | Video, every: float, streaming: Streaming = "auto") -> SlidingPrediction:
        """Return the logits of a clip every so many seconds. Memory does not grow with the length of the video.

        With ``streaming`` what the spatial encoder made of a temporal index serves all clips that have it: "auto" where
        the network allows it and clips share some. Raises ConfigError where it is True and the network does not.
        """
        video = SlidingVideo(file, self.preprocessing.views)
        file = video.path
        windows = video.windows(every)
        problem = streaming_problem(self.network)
        if problem and streaming is True:
            raise ConfigError("streaming", True, problem, "set streaming=false")
        shared = share_indices(windows.numbers, self.network.tokeniser.frames_per_token(video.views.frames))
        if streaming and not problem and (shared.share < 1 or streaming is True):
            log.info(
                "%s: %d clips of %d temporal indices, %d to encode", file, *shared.windows.shape, len(shared.frames)
            )
            scored = self._classify_shared(video, shared)
        else:
            segments = self.preprocessing.load_segments(video.segments(windows.numbers, self.batch_size))
            scored = (predictions.logits for predictions in self._score(segments, video.views.spatial))
        logits = [check_finite_logits(part.cpu(), file) for part in scored]
        return SlidingPrediction(windows.spans, torch.cat(logits), windows.weights)

    def _classify_shared(self, video: SlidingVideo, shared: SharedIndices) -> Iterator[Float[Tensor, "w k"]]:
        """Yield the logits of clips along a video, some at a time, whose temporal indices are encoded once."""
        at_once = self.batch_size * shared.windows.shape[1]
        loader = self.preprocessing.load_segments(video.segments(shared.frames, at_once))
        crops = (batch.frames[0].to(self.device).unflatten(0, (-1, video.views.spatial)) for batch in progress(loader))
        for logits in classify_shared(StreamingClassifier(self.network, at_once), shared, crops):
            yield self.aggregator(logits)

    def aggregate(self, sliding: SlidingPrediction) -> Float[Tensor, " k"]:
        """Return the logits of a video: its clips averaged as views are, each weighted by its time steps."""
        equal = len(set(sliding.weights)) == 1
        weights = None if equal else torch.tensor(sliding.weights, dtype=sliding.logits.dtype)
        return self.aggregator(sliding.logits[None], weights)[0]

    def top_k(self, logits: Float[Tensor, " k"], k: int | None) -> TopK:
        """Return the ``k`` most probable classes of every head; None: all."""
        return top_k(logits, self.classes, k)

    @property
    def aggregator(self) -> ViewAggregator:
        """How the logits of views become those of a video."""
        sizes, average = [len(names) for names in self.classes.values()], self.preprocessing.views.average
        return ViewAggregator(get_aggregation(average), sizes, multi_label=multi_label_positions(self.classes))

    def _score(self, loader: EvalLoader, crops: int | None = None) -> Iterator[Predictions]:
        """Yield predictions of batches; with ``crops``, a batch is one video, and each group of crops one result."""
        for batch in progress(loader):
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


def progress(loader: EvalLoader) -> ProgressBar:
    """Return the batches of a loader, with a bar where there are several."""
    return ProgressBar(loader, desc="batches", disable=len(loader) < 2, leave=False)


def check_finite_logits(logits: Tensor, file: str) -> Tensor:
    """Return logits of a video as they are. Raises ``NonFiniteLogitsError`` where any is NaN or infinite."""
    if not bool(logits.isfinite().all()):
        raise NonFiniteLogitsError(
            file,
            "the network's logits are NaN or infinite",
            "use another checkpoint: its weights are damaged, or overflow on this video",
        )
    return logits


def resolve_device(name: str | torch.device | None) -> torch.device:
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
