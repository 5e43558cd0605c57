"""Messages of libraries that are not about a run: advertisements, deprecations of one by another."""

import logging
import sys
import warnings

CHATTY = tuple(f"lightning.{part}.utilities.rank_zero" for part in ("pytorch", "fabric"))
"""Loggers whose information is about Lightning itself; commands say what matters of it, and its warnings stay."""
ANSWERED = (
    r"The number of training batches \(\d+\) is smaller than the logging interval",
    r"The '\w+_dataloader' does not have many workers",
    r"Checkpoint directory .* exists and is not empty",
    r"Be aware that when using `ckpt_path`, callbacks used to create the checkpoint",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
)
"""Warnings that say nothing new: epochs are logged however short, workers are chosen, a run resumes in its folder, and
a test has no use for the callbacks of training."""


def quiet_libraries() -> None:
    """Have this process leave out what libraries print that is not about its run.

    With warnings set by ``python -W`` or ``PYTHONWARNINGS`` all of them are printed, as asked for.
    """
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in [name for name in logging.root.manager.loggerDict if name in ("lightning", "lightning.pytorch")]:
        _leave_to_root(logging.getLogger(name))
    if sys.warnoptions:
        return
    for message in ANSWERED:
        warnings.filterwarnings("ignore", message)
    for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
        warnings.filterwarnings("ignore", category=category, module=r"(lightning|torch|torchmetrics|hydra|omegaconf)\b")


def _leave_to_root(logger: logging.Logger) -> None:
    """Have records of a logger printed once where those of the root are, rather than by the logger too."""
    if logging.root.handlers:
        logger.handlers.clear()
        logger.propagate = True
