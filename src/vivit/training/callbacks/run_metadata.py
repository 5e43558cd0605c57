"""Metadata of a run, written when it starts, so that a run that dies can be identified."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_only

from vivit.training.csv_logger import STARTED


class RunMetadata(Callback):
    """Writes ``run_metadata.json`` into the run folder and passes it to the loggers.

    ``facts`` are those of the code (versions, commit); network and data come from the module's record, and what is
    only known once everything is set up (devices, number of videos, steps, resumed or not) from the trainer.
    """

    def __init__(self, folder: str, facts: Mapping[str, Any]) -> None:
        self.file = Path(folder) / "run_metadata.json"
        self.facts = facts

    @rank_zero_only
    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Write and log the metadata."""
        metadata = {
            **self.facts,
            "devices": [get_device_name(trainer), trainer.world_size],
            "precision": str(trainer.precision),
            "videos": count_videos(trainer),
            "steps": int(trainer.estimated_stepping_batches),
            STARTED: trainer.global_step,
            **{
                key: value
                for key, value in pl_module.record.items()
                if key in ("model", "config", "preprocessing", "data")
            },
        }
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(metadata, indent=2) + "\n", encoding="utf-8")
        for logger in trainer.loggers:
            logger.log_hyperparams(metadata)


def get_device_name(trainer: Trainer) -> str:
    """Return the name of the run's GPU, or the type of its device."""
    device = trainer.strategy.root_device
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def count_videos(trainer: Trainer) -> dict[str, int]:
    """Return the number of videos of training and validation."""
    loaders = {"train": trainer.train_dataloader, "val": trainer.val_dataloaders}
    return {split: len(loader.dataset) for split, loader in loaders.items() if loader is not None}
