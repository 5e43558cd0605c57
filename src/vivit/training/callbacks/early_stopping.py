"""Early stopping that survives a resume."""

import logging
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping

log = logging.getLogger(__name__)


class ResumableEarlyStopping(EarlyStopping):
    """Stops a run that no longer improves; Lightning's own trains for one more epoch when it is resumed."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop a resumed run at once that was stopped before, unless its patience is longer now."""
        if trainer.ckpt_path is not None and self.wait_count >= self.patience:
            trainer.should_stop = True
            log.info("%s has not improved for %d validations: stopped already", self.monitor, self.wait_count)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load the count of validations, with the patience of the present configuration."""
        super().load_state_dict(state_dict | {"patience": self.patience})
