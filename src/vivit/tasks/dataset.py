"""The data set that a configuration describes, for tasks that decode and train nothing and so wait for no Lightning."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vivit.addresses import is_address
from vivit.data.datasets import VideoDataset, dataset_from_options
from vivit.data.datasets.csv import SPLIT
from vivit.data.datasets.root_folder import check_root_folder
from vivit.data.storage.remote_path import Folder
from vivit.structures import Heads, label_columns, multi_label_heads


def build_dataset(cfg: DictConfig) -> VideoDataset:
    """Return the data set alone, with all of its training videos."""
    options: Any = cfg.data.dataset
    if OmegaConf.is_config(options):
        options = OmegaConf.to_container(options, resolve=True, throw_on_missing=True)
    return dataset_from_options(options, root=cfg.data.root, val_share=cfg.data.get("val_share"))


def check_data_root(cfg: DictConfig) -> None:
    """Raise ConfigError where the folder of the videos is missing, and this code does not make it."""
    dataset = build_dataset(cfg)
    if not dataset.generated and isinstance(dataset.root, Path):
        check_root_folder(dataset.root)


def write_splits(dataset: VideoDataset, file: Path) -> None:
    """Write a CSV file of all usable videos: path, classes by head, split. ``data=csv data.dataset.file=`` reads it.

    Several classes of a head are separated by ";"; a video without a label has none.
    """
    with file.open("w", newline="", encoding="utf-8", errors="surrogateescape") as target:
        rows = csv.writer(target)
        rows.writerow(["path", *dataset.heads, SPLIT])
        for split in dataset.splits:
            for video in dataset.videos(split):
                path = relative_path(video.path, dataset.root)
                rows.writerow([path, *_class_names(dataset.heads, video.labels), split])


def relative_path(path: str, root: Folder) -> str:
    """Return a video's path relative to the root of its data set; one at another address as it is."""
    if isinstance(root, Path) and not is_address(path):
        return os.path.relpath(path, root)
    return path.removeprefix(f"{root}/")


def _class_names(heads: Heads, labels: Sequence[int]) -> Iterator[str]:
    for (head, columns), names in zip(label_columns(heads).items(), heads.values(), strict=True):
        of_head = labels[columns]
        if head in multi_label_heads(heads):
            yield ";".join(name for name, label in zip(names, of_head, strict=True) if label)
        else:
            yield names[of_head[0]] if of_head[0] >= 0 else ""
