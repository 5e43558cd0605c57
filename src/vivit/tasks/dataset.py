"""The data set that a configuration describes, for tasks that decode and train nothing and so wait for no Lightning."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vivit.data.datasets import VideoDataset, dataset_from_options


def build_dataset(cfg: DictConfig) -> VideoDataset:
    """Return the data set alone, with all of its training videos."""
    options: Any = OmegaConf.to_container(cfg.data.dataset, resolve=True, throw_on_missing=True)
    return dataset_from_options(options, root=Path(cfg.data.root))
