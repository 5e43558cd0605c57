"""How the clips of a checkpoint are cut, and files read as clips like these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from vivit.data.dataset import ClipDataset
from vivit.data.datasets import FlipLabelMap
from vivit.data.loader import EvalLoader, WorkerConfig, available_cpus
from vivit.data.samplers import DistributedEvalBatchSampler
from vivit.data.sliding_window import SegmentDataset, VideoSegments
from vivit.data.transforms.resize import FusedResize, Resize
from vivit.data.view_samplers import MultiViewSampler, UniformViewSampler
from vivit.data.views import uniform_positions
from vivit.launch import Job
from vivit.structures import Video


@dataclass(frozen=True)
class Cutting:
    """How a network's clips are cut from videos, and who decodes them."""

    views: MultiViewSampler
    resampling: Resize = field(default_factory=FusedResize)
    workers: int | None = None
    """Processes that decode; None: one for each core."""

    @classmethod
    def of_record(
        cls, record: Mapping[str, Any], *, views: Any = None, resampling: Any = None, workers: int | None = None
    ) -> "Cutting":
        """Build what a checkpoint tells; ``views`` and ``resampling`` are configurations that go before its own."""
        try:
            told = OmegaConf.create(dict(record["data"]))
            clip = {key: told[key] for key in ("frames", "stride", "resize")} | {"crop": tuple(told.crop)}
        except (KeyError, AttributeError) as error:
            raise ValueError(f"the checkpoint does not tell how its clips are cut: {error} is missing") from None
        model = record["model"]
        built_for, cut = (
            (m["frames"], *size) for m, size in ((model, (model["height"], model["width"])), (clip, clip["crop"]))
        )
        if built_for != cut:
            raise ValueError(
                f"the network takes clips of {_said(built_for)}, and the checkpoint has clips cut to {_said(cut)}"
            )
        chosen = (
            views or told.get("views") or {"_target_": "vivit.data.view_samplers.MultiViewSampler", "_partial_": True}
        )
        scaling = resampling or told.get("resampling")
        return cls(
            replace(instantiate(chosen, _convert_="all")(**clip), counts=()),  # which a test compares
            instantiate(scaling, _convert_="all") if scaling else FusedResize(),
            workers,
        )

    def sliding(self, *, chosen: bool) -> "Cutting":
        """See one moment at a time: the crops that somebody chose, or the middle of the picture."""
        if not chosen:
            return replace(self, views=replace(self.views, temporal=1, spatial=1))
        if self.views.temporal != 1:
            raise ValueError("every= slides one clip at a time; with it set views=1x1, or views.temporal=1")
        return self

    def told(self) -> dict[str, Any]:
        """Return in plain values where the clips of a video lie and what is done to them: all that others need to know.

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
            "resampling": type(self.resampling).__name__.lower(),
            "square_pixels": self.resampling.square_pixels,
        }

    def read(
        self, videos: Sequence[Video], plan: UniformViewSampler, batch_size: int, left_out: dict[int, str] | None = None
    ) -> EvalLoader:
        """Read the views that ``plan`` makes of every video, ``batch_size`` videos at a time, in order.

        Raises ``VideoError`` for a video that cannot be read, unless ``left_out`` is there to note it in.
        """
        clips = ClipDataset(videos, plan, FlipLabelMap(allowed=False), 0, resampling=self.resampling)
        return self._loader(clips, batch_size, left_out)

    def read_stretches(self, stretches: VideoSegments) -> EvalLoader:
        """Read the clips along a video, one stretch at a time. Raises ``VideoError``."""
        return self._loader(SegmentDataset(stretches, self.resampling), 1)

    def _loader(self, clips: ClipDataset, batch_size: int, left_out: dict[int, str] | None = None) -> EvalLoader:
        batches = DistributedEvalBatchSampler(len(clips), batch_size)
        number = min(available_cpus() if self.workers is None else self.workers, len(batches))
        return EvalLoader(clips, batches, WorkerConfig(number, prefetch=1), left_out)


def check_reading(cfg: DictConfig) -> None:
    """Refuse numbers that cannot be, by the names that they have where videos are read for a checkpoint."""
    for key, least in (("batch_size", 1), ("workers", 0), ("timeout", 0)):
        if cfg.get(key) is not None and not (isinstance(cfg[key], int | float) and cfg[key] >= least):
            raise ValueError(f"{key}={cfg[key]} must be a number, {least} or more")


def views_of(told: Any, cfg: DictConfig, job: Job) -> Any:
    """Configure views as the command line does, averaged as the checkpoint was unless that was typed too.

    ``told`` is what the checkpoint tells, which holds where nothing was typed; one that was converted may tell nothing.
    """
    said = cfg.get("views")  # a group that is null is not there
    if not said or (told and not job.cli_overrides("views")):
        return told
    if not told or job.cli_overrides("views.average"):
        return said
    return OmegaConf.merge(said, {"average": told.average})


def _said(size: Sequence[int]) -> str:
    return "{} frames of {}x{}".format(*size)
