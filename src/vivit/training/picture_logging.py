"""Pictures of the run folder for those loggers that take pictures: Weights & Biases, and TensorBoard."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from PIL import Image


def log_pictures(trainer: Trainer, files: Mapping[str, Path]) -> None:
    """Pass PNG files by name to the loggers, at the step of the training; only on the first rank.

    Those that do not exist are left out.
    """
    files = {name: file for name, file in files.items() if file.is_file()}
    if not trainer.is_global_zero or not files:
        return
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            for name, file in files.items():
                with Image.open(file) as picture:
                    pixels = np.asarray(picture.convert("RGB"))
                logger.experiment.add_image(name, pixels, trainer.global_step, dataformats="HWC")
        elif isinstance(logger, WandbLogger):
            import wandb  # here, as its import takes a second

            images = {name: wandb.Image(str(file)) for name, file in files.items()}
            logger.experiment.log({**images, "trainer/global_step": trainer.global_step})
