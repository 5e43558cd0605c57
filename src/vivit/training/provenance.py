"""What a run is made of, written down when it starts, so that one that dies still says what it was."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_only


class Provenance(Callback):
    """Writes ``provenance.json`` into the run folder and hands it to the loggers.

    ``facts`` are those of the code (versions, commit); network and data come from the module's record, and what is
    only known once everything is set up (devices, videos found, steps, resumed or not) from the trainer.
    """

    def __init__(self, folder: str, facts: Mapping[str, Any]) -> None:
        self.file = Path(folder) / "provenance.json"
        self.facts = facts

    @rank_zero_only
    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Write it down."""
        known = {
            **self.facts,
            "devices": [device_name(trainer), trainer.world_size],
            "precision": str(trainer.precision),
            "videos": videos_of(trainer),
            "steps": int(trainer.estimated_stepping_batches),
            "started_at_step": trainer.global_step,
            **{key: value for key, value in pl_module.record.items() if key in ("model", "data")},
        }
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
        for logger in trainer.loggers:
            logger.log_hyperparams(known)


def device_name(trainer: Trainer) -> str:
    """Name the device that the run is on, as its maker does where there is such a name."""
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def videos_of(trainer: Trainer) -> dict[str, int]:
    """Count the videos of the splits that training looks at."""
    loaders = {"train": trainer.train_dataloader, "val": trainer.val_dataloaders}
    return {split: len(loader.dataset) for split, loader in loaders.items() if loader is not None}
