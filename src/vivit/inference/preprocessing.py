"""How a network's clips are sampled, resized and cropped, and loaders that read files so."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vivit.data.dataset import ClipDataset
from vivit.data.datasets import FlipLabelMap
from vivit.data.loader import EvalLoader, WorkerConfig, available_cpus
from vivit.data.samplers import DistributedEvalBatchSampler
from vivit.data.sliding_window import SegmentDataset, VideoSegments
from vivit.data.transforms.resize import FusedResize, Resize
from vivit.data.view_samplers import MultiViewSampler, UniformViewSampler
from vivit.data.views import uniform_positions
from vivit.errors import ConfigError
from vivit.structures import Video


@dataclass(frozen=True)
class Preprocessing:
    """From a video file to the clips that a network takes."""

    views: MultiViewSampler
    resampling: Resize = field(default_factory=FusedResize)
    workers: int | None = None
    """Processes that decode; None: one for each core."""

    def sliding(self, *, typed: bool) -> "Preprocessing":
        """Return the preprocessing of single clips: with the crops that were ``typed``, or the central one."""
        if not typed:
            return replace(self, views=replace(self.views, temporal=1, spatial=1))
        if self.views.temporal != 1:
            raise ConfigError(
                "every",
                problem="slides one clip at a time, and there are several temporal views",
                remedy="set views=1x1, or views.temporal=1",
            )
        return self

    def to_dict(self) -> dict[str, Any]:
        """Return in plain values which frames and crops of a video the clips contain.

        A temporal view begins with frame int(part * (room / whole)), where room = max(0, frames of the video - frames *
        stride of the clip); a crop along the longer side of the picture at the share of what the crop leaves over.
        """
        views = self.views
        return {
            "clip": {key: getattr(views, key) for key in ("frames", "stride", "resize", "crop")},
            "views": {
                "places": uniform_positions(views.temporal),
                "crops": [0.5] if views.spatial == 1 else [0.0, 0.5, 1.0],
                "average": views.average,
            },
            "resampling": type(self.resampling).__name__.removesuffix("Resize").lower(),
            "square_pixels": self.resampling.square_pixels,
        }

    def load_views(
        self,
        videos: Sequence[Video],
        view_sampler: UniformViewSampler,
        batch_size: int,
        skipped: dict[int, str] | None = None,
    ) -> EvalLoader:
        """Return a loader of the views of every video, ``batch_size`` videos at a time, in order.

        It raises ``VideoError`` for a video that cannot be read, unless ``skipped`` takes the reason by its row.
        """
        no_flip = FlipLabelMap(allowed=False)
        return self._loader(
            ClipDataset(videos, view_sampler, no_flip, 0, resampling=self.resampling), batch_size, skipped
        )

    def load_segments(self, segments: VideoSegments) -> EvalLoader:
        """Return a loader of the clips along a video, one segment at a time. It raises ``VideoError``."""
        return self._loader(SegmentDataset(segments, self.resampling), 1)

    def _loader(self, clips: ClipDataset, batch_size: int, skipped: dict[int, str] | None = None) -> EvalLoader:
        batches = DistributedEvalBatchSampler(len(clips), batch_size)
        workers = min(available_cpus() if self.workers is None else self.workers, len(batches))
        return EvalLoader(clips, batches, WorkerConfig(workers, prefetch=1), skipped)
