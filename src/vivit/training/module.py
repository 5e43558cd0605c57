"""The LightningModule: training and evaluation steps around a network that is passed in."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from lightning import Callback, LightningModule
from lightning.pytorch.callbacks import LearningRateFinder, WeightAveraging
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer

from vivit.errors import ConfigError
from vivit.evaluation import ViewAggregator, score
from vivit.structures import Batch, Heads, Predictions, multi_label_positions, thresholds_by_head
from vivit.training.clipping import GradientClipping, has_scaler
from vivit.training.compute import CHECKPOINT_KEY, compute_settings, is_gpu
from vivit.training.frozen_cache import FrozenCache
from vivit.training.fsdp import BlockFSDPStrategy
from vivit.training.lightning_compat import (
    count_by_epochs,
    get_callbacks,
    is_training,
    number_next_step,
    restore_train_loader,
)  # fmt: skip
from vivit.training.losses import SoftTargetLoss, cross_entropy
from vivit.training.mixup import one_hot
from vivit.training.model_text import SAME_FUNCTION, format_model
from vivit.training.optim import OptimizerConfig, count_steps
from vivit.training.optimizer_state import RESTART, StepSize, apply_configured_settings
from vivit.training.rng import draw_stochastic_depth, step_generator
from vivit.training.step_metrics import StepMetrics, batch_metrics, step_metrics
from vivit.training.validation_metrics import ValidationMetrics

log = logging.getLogger(__name__)


class VideoClassifier(LightningModule):
    """Trains ``network`` to classify videos, for one head or several.

    ``batch_size`` is also the number of clips that evaluation passes through the network at once; ``aggregator``
    combines a video's test views. ``record`` is stored in a checkpoint beside the weights, in plain values: network
    and preprocessing are rebuilt from it alone. Whatever is random in a step depends on the seed, the step and the
    clip's position in the global batch, so that a run can be resumed and spread over devices. ``class_counts`` is the
    number of training videos of each class, by head, where the loss needs it.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        heads: Heads,
        loss: SoftTargetLoss,
        optimizer_config: OptimizerConfig,
        seed: int,
        batch_size: int,
        record: Mapping[str, Any],
        aggregator: ViewAggregator | None = None,
        frozen_cache: FrozenCache | None = None,
        class_counts: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.heads = heads
        self.num_classes = [len(names) for names in heads.values()]
        self.multi_label = multi_label_positions(heads)
        self.class_balance = loss.balance(class_counts or {}, dict(zip(heads, self.num_classes, strict=True)))
        self.optimizer_config = optimizer_config
        self.seed, self.batch_size = seed, batch_size
        self.record = record
        self.record_thresholds(record.get("multi_label", thresholds_by_head(heads)))
        self.aggregator = aggregator or ViewAggregator()
        self.frozen_cache = frozen_cache
        self._callbacks: list[Callback] = []
        self._bad_videos = 0  # of this epoch so far, on this rank
        self._step_metrics = StepMetrics(step_metrics(heads))
        self.clipping = GradientClipping()
        self._checkpoint: dict[str, Any] | None = None  # waits for the optimizer
        self._configured: list[dict[str, Any]] = []  # settings of the optimizer as configured
        self.val_metrics = ValidationMetrics(heads)

    @property
    def logged_metrics(self) -> list[str]:
        """Names of the metrics that this module logs in training."""
        return [*self.val_metrics.names, *self._step_metrics.names, "train/bad_videos"]

    def setup(self, stage: str) -> None:
        """Record the callbacks of this run; a search for the rate removes them while it lasts."""
        self._callbacks = list(get_callbacks(self.trainer))

    def configure_model(self) -> None:
        """Divide the network among ranks, where the strategy does so."""
        if isinstance(self.trainer.strategy, BlockFSDPStrategy):
            self.trainer.strategy.shard(self.network)

    def on_fit_start(self) -> None:
        """Prepare a resume."""
        count_by_epochs(self.trainer)
        self._restore_settings()

    def on_train_start(self) -> None:
        """Restore the position of the training loader."""
        restore_train_loader(self.trainer)

    def on_train_epoch_start(self) -> None:
        """Reset the count of bad videos; a resumed epoch has no such start."""
        self._bad_videos = 0

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Number the step for the loggers, also after a resume."""
        number_next_step(self.trainer)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one view of each video.

        Lightning divides it by the number of parts that a step is accumulated from. An epoch's last step may have
        fewer: that is corrected here, so that the gradient is the mean over all parts.
        """
        mixup_rng = self._seed_step(len(batch.videos), batch_idx)
        if self.frozen_cache is None:
            clips = batch.normalized(self.precision)[:, 0]
            clips, targets = self.loss.soft_labels(clips, batch.labels, self.num_classes, mixup_rng, self.multi_label)
            logits = self.network(clips)
        else:
            targets = self.loss.unmixed_labels(batch.labels, self.num_classes, self.multi_label)
            logits = self.frozen_cache.logits(batch.frames[:, 0], self.precision)
        loss = self.loss(logits, targets, self.num_classes, self.multi_label, self.class_balance)
        self._bad_videos += len(batch.bad)
        accumulated = self.trainer.accumulate_grad_batches
        first = batch_idx // accumulated * accumulated
        metrics = batch_metrics(loss, logits, batch.labels, self.heads)
        step = self._step_metrics.add(self.trainer, metrics, first=batch_idx == first)
        self.log_dict(step, batch_size=len(batch.videos))
        parts = min(accumulated, self.trainer.num_training_batches - first)
        return loss if parts == accumulated else loss * (accumulated / parts)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Pass loss and accuracy to the progress bar."""
        self._step_metrics.show(self.trainer)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradients of a step."""
        self.clipping.clip(self.trainer, optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_train_epoch_end(self) -> None:
        """Log the number of bad videos, on all ranks together, and how often frozen frames were met again."""
        self.log("train/bad_videos", float(self._bad_videos), reduce_fx="sum", sync_dist=True)
        if self.frozen_cache is not None:
            self.log("train/frozen_hits", self.frozen_cache.share(self.current_epoch), sync_dist=True)

    def _seed_step(self, clips: int, batch_idx: int) -> np.random.Generator:
        """Seed dropout, draw stochastic depth for these clips, and return the generator of mixup.

        The global batch of a step comes in parts: accumulated ones after one another, each shared among the ranks.
        """
        step, accumulated, ranks = self.global_step, self.trainer.accumulate_grad_batches, self.trainer.world_size
        part = batch_idx % accumulated * ranks + self.global_rank
        torch.manual_seed(int(step_generator(self.seed, step, "dropout", part).integers(2**63)))
        draws = step_generator(self.seed, step, "stochastic depth")
        draw_stochastic_depth(self.network, draws, clips, part, accumulated * ranks)
        return step_generator(self.seed, step, "mixup")

    def validation_step(self, batch: Batch, batch_idx: int) -> Predictions | None:  # type: ignore[override]
        """Return the predictions of one view of each video, for callbacks; None for a batch of no videos."""
        cached = None if self.frozen_cache is None else self.frozen_cache.logits
        predictions = score(self.network, batch, clips_at_once=self.batch_size, dtype=self.precision, classify=cached)
        self.val_metrics.gather(predictions)
        if not len(batch.videos):
            return None
        targets = one_hot(batch.labels, self.num_classes, self.multi_label)
        loss = cross_entropy(predictions.logits, targets, self.num_classes, self.multi_label)
        self.val_metrics.update(predictions, loss)
        return predictions

    def on_validation_epoch_end(self) -> None:
        """Log loss, accuracies and mean average precision of the whole split; record the thresholds that it chooses."""
        self.log_dict(self.val_metrics.compute(), prog_bar=True, sync_dist=True)  # the same on every rank
        self.record_thresholds(self.val_metrics.thresholds)

    def test_step(self, batch: Batch, batch_idx: int) -> Predictions | None:  # type: ignore[override]
        """Return the predictions of all views of each video, for callbacks; None for a batch of no videos."""
        predictions = score(
            self.network, batch, clips_at_once=self.batch_size, dtype=self.precision, aggregator=self.aggregator
        )
        return predictions if len(batch.videos) else None

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and its schedule, stepped after every step."""
        steps, fuse = count_steps(self.trainer), is_gpu(self.trainer) and not has_scaler(self.trainer)
        optimizer, scheduler = self.optimizer_config(self.network, **steps, clips=math.prod(self._step_size), fuse=fuse)
        self._configured = [{key: group[key] for key in group if key != "params"} for group in optimizer.param_groups]
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    @property
    def precision(self) -> torch.dtype:
        """Data type of clips; autocast may compute parts in less."""
        return next(self.network.parameters()).dtype

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the record, and what a resume needs beside Lightning's own state."""
        checkpoint["vivit"] = dict(self.record)
        checkpoint["clips_a_step"] = list(self._step_size)
        checkpoint[CHECKPOINT_KEY] = compute_settings(self.trainer)
        checkpoint["optimizer"] = type(self.trainer.optimizers[0]).__name__
        bad = torch.tensor(self._bad_videos, device=self.trainer.strategy.root_device)
        checkpoint["bad_videos"] = int(self.trainer.strategy.reduce(bad, reduce_op="sum"))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Raise ConfigError for the weights of another network; it may have been trained otherwise."""
        saved = format_model(checkpoint.get("vivit", {}), SAME_FUNCTION)
        expected = format_model(self.record, SAME_FUNCTION)
        if saved != expected:
            problem = f"this checkpoint holds {saved}, but the configuration is {expected}"
            raise ConfigError("ckpt_path", problem=problem, remedy=f"set the same model, {RESTART}")
        self.record_thresholds(checkpoint.get("vivit", {}).get("multi_label", {}))
        if is_training(self):
            self._step_size.adopt(checkpoint)
            self._bad_videos = checkpoint.get("bad_videos", 0) if self.global_rank == 0 else 0
            if "current_model_state" in checkpoint and not self._has_callback(WeightAveraging):
                rank_zero_only(log.warning)("the checkpoint's moving average is ignored; the run resumes its weights")
                checkpoint["state_dict"] = checkpoint["current_model_state"]
            self._checkpoint = checkpoint
            self._restore_settings()

    def record_thresholds(self, thresholds: Mapping[str, Any]) -> None:
        """Record thresholds by head. Raises ConfigError where those of a checkpoint are of other heads."""
        if set(thresholds) != set(thresholds_by_head(self.heads)):
            problem = f"its multi-label heads are {sorted(thresholds)}, and those of the data set differ"
            raise ConfigError("ckpt_path", problem=problem, remedy=f"set the same data set, {RESTART}")
        self.record = {**self.record, **({"multi_label": dict(thresholds)} if thresholds else {})}

    def _restore_settings(self) -> None:
        """Apply this run's settings once there are both a checkpoint and an optimizer, in whatever order."""
        if self._checkpoint is not None and self.trainer.optimizers:
            scheduler: Any = self.trainer.lr_scheduler_configs[0].scheduler
            apply_configured_settings(
                self._checkpoint, self._configured, self.trainer.optimizers[0], scheduler,
                keep_rate=self._has_callback(LearningRateFinder),
            )  # fmt: skip
            self._checkpoint = None

    def _has_callback(self, kind: type[Callback]) -> bool:
        return any(isinstance(callback, kind) for callback in self._callbacks)

    @property
    def _step_size(self) -> StepSize:
        return StepSize(self.batch_size, self.trainer.world_size, self.trainer.accumulate_grad_batches)
