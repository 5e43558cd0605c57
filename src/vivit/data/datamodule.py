"""A data set, its three splits and how they are cut into clips, as Lightning wants them."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch.distributed
from lightning import LightningDataModule

from vivit.data.catalogue import Catalogue, Mirror, Split
from vivit.data.dataset import ClipDataset, TrainingClips
from vivit.data.loader import ScoringLoader, TrainingLoader, Workers, cores
from vivit.data.order import OrderedBatches, ShuffledBatches
from vivit.data.resampling import Fused, Resampling
from vivit.data.sampling import GridViews, Plan, RandomView

MOST_WORKERS = 8
"""Workers that one device gets unasked: each holds several batches in memory."""


class VideoData(LightningDataModule):
    """Clips of ``frames`` frames, ``stride`` apart, of pictures with a short side of ``resize``, cut to ``crop``.

    ``catalogue`` makes the data set of a root folder, ``augment`` the plan of a training view and ``views`` that of
    the test views; all three are partial, this class adds what they share. Validation looks at one view. ``resampling``
    scales every view. ``batch_size`` counts videos on one device, in training and validation; testing takes as many
    clips, and at least one video. ``train_share`` keeps that share of every class of the training videos.

    ``loader`` builds what training reads through. Every device has ``workers`` processes that decode (None: its share
    of this machine's cores), each ``prefetch`` batches ahead; a batch that takes ``timeout`` seconds stops the run
    (0: never). Training goes on without bad videos as long as they are no more than ``bad_share`` of an epoch;
    evaluation stops at the first, unless ``skip_bad``, and then ``left_out`` tells them.
    """

    def __init__(
        self,
        *,
        root: str,
        catalogue: Callable[..., Catalogue],
        frames: int,
        stride: int,
        resize: int,
        crop: Sequence[int],
        augment: Callable[..., RandomView],
        views: Callable[..., GridViews],
        batch_size: int,
        seed: int,
        loader: Callable[..., TrainingLoader] = TrainingLoader,
        workers: int | None = None,
        prefetch: int = 2,
        timeout: float = 0,
        bad_share: float = 0.0,
        skip_bad: bool = False,
        train_share: float = 1.0,
        resampling: Resampling | None = None,
    ) -> None:
        super().__init__()
        positive = {"frames": frames, "stride": stride, "resize": resize, "batch_size": batch_size}
        for name, value in (positive | {"prefetch": prefetch}).items():
            if value < 1:
                raise ValueError(f"data.{name}={value} must be at least 1")
        if workers is not None and workers < 0:
            raise ValueError(f"data.workers={workers} must not be negative; 0 decodes in the training process")
        if timeout < 0:
            raise ValueError(f"data.timeout={timeout} must not be negative; 0 waits forever")
        if not 0 <= bad_share <= 1:
            raise ValueError(f"data.bad_share={bad_share} must be a share of the videos, from 0 to 1")
        if len(crop) != 2:
            raise ValueError(f"data.crop={list(crop)} must be height and width, as in data.crop=[224,224]")
        clip: dict[str, Any] = {"frames": frames, "stride": stride, "resize": resize, "crop": tuple(crop)}
        if "train_share" in getattr(catalogue, "keywords", {}):
            raise ValueError("data.catalogue.train_share is data.train_share: set that one")
        self.catalogue = catalogue(root=Path(root), train_share=train_share)
        self.training_view = augment(**clip)
        self.middle_view = GridViews(**clip)
        self.test_views = views(**clip)
        self.resampling = resampling or Fused()
        self.scored: Split = "test"
        self.loader = loader
        self.batch_size, self.seed = batch_size, seed
        self.workers, self.prefetch, self.timeout = workers, prefetch, timeout
        self.bad_share = bad_share
        self.skip_bad = skip_bad
        self._left_out: dict[Split, dict[int, str]] = {"val": {}, "test": {}, "train": {}}

    def prepare_data(self) -> None:
        """Make the data set if it makes itself, and check that it is there."""
        self.catalogue.prepare()

    @property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """Class names of each head, in the order of the network's outputs."""
        return self.catalogue.heads

    @cached_property
    def mirror(self) -> Mirror:
        """What a mirrored clip is called."""
        return self.catalogue.mirror

    def dataset(self, split: Split, plan: Plan) -> ClipDataset:
        """Clips of one split, as a plan cuts them."""
        return ClipDataset(self.catalogue.videos(split), plan, self.mirror, self.seed, resampling=self.resampling)

    def train_dataloader(self) -> TrainingLoader:
        """Shuffled batches, of this rank; with ``trainer.overfit_batches`` every epoch has those of the first."""
        videos = self.catalogue.videos("train")
        same = bool(getattr(self.trainer, "overfit_batches", 0))
        batches = ShuffledBatches(len(videos), self.batch_size, self.seed, *self._ranks, same=same)
        clips = TrainingClips(
            videos,
            self.training_view,
            self.mirror,
            self.seed,
            resampling=self.resampling,
            steps=self._steps(len(batches)),
        )
        return self.loader(clips, batches, self._ahead(self.prefetch), self.bad_share)

    def val_dataloader(self) -> ScoringLoader:
        """One view of every validation video."""
        return self._ordered("val", self.middle_view, self.batch_size, self.prefetch)

    def test_dataloader(self) -> ScoringLoader:
        """All views of every video of the split ``scored``, which is the test split unless someone sets it.

        A batch goes through the network at once or is a single video, so each takes as many calls. A worker has one
        batch ready, because that of a single video may be large: 10x3 views of 32 frames of 320 pixels are 295 MB.
        """
        return self._ordered(self.scored, self.test_views, max(1, self.batch_size // len(self.test_views)), 1)

    def _ordered(self, split: Split, plan: GridViews, batch_size: int, prefetch: int) -> ScoringLoader:
        clips = self.dataset(split, plan)
        batches = OrderedBatches(len(clips), batch_size, *self._ranks)
        return ScoringLoader(clips, batches, self._ahead(prefetch), self._left_out[split] if self.skip_bad else None)

    def left_out(self) -> dict[str, dict[str, Any]]:
        """Say, for each split, how many videos were left out and why; all ranks must ask at once.

        Those are what the catalogue found missing, and in evaluation what could not be read.
        """
        ranks = [self._left_out]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            ranks = [{} for _ in range(torch.distributed.get_world_size())]
            torch.distributed.all_gather_object(ranks, self._left_out)
        merged = {split: {row: why for rank in ranks for row, why in rank[split].items()} for split in self._left_out}
        found: dict[str, dict[str, Any]] = {}
        for split, bad in merged.items():
            census = self.catalogue.census.get(split)
            why = {f"{path}: {reason}" for path, reason in census.reasons.items()} if census else set()
            if count := len(bad) + (census.left_out if census else 0):
                found[split] = {"videos": count, "why": sorted(why | set(bad.values()))}
        return found

    def _ahead(self, prefetch: int) -> Workers:
        """Say who decodes: unless the number is set, a worker for each core of this rank's share."""
        number = min(cores(), MOST_WORKERS) if self.workers is None else self.workers
        return Workers(number, prefetch, self.timeout)

    def _steps(self, of_an_epoch: int) -> float:
        """Batches of the whole training; infinite where no end is set."""
        if self.trainer is None:
            return math.inf
        updates, epochs = self.trainer.max_steps, self.trainer.max_epochs
        by_updates = math.inf if updates < 0 else updates * self.trainer.accumulate_grad_batches
        by_epochs = math.inf if epochs is None or epochs < 0 else epochs * of_an_epoch
        return float(min(by_updates, by_epochs))

    @property
    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
