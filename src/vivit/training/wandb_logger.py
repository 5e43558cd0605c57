"""Weights & Biases: one run a job, the same one after a resume, and offline where the service cannot be reached."""

import logging
import secrets
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from vivit.training.lightning_compat import has_experiment, rank_zero_experiment, wandb_options

log = logging.getLogger(__name__)


class ResumableWandbLogger(WandbLogger):
    """The W&B run of a run folder: its name is the folder's, its group the sweep's that the folder lies in.

    Its id is stored in ``wandb_id.txt``, so that a resumed job goes on with the same run. Checkpoints, code and console
    are not copied: they lie in the run folder. Where the service cannot be reached, or nobody is logged in, the run
    goes on offline and ``wandb sync`` uploads it later.
    """

    def __init__(
        self, folder: str, *, project: str = "vivit", entity: str | None = None, offline: bool = False
    ) -> None:
        self.folder = Path(folder)
        super().__init__(
            name=self.folder.name,
            save_dir=folder,
            project=project,
            entity=entity,
            group=get_sweep_name(self.folder),
            mode="offline" if offline else None,
            settings=wandb.Settings(console="off", save_code=False, init_timeout=60),
        )
        wandb_options(self).pop("anonymous")  # Lightning 2.6.6 passes it, W&B warns of it

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run, started at the first access; on ranks above 0 an object that does nothing."""
        if has_experiment(self):
            return super().experiment
        if wandb.run is not None:
            wandb.finish()  # of the job before this one, in the same process
        wandb_options(self)["id"] = load_or_create_run_id(self.folder)
        try:
            return super().experiment
        except wandb.Error as error:
            log.warning("W&B cannot be reached, so the run is logged in %s: %s", self.folder / "wandb", error)
            wandb_options(self)["mode"] = "offline"
            return super().experiment

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the run of a failed job, as failed. A good one is closed by the next job or the end."""
        if status == "failed" and has_experiment(self):
            self.experiment.finish(exit_code=1)


def get_sweep_name(folder: Path) -> str | None:
    """Return the sweep of a run folder, ``logs/<task>/multiruns/<sweep>/<job>``; None outside of one."""
    return folder.parent.name if folder.parent.parent.name == "multiruns" else None


def load_or_create_run_id(folder: Path) -> str:
    """Return the id of a folder's run, which is drawn and stored the first time."""
    file = folder / "wandb_id.txt"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(secrets.token_hex(4), encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()
