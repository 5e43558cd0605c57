"""Weights & Biases: one run a job, the same one after a resume, and never a reason to fail."""

import logging
import secrets
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only

log = logging.getLogger(__name__)


class WandbRun(WandbLogger):
    """The run that belongs to a run folder: its name is the folder's, its group the sweep's that the folder lies in.

    Its id is kept in ``wandb_id.txt``, so that a resumed job goes on with the same run. Checkpoints, code and console
    are not copied: they lie in the run folder. Where the service cannot be reached, or nobody is logged in, the run
    goes on offline and ``wandb sync`` brings it there later.
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
            group=sweep_of(self.folder),
            mode="offline" if offline else None,
            settings=wandb.Settings(console="off", save_code=False, init_timeout=60),
        )
        self._wandb_init.pop("anonymous")  # Lightning 2.6.6 passes it, W&B warns of it

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run, begun at the first look; on other ranks than the first something that does nothing."""
        if self._experiment is not None:
            return super().experiment
        if wandb.run is not None:
            wandb.finish()  # of the job before this one, in the same process
        self._wandb_init["id"] = kept_id(self.folder)
        try:
            return super().experiment
        except wandb.Error as error:
            log.warning("W&B cannot be reached, so the run is kept in %s: %s", self.folder / "wandb", error)
            self._wandb_init["mode"] = "offline"
            return super().experiment

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the run of a job that failed, as failed. A good one is closed by the next job or the end."""
        if status == "failed" and self._experiment is not None:
            self._experiment.finish(exit_code=1)


def sweep_of(folder: Path) -> str | None:
    """Name the sweep that a run folder lies in: ``logs/<task>/multiruns/<sweep>/<job>``."""
    return folder.parent.name if folder.parent.parent.name == "multiruns" else None


def kept_id(folder: Path) -> str:
    """Read the id of this folder's run; make one up at first."""
    file = folder / "wandb_id.txt"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(secrets.token_hex(4), encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()
