"""Private hooks of Lightning 2.6, and public ones that its types do not declare: all that training uses, in one place.

``tests/training/test_lightning_compat.py`` checks that they exist in the installed version. ``OVERRIDDEN`` lists the
private methods that classes of this room override or call on themselves.
"""

import math
from collections.abc import Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.fabric.loggers.logger import rank_zero_experiment as rank_zero_experiment  # loggers outside rank 0
from lightning.fabric.utilities.types import _PATH as PathLike
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar, WeightAveraging
from lightning.pytorch.loggers import CSVLogger, WandbLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from lightning.pytorch.trainer.states import TrainerFn
from torch.optim.swa_utils import AveragedModel

__all__ = ["PathLike", "rank_zero_experiment"]

OVERRIDDEN: Mapping[type, tuple[str, ...]] = {
    ModelCheckpoint: ("_save_checkpoint", "_save_topk_checkpoint"),
    TQDMProgressBar: ("_should_update",),
    WeightAveraging: ("_copy_average_to_current",),
    ExperimentWriter: ("_record_new_keys", "_check_log_dir_exists"),
    DDPStrategy: ("_setup_model",),
    ModelParallelStrategy: ("_setup_distributed",),
}


def get_callbacks(trainer: Trainer) -> list[Callback]:
    """Return the live list of the trainer's callbacks."""
    return trainer.callbacks  # type: ignore[attr-defined, no-any-return]


def get_log_interval(trainer: Trainer) -> int:
    """Return ``log_every_n_steps``; 0 for none."""
    return trainer.log_every_n_steps  # type: ignore[attr-defined, no-any-return]


def is_training(module: LightningModule) -> bool:
    """Return whether a module has a trainer, and that one trains."""
    return module._trainer is not None and module._trainer.training


def is_fitting(trainer: Trainer) -> bool:
    """Return whether the trainer fits, and neither validates nor tests alone."""
    return trainer.state.fn == TrainerFn.FITTING


def steps_an_epoch(trainer: Trainer) -> int:
    """Return the steps of an epoch of training, the last of which may accumulate fewer batches."""
    return math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)


def load_training_data(trainer: Trainer) -> None:
    """Load the training data now, so that the number of batches is known."""
    trainer.fit_loop.setup_data()


def count_by_epochs(trainer: Trainer) -> None:
    """Make a run that ``max_steps`` ends resume as any other.

    Lightning would take the last epoch, though complete, for one in progress, and leave out the one that is due.
    """
    trainer.fit_loop._iteration_based_training = lambda: False  # type: ignore[method-assign]


def restore_train_loader(trainer: Trainer) -> None:
    """Restore the position of the training loader from the checkpoint.

    Lightning does so when it sets the loader up, but ``configure_optimizers``, which needs the number of steps, makes
    it do that before it has read the checkpoint's progress.
    """
    trainer.fit_loop._load_combined_loader_states()


def number_next_step(trainer: Trainer) -> None:
    """Set the number under which loggers record the step that begins: that of the steps before it.

    Lightning's own number is one too low after a resume behind the validation that it makes where a run is stopped in
    mid-epoch: it would add the step when it came to that validation again, which is not due any more.
    """
    trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step


def is_accumulating(trainer: Trainer) -> bool:
    """Return whether the batch under way is a part of a step that is not complete."""
    return trainer.fit_loop._should_accumulate()


def is_logged_step(trainer: Trainer, step: int) -> bool:
    """Return whether step ``step``, counted from 1, is one behind which ranks communicate and the host may wait.

    Those are the steps that loggers record, every ``log_every_n_steps`` and the one behind which a run stops, and the
    last of an epoch and of all, which are reported and saved. Of the parts of a step it is the last one alone.
    """
    if is_accumulating(trainer):
        return False
    every = get_log_interval(trainer)
    due = every > 0 and step % every == 0
    return due or trainer.should_stop or trainer.is_last_batch or step == trainer.max_steps


def show_in_progress_bar(trainer: Trainer, metrics: Mapping[str, float]) -> None:
    """Pass numbers to the progress bar, of whatever class.

    Lightning would read those of ``log(prog_bar=True)`` from their device in every step.
    """
    trainer._logger_connector._progress_bar_metrics.update(metrics)


def drop_signal_broadcast(trainer: Trainer) -> None:
    """Take out of every step what Lightning broadcasts: whether the first rank has received SIGTERM.

    Whoever calls this has the ranks agree on signals in another way.
    """
    trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # type: ignore[method-assign]


def is_step_boundary(trainer: Trainer) -> bool:
    """Return whether a run may be saved and ended behind this batch: a whole step that no validation follows."""
    loop = trainer.fit_loop
    if trainer.is_last_batch or is_accumulating(trainer):
        return False
    return loop._data_fetcher is None or not loop.epoch_loop._should_check_val_fx(loop._data_fetcher)


def is_mid_epoch_validation(trainer: Trainer) -> bool:
    """Return whether a validation that ends here is one within an epoch, behind a whole step."""
    if trainer.sanity_checking or not is_fitting(trainer):
        return False
    return not (trainer.is_last_batch or is_accumulating(trainer))


def save_interval(checkpoint: ModelCheckpoint) -> int:
    """Return the number of steps between two checkpoints."""
    return checkpoint._every_n_train_steps


def save_once(checkpoint: ModelCheckpoint, trainer: Trainer) -> None:
    """Save a checkpoint now, unless this step is saved already."""
    if not checkpoint._should_skip_saving_checkpoint(trainer):
        checkpoint._save_none_monitor_checkpoint(trainer, checkpoint._monitor_candidates(trainer))


def has_saved(trainer: Trainer) -> bool:
    """Return whether a run has a checkpoint to go on from: one that it has written, or that it was started from."""
    saved = any(getattr(callback, "_last_checkpoint_saved", "") for callback in trainer.checkpoint_callbacks)
    return saved or trainer.ckpt_path is not None


def log_train_step(trainer: Trainer) -> None:
    """Pass this step's metrics to the loggers, as Lightning does behind all callbacks."""
    trainer._logger_connector.update_train_step_metrics()


def log_train_epoch(trainer: Trainer) -> None:
    """Pass an epoch's metrics to the loggers at its last step, as Lightning does behind all callbacks."""
    loop = trainer.fit_loop.epoch_loop
    trainer._logger_connector.on_epoch_end()
    loop._batches_that_stepped -= 1
    trainer._logger_connector.update_train_epoch_metrics()
    loop._batches_that_stepped += 1


def log_test_metrics(trainer: Trainer, metrics: Mapping[str, float]) -> None:
    """Pass metrics of a test to the loggers, at the step and epoch of the training before it."""
    values: dict[str, Any] = dict(metrics)
    trainer._logger_connector.log_metrics(values)


def count_in_parts(checkpoint: Mapping[str, Any], saved: int, parts: int) -> None:
    """Count a checkpoint's batches anew, in place, where a step had ``saved`` of them and has ``parts`` now.

    Checkpoints lie behind complete steps; a batch whose end was not counted yet stays one.
    """
    progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    total, current = progress["total"], progress["current"]
    before, open_batches = total["ready"] - current["ready"], current["ready"] - current["completed"]
    for counts, batches in ((total, before * parts // saved), (current, 0)):
        ready = batches + current["ready"] * parts // saved
        counts |= {"ready": ready, "started": ready, "processed": ready, "completed": ready - open_batches}


def loader_state(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the training loader had stored in a checkpoint; empty where there is none."""
    states = checkpoint["loops"]["fit_loop"]["state_dict"].get("combined_loader") or [{}]
    return dict(states[0])


def get_average_model(callback: WeightAveraging) -> AveragedModel | None:
    """Return the average of a weight-averaging callback; None before it is set up."""
    return callback._average_model


def set_average_model(callback: WeightAveraging, average: AveragedModel) -> None:
    """Set the average of a weight-averaging callback, in place of its ``setup``."""
    callback._average_model = average


def wandb_options(logger: WandbLogger) -> dict[str, Any]:
    """Return the arguments, to be changed, by which a W&B run will be started."""
    return logger._wandb_init


def has_experiment(logger: WandbLogger | CSVLogger) -> bool:
    """Return whether a logger has started its experiment."""
    return logger._experiment is not None
