"""Checkpoints that are whole or absent, and know where they lie."""

import logging
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.utilities.types import _PATH
from lightning.pytorch.callbacks import ModelCheckpoint, Timer
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only

from vivit.io import atomic_write

log = logging.getLogger(__name__)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target and renames, so that a kill in mid-write leaves the last good checkpoint."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: _PATH, storage_options: Any | None = None) -> None:
        """Write ``checkpoint`` to ``path``, on one disk, in one step as others see it.

        Where that fails nothing is left but what was there, and an OSError says so. The run folder is not made anew
        where somebody has removed it.
        """
        target = Path(path)
        try:
            target.parent.mkdir(exist_ok=True)
            with atomic_write(target, sync=True) as partial, partial.open("wb") as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            kept = "the one before it is intact" if target.is_file() else "there is none before it"
            raise OSError(f"the checkpoint {target} cannot be written, {kept}: {_reason(error)}") from error


def _reason(error: BaseException) -> BaseException:
    """Find what a disk said: torch's writer, which cannot finish its file then, puts an error of its own before it."""
    before = error.__context__
    return before if not isinstance(error, OSError) and isinstance(before, OSError) else error


def may_end(trainer: Trainer) -> bool:
    """Whether a run may be saved and ended behind this batch: a whole step that no validation follows."""
    loop = trainer.fit_loop
    if trainer.is_last_batch or loop._should_accumulate():
        return False
    return loop._data_fetcher is None or not loop.epoch_loop._should_check_val_fx(loop._data_fetcher)


def within_epoch(trainer: Trainer) -> bool:
    """Whether a validation that ends here was one within an epoch, behind a whole step."""
    ended = trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING
    return not (ended or trainer.is_last_batch or trainer.fit_loop._should_accumulate())


class LastCheckpoint(ModelCheckpoint):
    """Keeps ``last.ckpt``: every ``every_n_train_steps`` steps and at the end of every epoch, after its validation.

    Behind a step that a validation follows, an epoch's last or one within it, nothing is saved before that is done:
    Lightning would take it for done and go on with the next step. ``metrics`` are those of the moment of saving; after
    loading, of the checkpoint.
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
        """Save at a multiple of the interval, behind a whole step: the gradient of a part is in no checkpoint.

        Where the time is over in mid-epoch (``trainer.max_time``), save as well, here or behind the validation that
        Lightning then makes, so that a run that is given more goes on there: behind the epoch, which Lightning ends at
        once, it would go on with the next.
        """
        if may_end(trainer):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
            if trainer.should_stop:
                self.save(trainer)
        elif trainer.fit_loop._should_accumulate() and self._timed(trainer):
            trainer.should_stop = False  # the timer asks again behind the next part

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save behind a validation within an epoch what had to wait for it, and where the time is over."""
        if within_epoch(trainer) and (trainer.should_stop or trainer.global_step % self._every_n_train_steps == 0):
            self.save(trainer)

    def _timed(self, trainer: Trainer) -> bool:
        return any(isinstance(watch, Timer) for watch in trainer.callbacks)  # type: ignore[attr-defined]

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save what the steps since the last multiple have learnt."""
        self.save(trainer)

    def save(self, trainer: Trainer) -> None:
        """Save, unless this step is saved already."""
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_none_monitor_checkpoint(trainer, self._monitor_candidates(trainer))

    def _save_checkpoint(self, trainer: Trainer, filepath: str) -> None:
        self.metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        super()._save_checkpoint(trainer, filepath)

    def state_dict(self) -> dict[str, Any]:
        """Keep the metrics too."""
        return super().state_dict() | {"metrics": self.metrics}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the metrics; Lightning's own state is about files of which there is only one here."""
        self.metrics = state_dict.get("metrics", {})


class BestCheckpoint(ModelCheckpoint):
    """Keeps ``best.ckpt``; of a run that goes on in another folder, the best so far comes along."""

    def __init__(self, *, dirpath: str, monitor: str, mode: str) -> None:
        super().__init__(dirpath=dirpath, filename="best", monitor=monitor, mode=mode, enable_version_counter=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best so far, wherever it lay."""
        theirs, here = Path(state_dict["best_model_path"]), Path(str(self.dirpath)) / "best.ckpt"
        if not state_dict["best_model_path"]:
            return
        if theirs == here:
            super().load_state_dict(state_dict)
        elif theirs.is_file() or here.is_file():  # the second: the whole folder was moved
            _bring(theirs, here)
            (score,) = state_dict["best_k_models"].values()
            files = {"dirpath": self.dirpath, "best_model_path": str(here), "kth_best_model_path": str(here)}
            super().load_state_dict(state_dict | files | {"best_k_models": {str(here): score}})
        else:
            log.warning("the best checkpoint so far, %s, is gone: the best of what follows will be kept", theirs)


@rank_zero_only
def _bring(source: Path, target: Path) -> None:
    if source.is_file():
        target.parent.mkdir(exist_ok=True)
        with atomic_write(target) as partial:
            shutil.copyfile(source, partial)
