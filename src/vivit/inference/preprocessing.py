"""How a network's clips are sampled, resized and cropped, and loaders that read files so."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from vivit.data.dataset import ClipDataset
from vivit.data.datasets import FlipLabelMap
from vivit.data.loader import EvalLoader, WorkerConfig, available_cpus
from vivit.data.samplers import DistributedEvalBatchSampler
from vivit.data.sliding_window import SegmentDataset, VideoSegments
from vivit.data.transforms.resize import FusedResize, ReferenceResize, Resize
from vivit.data.view_samplers import MultiViewSampler, UniformViewSampler, check_rate
from vivit.data.views import uniform_positions
from vivit.errors import CheckpointError, ConfigError
from vivit.evaluation.multi_view import AGGREGATIONS
from vivit.structures import Video

DEFAULT_VIEWS = {"temporal": 1, "spatial": 1, "average": "logits"}
RESIZES: dict[str, Callable[..., Resize]] = {"fused": FusedResize, "reference": ReferenceResize}


def parse_preprocessing(plain: Mapping[str, Any], source: object) -> dict[str, Any]:
    """Return the plain values of ``plain`` that cut clips from a video, checked; those that are there.

    They are ``frames``, ``stride`` or ``fps``, ``resize``, ``crop``, ``views``, ``resampling`` and ``square_pixels``.
    Raises CheckpointError about ``source``, with the key, for wrong ones.
    """
    values: dict[str, Any] = {
        key: _positive(plain[key], key, source) for key in ("frames", "stride", "resize") if plain.get(key) is not None
    }
    if (fps := plain.get("fps")) is not None:
        try:
            check_rate(values.get("stride"), fps)
        except ConfigError as error:
            raise CheckpointError(source, str(error), key="fps") from None
        values["fps"] = fps
    if (crop := plain.get("crop")) is not None:
        if not isinstance(crop, list | tuple) or len(crop) != 2:
            raise CheckpointError(source, f"{crop!r} is not height and width", key="crop")
        values["crop"] = [_positive(side, "crop", source) for side in crop]
    if (views := plain.get("views")) is not None:
        if not isinstance(views, Mapping) or set(views) - {*DEFAULT_VIEWS, "also_report"}:
            raise CheckpointError(source, f"{views!r} has keys beside {', '.join(DEFAULT_VIEWS)}", key="views")
        numbers = {key: _positive(views.get(key, 1), f"views.{key}", source) for key in ("temporal", "spatial")}
        average = str(views.get("average", "logits"))
        if average not in AGGREGATIONS:
            raise CheckpointError(source, f"{average!r} is none of {', '.join(AGGREGATIONS)}", key="views.average")
        values["views"] = {**numbers, "average": average}
        if counts := views.get("also_report"):
            values["views"]["also_report"] = [_positive(count, "views.also_report", source) for count in counts]
    if (name := plain.get("resampling")) is not None:
        if name not in RESIZES:
            raise CheckpointError(source, f"{name!r} is none of {', '.join(RESIZES)}", key="resampling")
        if not isinstance(square := plain.get("square_pixels", False), bool):
            raise CheckpointError(source, f"{square!r} is neither true nor false", key="square_pixels")
        values |= {"resampling": name, "square_pixels": square}
    return values


def clip_keys(plain: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys that define a clip: with ``fps`` where ``plain`` has it, else with ``stride``."""
    return ("frames", "fps" if plain.get("fps") is not None else "stride", "resize", "crop")


def _positive(number: Any, key: str, source: object) -> int:
    if type(number) is not int or number < 1:
        raise CheckpointError(source, f"{number!r} is not a whole number of 1 or more", key=key)
    return number


@dataclass(frozen=True)
class Preprocessing:
    """From a video file to the clips that a network takes."""

    views: MultiViewSampler
    resampling: Resize = field(default_factory=FusedResize)
    workers: int | None = None
    """Processes that decode; None: one for each core."""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], source: object, workers: int | None = None) -> "Preprocessing":
        """Return the preprocessing that the record of a checkpoint describes.

        Raises CheckpointError about ``source``, with the key, for values that are wrong or missing.
        """
        values = parse_preprocessing(plain, source)
        keys = clip_keys(values)
        if missing := [key for key in keys if key not in values]:
            raise CheckpointError(source, "is missing, so it is unknown how clips are cut", key=missing[0])
        clip = {key: values[key] for key in keys} | {"crop": tuple(values["crop"])}
        views = {key: value for key, value in values.get("views", {}).items() if key in DEFAULT_VIEWS}
        resize = RESIZES[values.get("resampling", "fused")](square_pixels=values.get("square_pixels", False))
        return cls(MultiViewSampler(**clip, **views), resize, workers)

    def with_views(self, views: str) -> "Preprocessing":
        """Return the preprocessing with other views, such as "4x3". Raises ConfigError for another text."""
        match = re.fullmatch(r"(\d+)x(\d+)", views)
        if match is None:
            raise ConfigError("views", views, "is not temporal x spatial views", "set 4x3, 1x1 or alike")
        return replace(self, views=replace(self.views, temporal=int(match[1]), spatial=int(match[2])))

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
        stride of the clip); with fps at second part * (room / whole), where room = max(0, seconds of the video - frames
        / fps). A crop along the longer side of the picture lies at the share of what the crop leaves over.
        """
        views = self.views
        return {
            "clip": {key: getattr(views, key) for key in clip_keys({} if views.fps is None else {"fps": views.fps})},
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
        return EvalLoader(
            clips, batches, WorkerConfig(workers, prefetch=1, pin_memory=torch.cuda.is_available()), skipped
        )
