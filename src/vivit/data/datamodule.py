"""A data set, its three splits and how they are cut into clips, as Lightning wants them."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from lightning import LightningDataModule

from vivit.data.catalogue import Catalogue, Mirror, Split
from vivit.data.dataset import ClipDataset, ClipLoader, OrderedBatches, ShuffledBatches, TrainingLoader
from vivit.data.sampling import GridViews, Plan, RandomView


class VideoData(LightningDataModule):
    """Clips of ``frames`` frames, ``stride`` apart, of pictures with a short side of ``resize``, cut to ``crop``.

    ``catalogue`` makes the data set of a root folder, ``augment`` the plan of a training view and ``views`` that of
    the test views; all three are partial, this class adds what they share. Validation looks at one view. ``batch_size``
    counts videos on one device, in training and validation; testing takes as many clips, and at least one video.
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
        workers: int,
        seed: int,
    ) -> None:
        super().__init__()
        for name, value in {"frames": frames, "stride": stride, "resize": resize, "batch_size": batch_size}.items():
            if value < 1:
                raise ValueError(f"data.{name}={value} must be at least 1")
        if workers < 0:
            raise ValueError(f"data.workers={workers} must not be negative; 0 decodes in the training process")
        if len(crop) != 2:
            raise ValueError(f"data.crop={list(crop)} must be height and width, as in data.crop=[224,224]")
        clip: dict[str, Any] = {"frames": frames, "stride": stride, "resize": resize, "crop": tuple(crop)}
        self.catalogue = catalogue(root=Path(root))
        self.training_view = augment(**clip)
        self.middle_view = GridViews(**clip)
        self.test_views = views(**clip)
        self.scored: Split = "test"
        self.batch_size, self.workers, self.seed = batch_size, workers, seed

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
        return ClipDataset(self.catalogue.videos(split), plan, self.mirror, self.seed)

    def train_dataloader(self) -> TrainingLoader:
        """Shuffled batches, of this rank."""
        clips = self.dataset("train", self.training_view)
        rank, ranks = self._ranks
        return TrainingLoader(clips, ShuffledBatches(len(clips), self.batch_size, self.seed, rank, ranks), self.workers)

    def val_dataloader(self) -> ClipLoader:
        """One view of every validation video."""
        return self._ordered(self.dataset("val", self.middle_view), self.batch_size)

    def test_dataloader(self) -> ClipLoader:
        """All views of every video of the split ``scored``, which is the test split unless someone sets it."""
        views = self.test_views.temporal * self.test_views.spatial
        return self._ordered(self.dataset(self.scored, self.test_views), max(1, self.batch_size // views))

    def _ordered(self, clips: ClipDataset, batch_size: int) -> ClipLoader:
        return ClipLoader(clips, OrderedBatches(len(clips), batch_size, *self._ranks), self.workers)

    @property
    def _ranks(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
