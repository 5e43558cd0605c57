"""The Lightning data module: a data set, its three splits, and how they are cut into clips."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from lightning import LightningDataModule

from vivit.data.dataset import ClipDataset, TrainClipDataset
from vivit.data.datasets import Split, dataset_from_options
from vivit.data.datasets.video_list import named_heads
from vivit.data.datasets.video_table import VideoTable
from vivit.data.frame_cache.caches import FrameCaches
from vivit.data.frame_rates import RepeatWarning, check_timestamps
from vivit.data.loader import EvalLoader, StatefulTrainLoader, WorkerConfig, available_cpus
from vivit.data.option_checks import check_clip, check_loading
from vivit.data.readers.open_video import on_screen_from_start
from vivit.data.samplers import BalancedOrder, DistributedBatchSampler, DistributedEvalBatchSampler
from vivit.data.skipped_videos import gather_skipped
from vivit.data.transforms.flip import FlipLabelMap
from vivit.data.transforms.resize import FusedResize, Resize
from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler, check_rate
from vivit.data.views import ViewSampler
from vivit.data.worker_processes import start_worker_server
from vivit.errors import ConfigError, UserError
from vivit.structures import Video, label_columns, single_label_heads

log = logging.getLogger(__name__)

MOST_WORKERS = 8
"""Workers of one device at most, unless configured: each has several batches in memory."""


class VideoDataModule(LightningDataModule):
    """Clips of ``frames`` frames, of pictures with a short side of ``resize``, cut to ``crop``.

    Frames are ``stride`` frames of the file apart, or there are ``fps`` a second, whatever the rate of the file is.

    ``dataset`` is the registered ``name`` of a data set with its options, in plain values. ``augment`` makes the
    sampler of training views and ``views`` that of the test views; both are partial, this class adds what they share.
    Validation has one view. ``resampling`` resizes every view. ``batch_size`` counts videos on one device, in training
    and validation; testing takes as many clips, and at least one video. ``train_share`` selects that share of every
    class of the training videos. Where a data set lists no validation videos, ``val_share`` holds that share of the
    training videos out. ``balance`` from 0 to 1 draws rare classes more often in training, see ``BalancedOrder``; 0
    takes every video once an epoch. ``cache`` has decoded frames of all videos in "memory" or on "disk", there below
    ``cache_dir`` (None: ``root``/cache), of at most ``cache_gb`` gigabytes; else what is fetched of storage.

    ``loader`` makes the training loader. Every device has ``num_workers`` processes that decode (None: its share of
    this machine's cores), each ``prefetch_factor`` batches ahead; a batch that takes ``timeout`` seconds stops the run
    (0: never). ``pin_memory`` has batches copied to a GPU while the host goes on (None: where the trainer has GPUs).
    Training skips bad videos as long as they are no more than ``max_bad_share`` of an epoch; evaluation
    stops at the first, unless ``skip_unreadable``, and then ``skipped_videos`` returns them.
    """

    def __init__(
        self,
        *,
        root: str,
        dataset: Mapping[str, Any],
        frames: int,
        stride: int | None = None,
        fps: int | float | None = None,
        resize: int,
        crop: Sequence[int],
        views: Callable[..., MultiViewSampler],
        batch_size: int,
        seed: int,
        augment: Callable[..., RandomViewSampler] = RandomViewSampler,
        loader: Callable[..., StatefulTrainLoader] = StatefulTrainLoader,
        num_workers: int | None = None,
        prefetch_factor: int = 2,
        timeout: float = 0,
        pin_memory: bool | None = None,
        max_bad_share: float = 0.0,
        skip_unreadable: bool = False,
        train_share: float = 1.0,
        val_share: float | None = None,
        balance: float = 0.0,
        resampling: Resize | None = None,
        cache: str = "none",
        cache_gb: float = 4.0,
        cache_dir: str | None = None,
    ) -> None:
        super().__init__()
        check_rate(stride, fps)
        check_loading(
            batch_size=batch_size, prefetch_factor=prefetch_factor, num_workers=num_workers, timeout=timeout,
            max_bad_share=max_bad_share, balance=balance,
        )  # fmt: skip
        check_clip(frames=frames, stride=stride, resize=resize, crop=crop)
        rate = {"stride": stride} if fps is None else {"fps": fps}
        clip: dict[str, Any] = {"frames": frames, **rate, "resize": resize, "crop": tuple(crop)}
        self.dataset = dataset_from_options(dataset, root=root, train_share=train_share, val_share=val_share)
        self.dataset.max_unreadable = {"train": max_bad_share, "val": skip_unreadable, "test": skip_unreadable}
        self.training_view = augment(**clip)
        self.middle_view = MultiViewSampler(**clip)
        self.test_views = views(**clip)
        self.resampling = resampling or FusedResize()
        self.test_split: Split = "test"
        self.begun: tuple[int, int] | None = None
        """Training videos and clips of an epoch of the run that goes on; None: of one that begins."""
        self.test_rows: Sequence[int] | None = None
        """Rows of the split that a test reads; None: all."""
        root_folder = self.dataset.root if isinstance(self.dataset.root, Path) else Path()
        folder = root_folder / "cache" if cache_dir is None else Path(cache_dir)
        self.caches = FrameCaches(cache, cache_gb, folder, self._cached_videos)
        self.dataset.cache = self.caches.of_fetched()
        self.loader = loader
        self.batch_size, self.seed = batch_size, seed
        self.num_workers, self.prefetch_factor, self.timeout = num_workers, prefetch_factor, timeout
        self.pin_memory = pin_memory
        self.max_bad_share, self.balance = max_bad_share, balance
        self.skip_unreadable, self._warn_of_repeats = skip_unreadable, RepeatWarning(fps)
        self._skipped: dict[Split, dict[int, str]] = {"val": {}, "test": {}, "train": {}}
        if num_workers != 0:
            start_worker_server()  # which has its imports done by the time that the network is built

    def prepare_data(self) -> None:
        """Generate the data set if it is an embedded one, and check that it exists; cache what this run reads."""
        self.dataset.prepare()
        if self.trainer is not None:
            self.caches.make(*self._cached_splits(self.trainer.state.fn))

    def setup(self, stage: str) -> None:
        """Use one cache in memory on all ranks of this machine."""
        self.caches.share()

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """Class names of each head, in the order of the network's outputs."""
        return named_heads(self.dataset.heads, type(self.dataset).__name__)

    @cached_property
    def flip_labels(self) -> FlipLabelMap:
        """The labels of flipped clips."""
        return self.dataset.flip_labels

    def clip_dataset(self, split: Split, view_sampler: ViewSampler) -> ClipDataset:
        """Return the clips of one split, as a view sampler cuts them."""
        return ClipDataset(
            self._videos(split),
            view_sampler,
            self.flip_labels,
            self.seed,
            resampling=self.resampling,
            cache=self.caches.get(split),
        )

    def train_dataloader(self) -> StatefulTrainLoader:
        """Return the shuffled batches of this rank; with ``trainer.overfit_batches`` every epoch repeats the first."""
        videos = self._videos("train")
        self._warn_of_repeats(videos, "train videos")
        if self.training_view.hflip_prob > 0 and not self.flip_labels.allowed:
            log.warning("clips are not mirrored, whatever augment.hflip_prob is: the data set forbids it by its flip")
        overfit = bool(getattr(self.trainer, "overfit_batches", 0))
        begun, clips = self.begun or (0, None)
        batches = DistributedBatchSampler(
            len(videos), self.batch_size, self.seed, *self._rank_and_ranks, same_every_epoch=overfit,
            parts=getattr(self.trainer, "accumulate_grad_batches", 1), clips=clips if begun == len(videos) else None,
            balanced=BalancedOrder(self._classes_of_training(), self.balance) if self.balance else None,
        )  # fmt: skip
        dataset = TrainClipDataset(
            videos, self.training_view, self.flip_labels, self.seed, resampling=self.resampling,
            cache=self.caches.get("train"), steps=self._total_steps(len(batches)),
        )  # fmt: skip
        return self.loader(dataset, batches, self._worker_config(self.prefetch_factor), self.max_bad_share)

    def _classes_of_training(self) -> Int[np.ndarray, " n"]:
        """Return the number of each training video's class, or of its combination of classes, of several heads."""
        if not (columns := [label_columns(self.heads)[head].start for head in single_label_heads(self.heads)]):
            raise ConfigError("data.balance", self.balance, "is for heads of which a video has one class", "set 0")
        return np.unique(self.dataset.videos("train").labels()[:, columns], axis=0, return_inverse=True)[1]

    def class_counts(self) -> dict[str, Int[np.ndarray, " _k"]]:
        """Return the number of training videos of each class, by head; multi-label heads have none."""
        labels, columns = self.dataset.videos("train").labels(), label_columns(self.heads)
        return {
            head: np.bincount(labels[:, columns[head].start], minlength=len(names))
            for head, names in single_label_heads(self.heads).items()
        }

    def val_dataloader(self) -> EvalLoader:
        """Return one view of every validation video."""
        return self._eval_loader("val", self.middle_view, self.batch_size, self.prefetch_factor)

    def test_dataloader(self) -> EvalLoader:
        """Return all views of every video of the split ``test_split``, "test" by default.

        A batch goes through the network at once or is a single video, so each takes as many calls. A worker has one
        batch ready, because that of a single video may be large: 10x3 views of 32 frames of 320 pixels are 295 MB.
        """
        self._warn_of_repeats(self.dataset.videos(self.test_split), f"{self.test_split} videos")
        batch_size = max(1, self.batch_size // len(self.test_views))
        return self._eval_loader(self.test_split, self.test_views, batch_size, 1, self.test_rows)

    def _eval_loader(
        self,
        split: Split,
        view_sampler: MultiViewSampler,
        batch_size: int,
        prefetch_factor: int,
        rows: Sequence[int] | None = None,
    ) -> EvalLoader:
        clips = self.clip_dataset(split, view_sampler)
        batches = DistributedEvalBatchSampler(len(clips), batch_size, *self._rank_and_ranks, rows=rows)
        skipped = self._skipped[split] if self.skip_unreadable else None
        return EvalLoader(clips, batches, self._worker_config(prefetch_factor), skipped)

    def skipped_videos(self) -> dict[str, dict[str, Any]]:
        """Return, for each split, how many videos were left out and why; all ranks must call it at once.

        Those are the videos that the data set lacks, and in evaluation the unreadable ones.
        """
        return gather_skipped(self._skipped, self.dataset.stats)

    def _videos(self, split: Split) -> VideoTable:
        """Return the videos of a split. Raises ConfigError where ``fps`` needs timestamps, and they have none."""
        videos = self.dataset.videos(split)
        check_timestamps(videos, self.middle_view.fps)
        return videos

    def _cached_videos(self, split: Split) -> Sequence[Video]:
        """Return the videos of a split as clips are cut from them."""
        videos = self._videos(split)
        return videos if self.middle_view.fps is None else [on_screen_from_start(video) for video in videos]

    def _cached_splits(self, stage: str | None) -> tuple[list[Split], list[Split]]:
        """Return the splits that a stage of the trainer reads, and those of a test after it, if there is one."""
        if stage != "fit":
            return ([self.test_split] if stage == "test" else ["val"] if stage == "validate" else []), []
        try:
            self.dataset.videos(self.test_split)
        except UserError:  # a run without a test needs none
            return ["train", "val"], []
        return ["train", "val"], [self.test_split] if self.test_split == "test" else []

    def _worker_config(self, prefetch_factor: int) -> WorkerConfig:
        """Return the workers of a loader: unless configured, one for each core of this rank's share."""
        number = min(available_cpus(), MOST_WORKERS) if self.num_workers is None else self.num_workers
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return WorkerConfig(
            number, prefetch_factor, self.timeout, on_gpu if self.pin_memory is None else self.pin_memory
        )

    def _total_steps(self, of_an_epoch: int) -> float:
        """Return the number of batches of the training; infinite where it has no end."""
        if self.trainer is None:
            return math.inf
        updates, epochs = self.trainer.max_steps, self.trainer.max_epochs
        by_updates = math.inf if updates < 0 else updates * self.trainer.accumulate_grad_batches
        return float(min(by_updates, math.inf if epochs is None or epochs < 0 else epochs * of_an_epoch))

    @property
    def _rank_and_ranks(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
