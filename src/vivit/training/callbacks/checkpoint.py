"""Checkpoints: ``last.ckpt`` and ``best.ckpt``, each written completely or not at all."""

import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint, Timer
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_only

from vivit.io import atomic_write
from vivit.training.lightning_compat import (
    PathLike,
    get_callbacks,
    is_accumulating,
    is_mid_epoch_validation,
    is_step_boundary,
    save_interval,
    save_once,
)  # fmt: skip

log = logging.getLogger(__name__)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames, so that a kill in mid-write leaves the last good checkpoint."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: PathLike, storage_options: Any | None = None) -> None:
        """Write ``checkpoint`` to ``path``, on one disk, atomically.

        Where that fails the old file stays, and an OSError names the reason. A run folder that somebody has removed is
        not created again.
        """
        target = Path(path)
        try:
            target.parent.mkdir(exist_ok=True)
            with atomic_write(target, sync=True) as partial, partial.open("wb") as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            before = "the one before it is intact" if target.is_file() else "there is none before it"
            raise OSError(f"the checkpoint {target} cannot be written, {before}: {_disk_error(error)}") from error


def _disk_error(error: BaseException) -> BaseException:
    """Return the error of the disk: torch's writer, which cannot finish its file then, raises one of its own on top."""
    cause = error.__context__
    return cause if not isinstance(error, OSError) and isinstance(cause, OSError) else error


class LastCheckpoint(ModelCheckpoint):
    """Saves ``last.ckpt``: every ``every_n_train_steps`` steps and at the end of every epoch, after its validation.

    Behind a step that a validation follows, an epoch's last or one within it, nothing is saved before the validation
    is complete: a resume would skip it and go on with the next step. ``metrics`` are those of the moment of saving;
    after loading, of the checkpoint.
    """

    def __init__(self, *, dirpath: str, every_n_train_steps: int) -> None:
        super().__init__(
            dirpath=dirpath,
            filename="last",
            every_n_train_steps=every_n_train_steps or sys.maxsize,  # 0: behind epochs alone
            save_top_k=1,
            enable_version_counter=False,
        )
        self.metrics: dict[str, float] = {}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save at a multiple of the interval, behind a whole step: accumulated gradients are in no checkpoint.

        Where the time is over in mid-epoch (``trainer.max_time``), save as well, here or behind the validation that
        Lightning then makes, so that a run with more time resumes there: behind the epoch, which Lightning ends at
        once, it would resume with the next.
        """
        if is_step_boundary(trainer):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
            if trainer.should_stop:
                self.save(trainer)
        elif is_accumulating(trainer) and any(isinstance(callback, Timer) for callback in get_callbacks(trainer)):
            trainer.should_stop = False  # the timer asks again behind the next part

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save behind a validation within an epoch what had to wait for it, and where the time is over."""
        due = trainer.should_stop or trainer.global_step % save_interval(self) == 0
        if is_mid_epoch_validation(trainer) and due:
            self.save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the steps since the last multiple."""
        self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Save, unless this step is saved already."""
        save_once(self, trainer)

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        self.metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        super()._save_checkpoint(trainer, filepath)

    def state_dict(self) -> dict[str, Any]:
        """Return Lightning's state and the metrics."""
        return super().state_dict() | {"metrics": self.metrics}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the metrics; Lightning's own state is about files of which there is only one here."""
        self.metrics = state_dict.get("metrics", {})


class BestCheckpoint(ModelCheckpoint):
    """Saves ``best.ckpt``; a run that resumes in another folder copies the best so far there.

    ``metrics`` are those of the best validation.
    """

    def __init__(self, *, dirpath: str, monitor: str, mode: str) -> None:
        super().__init__(dirpath=dirpath, filename="best", monitor=monitor, mode=mode, enable_version_counter=False)
        self.metrics: dict[str, float] = {}

    def _save_topk_checkpoint(self, trainer: Trainer, monitor_candidates: dict[str, torch.Tensor]) -> None:
        """Save if it is the best; before the first validation there is nothing to choose by."""
        if self.monitor in monitor_candidates or any(name.startswith("val/") for name in monitor_candidates):
            super()._save_topk_checkpoint(trainer, monitor_candidates)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log that there is no best checkpoint, where the training ended before its first validation."""
        super().on_train_end(trainer, pl_module)
        if not self.best_model_path and trainer.is_global_zero:
            log.info("the training ended before a validation: there is no best.ckpt, and the last weights are used")

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        self.metrics = {name: float(value) for name, value in trainer.callback_metrics.items() if name[:4] == "val/"}
        super()._save_checkpoint(trainer, filepath)

    def state_dict(self) -> dict[str, Any]:
        """Return Lightning's state and the metrics."""
        return super().state_dict() | {"metrics": self.metrics}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the best so far, wherever it lay."""
        self.metrics = state_dict.get("metrics", {})
        source, target = Path(state_dict["best_model_path"]), Path(str(self.dirpath)) / "best.ckpt"
        if not state_dict["best_model_path"]:
            return
        if source == target:
            super().load_state_dict(state_dict)
        elif source.is_file() or target.is_file():  # the second: the whole folder was moved
            _copy_checkpoint(source, target)
            (score,) = state_dict["best_k_models"].values()
            files = {"dirpath": self.dirpath, "best_model_path": str(target), "kth_best_model_path": str(target)}
            super().load_state_dict(state_dict | files | {"best_k_models": {str(target): score}})
        else:
            log.warning("the best checkpoint so far, %s, is gone: the best of the epochs to come is saved", source)


@rank_zero_only
def _copy_checkpoint(source: Path, target: Path) -> None:
    if source.is_file():
        target.parent.mkdir(exist_ok=True)
        with atomic_write(target) as partial:
            shutil.copyfile(source, partial)
