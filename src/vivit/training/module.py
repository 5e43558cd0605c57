"""The training step and the evaluation steps, around a network that is handed in ready."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from lightning import Callback, LightningModule
from lightning.pytorch.callbacks import LearningRateFinder, WeightAveraging
from lightning.pytorch.utilities import rank_zero_only
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torchmetrics import MeanMetric

from vivit.evaluation import Accuracies, Averaging, score
from vivit.shapes import Batch, Scores
from vivit.training.optim import Recipe, steps_of
from vivit.training.randomness import draw_stochastic_depth, step_generator
from vivit.training.restored import Step, settle
from vivit.training.targets import Targets, cross_entropy, one_hot

log = logging.getLogger(__name__)

OF_TRAINING = ("dropout", "attention_dropout", "stochastic_depth", "checkpointing", "start")
"""Arguments of a network and its tokeniser that say how it is trained, and leave what its weights compute as it is."""


class VideoClassifier(LightningModule):
    """Trains ``network`` to name the class of every head.

    ``batch_size`` is also the number of clips that evaluation puts through the network at once; ``averaging`` makes one
    score of a video's test views, and testing counts accuracies unless it is not ``measured``. ``record`` is what a
    checkpoint tells beside the weights, in plain values: with it, and nothing else, network and preprocessing are
    built again. Whatever is random in a step depends on the seed, the step and the clip's place in the global
    batch, so that a run can be resumed and spread over devices.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        heads: Mapping[str, Sequence[str]],
        targets: Targets,
        recipe: Recipe,
        seed: int,
        batch_size: int,
        record: Mapping[str, Any],
        averaging: Averaging | None = None,
        measured: bool = True,
    ) -> None:
        super().__init__()
        self.network = network
        self.targets = targets
        self.sizes = [len(names) for names in heads.values()]
        self.recipe = recipe
        self.seed, self.batch_size = seed, batch_size
        self.record = record
        self.averaging, self.measured = averaging or Averaging(), measured
        self._watches: list[Callback] = []
        self._bad_videos = 0  # of this epoch so far, on this rank
        self._parts: list[Tensor] = []  # loss and accuracy of those of this step so far
        self._restored: dict[str, Any] | None = None  # a checkpoint that an optimiser is waited for with
        self._asked: list[dict[str, Any]] = []  # settings of the optimiser as configured
        self.val_loss = MeanMetric(nan_strategy=math.nan)  # else a loss that is not a number would be left out
        self.val_accuracies = Accuracies(heads, "val/")
        self.test_accuracies = Accuracies(heads, "test/")

    def setup(self, stage: str) -> None:
        """Note who takes part in this run; a search for the rate sends them away while it lasts."""
        self._watches = list(self.trainer.callbacks)  # type: ignore[attr-defined]  # set without being declared

    def on_fit_start(self) -> None:
        """Have a run that ``max_steps`` ends resumed as any other.

        Lightning would take the last epoch, though complete, for one under way, and leave out the one that is due.
        """
        self.trainer.fit_loop._iteration_based_training = lambda: False  # type: ignore[method-assign]
        self._settle()

    def on_train_start(self) -> None:
        """Put the training loader where the checkpoint left it.

        Lightning does so when it asks for the loader, but configure_optimizers, which must know the number of steps,
        makes it ask before it has read how far the run was.
        """
        self.trainer.fit_loop._load_combined_loader_states()

    def on_train_epoch_start(self) -> None:
        """Count bad videos anew; an epoch that is gone on with has no such start."""
        self._bad_videos = 0

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one view of each video.

        Lightning divides it by the number of parts that a step is accumulated from. An epoch's last step may have
        fewer: it is made up for, so that the gradient is the mean over those that are there.
        """
        mixing = self._draw(len(batch.videos), batch_idx)
        clips, targets = self.targets(batch.clips(self.precision)[:, 0], batch.labels, self.sizes, mixing)
        logits = self.network(clips)
        loss = cross_entropy(logits, targets, self.sizes)
        self._bad_videos += len(batch.bad)
        planned = self.trainer.accumulate_grad_batches
        first = batch_idx // planned * planned
        self._log_step(torch.stack([loss.detach().float(), self._all_right(logits, batch)]), batch_idx == first, batch)
        parts = min(planned, self.trainer.num_training_batches - first)
        return loss if parts == planned else loss * (planned / parts)

    def _log_step(self, part: Tensor, first: bool, batch: Batch) -> None:
        """Log the means over the parts of this step so far; loggers only see that of all."""
        self._parts = [part] if first else [*self._parts, part]
        loss, right = part if len(self._parts) == 1 else torch.stack(self._parts).mean(0)
        step = {"train/loss": loss, "train/acc_top1": right}
        self.log_dict(step, prog_bar=True, batch_size=len(batch.videos), sync_dist=True)

    def on_train_epoch_end(self) -> None:
        """Log how many videos were bad, on all ranks together."""
        self.log("train/bad_videos", float(self._bad_videos), reduce_fx="sum", sync_dist=True)

    def _draw(self, clips: int, batch_idx: int) -> np.random.Generator:
        """Set what is random in the network for these clips, and give the generator of mixup.

        The global batch of a step comes in parts: accumulated ones after one another, each shared among the ranks.
        """
        step, accumulated, ranks = self.global_step, self.trainer.accumulate_grad_batches, self.trainer.world_size
        part = batch_idx % accumulated * ranks + self.global_rank
        torch.manual_seed(int(step_generator(self.seed, step, "dropout", part).integers(2**63)))
        draws = step_generator(self.seed, step, "stochastic depth")
        draw_stochastic_depth(self.network, draws, clips, part, accumulated * ranks)
        return step_generator(self.seed, step, "mixup")

    def _all_right(self, logits: Float[Tensor, "b k"], batch: Batch) -> Tensor:
        """Share of the batch's clips for which every head's first choice is the label."""
        said = torch.stack([head.argmax(1) for head in logits.detach().split(self.sizes, 1)], 1)
        return (said == batch.labels).all(1).float().mean()

    def validation_step(self, batch: Batch, batch_idx: int) -> Scores | None:  # type: ignore[override]
        """Score one view of each video, also for callbacks; of a batch of no videos nothing is kept."""
        scores = score(self.network, batch, clips_at_once=self.batch_size, dtype=self.precision)
        if not len(batch.videos):
            return None
        loss = cross_entropy(scores.logits, one_hot(batch.labels, self.sizes), self.sizes)
        self.val_accuracies.update(scores)
        self.val_loss.update(loss, len(batch.videos))
        return scores

    def on_validation_epoch_end(self) -> None:
        """Log loss and accuracies of the whole split."""
        scores = {"val/loss": self.val_loss.compute()} | self.val_accuracies.compute()
        self.log_dict(scores, prog_bar=True, sync_dist=True)  # the same on every rank
        self.val_loss.reset()
        self.val_accuracies.reset()

    def test_step(self, batch: Batch, batch_idx: int) -> Scores | None:  # type: ignore[override]
        """Score all views of each video, also for callbacks; of a batch of no videos nothing is kept."""
        scores = score(
            self.network, batch, clips_at_once=self.batch_size, dtype=self.precision, averaging=self.averaging
        )
        if not len(batch.videos):
            return None
        if self.measured:
            self.test_accuracies.update(scores)
        return scores

    def on_test_epoch_end(self) -> None:
        """Log the accuracies of the whole split."""
        if self.measured:
            self.log_dict(self.test_accuracies.compute(), sync_dist=True)
            self.test_accuracies.reset()

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Optimiser and, stepped after every step, its schedule."""
        optimiser, schedule = self.recipe(self.network, **steps_of(self.trainer))
        self._asked = [{key: group[key] for key in group if key != "params"} for group in optimiser.param_groups]
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @property
    def precision(self) -> torch.dtype:
        """What clips are computed in; autocast may compute parts in less."""
        return next(self.network.parameters()).dtype

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the record beside the weights, and what going on from them takes beside Lightning's own."""
        checkpoint["vivit"] = dict(self.record)
        checkpoint["clips_a_step"] = list(self._step)
        checkpoint["optimiser"] = type(self.trainer.optimizers[0]).__name__
        bad = torch.tensor(self._bad_videos, device=self.trainer.strategy.root_device)
        checkpoint["bad_videos"] = int(self.trainer.strategy.reduce(bad, reduce_op="sum"))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the weights of another network before torch complains about keys; it may be trained otherwise."""
        theirs, ours = (described(record, OF_TRAINING) for record in (checkpoint.get("vivit", {}), self.record))
        if theirs != ours:
            raise ValueError(f"the checkpoint holds {theirs}, but the configuration asks for {ours}")
        if self._trainer is not None and self._trainer.training:
            self._step.check(checkpoint)
            self._bad_videos = checkpoint.get("bad_videos", 0) if self.global_rank == 0 else 0
            if "current_model_state" in checkpoint and not self._watched_by(WeightAveraging):
                rank_zero_only(log.warning)("the checkpoint's moving average is left, its weights are gone on with")
                checkpoint["state_dict"] = checkpoint["current_model_state"]
            self._restored = checkpoint
            self._settle()

    def _settle(self) -> None:
        """Have this run's settings restored, once there are both a checkpoint and an optimiser, in whatever order."""
        if self._restored is not None and self.trainer.optimizers:
            schedule: Any = self.trainer.lr_scheduler_configs[0].scheduler
            keep = self._watched_by(LearningRateFinder)
            settle(self._restored, self._asked, self.trainer.optimizers[0], schedule, keep_rate=keep)
            self._restored = None

    def _watched_by(self, kind: type[Callback]) -> bool:
        """Whether a callback of a kind takes part in this run."""
        return any(isinstance(watch, kind) for watch in self._watches)

    @property
    def _step(self) -> Step:
        """What a step is made of."""
        return Step(self.batch_size, self.trainer.world_size, self.trainer.accumulate_grad_batches)


def described(record: Mapping[str, Any], without: Sequence[str] = ()) -> str:
    """Name the network of a record by its class and its arguments, save for some, on one line."""
    if "model" not in record:
        return "no network of this repository"
    model = {key: value for key, value in record["model"].items() if key not in without}
    tokeniser = {key: value for key, value in model.pop("tokeniser").items() if key not in without}
    cut, name = (part.pop("_target_").split(".")[-1] for part in (tokeniser, model))
    how = ", ".join(f"{key}={value}" for key, value in tokeniser.items())
    return f"{name}({cut}({how}), {', '.join(f'{key}={value}' for key, value in model.items())})"
