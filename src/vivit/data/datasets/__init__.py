"""Data sets: the videos of each split, their labels, the names of the classes. One file a data set.

One of your own derives from ``VideoDataset`` and is registered by ``register_dataset``.
"""

from vivit.data.datasets.base import SPLITS, Split, VideoDataset
from vivit.data.datasets.csv import CsvDataset
from vivit.data.datasets.csv_folds import CsvKFold
from vivit.data.datasets.epic_kitchens import EpicKitchensFrames, EpicKitchensVideos
from vivit.data.datasets.kinetics import Kinetics
from vivit.data.datasets.moments import Moments
from vivit.data.datasets.motion.dataset import Motion
from vivit.data.datasets.registry import build_dataset, dataset_class, dataset_from_options, register_dataset
from vivit.data.datasets.split_stats import SplitStats
from vivit.data.datasets.ssv2 import SomethingSomething
from vivit.data.datasets.tar_files import TarFiles
from vivit.data.datasets.video_folder import VideoFolder
from vivit.data.transforms.flip import FlipLabelMap
from vivit.structures import Video

__all__ = [
    "SPLITS",
    "CsvDataset",
    "CsvKFold",
    "EpicKitchensFrames",
    "EpicKitchensVideos",
    "FlipLabelMap",
    "Kinetics",
    "Moments",
    "Motion",
    "SomethingSomething",
    "Split",
    "SplitStats",
    "TarFiles",
    "Video",
    "VideoDataset",
    "VideoFolder",
    "build_dataset",
    "dataset_class",
    "dataset_from_options",
    "register_dataset",
]
