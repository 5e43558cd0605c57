"""The data set that a configuration describes, for tasks that decode and train nothing and so wait for no Lightning."""

import csv
import os
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vivit.data.datasets import VideoDataset, dataset_from_options
from vivit.data.datasets.csv import SPLIT


def build_dataset(cfg: DictConfig) -> VideoDataset:
    """Return the data set alone, with all of its training videos."""
    options: Any = OmegaConf.to_container(cfg.data.dataset, resolve=True, throw_on_missing=True)
    return dataset_from_options(options, root=Path(cfg.data.root), val_share=cfg.data.get("val_share"))


def write_splits(dataset: VideoDataset, file: Path) -> None:
    """Write a CSV file of all usable videos: path, classes by head, split. ``data=csv data.dataset.file=`` reads it."""
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as target:
        rows = csv.writer(target)
        rows.writerow(["path", *dataset.heads, SPLIT])
        for split in dataset.splits:
            videos = dataset.videos(split)
            for video in videos:
                names = (names[label] for names, label in zip(dataset.heads.values(), video.labels, strict=True))
                rows.writerow([os.path.relpath(video.path, dataset.root), *names, split])
