"""Training: the Lightning module, loss, optimizer, regularisation, callbacks and loggers."""

from vivit.training.callbacks.batch_picture import BatchPicture
from vivit.training.callbacks.checkpoint import AtomicCheckpointIO, BestCheckpoint, LastCheckpoint
from vivit.training.callbacks.compile import Compile
from vivit.training.callbacks.curves import CurvePlotter
from vivit.training.callbacks.early_stopping import ResumableEarlyStopping
from vivit.training.callbacks.ema import EMA
from vivit.training.callbacks.lr_finder import LRFinder
from vivit.training.callbacks.nan_check import NaNCheck
from vivit.training.callbacks.predictions import PredictionWriter
from vivit.training.callbacks.preemption import PreemptionCheckpoint
from vivit.training.callbacks.progress import RunProgress
from vivit.training.callbacks.regularisation import RegularisationScheduler
from vivit.training.callbacks.run_metadata import RunMetadata
from vivit.training.callbacks.throughput import ThroughputMonitor
from vivit.training.callbacks.time_limit import TimeLimit
from vivit.training.csv_logger import ResumableCSVLogger
from vivit.training.ddp import StaticGraphDDPStrategy
from vivit.training.frozen_cache import FrozenCache
from vivit.training.fsdp import BlockFSDPStrategy
from vivit.training.lightning_compat import log_test_metrics
from vivit.training.losses import SoftTargetLoss
from vivit.training.model_text import format_model
from vivit.training.module import VideoClassifier
from vivit.training.optim import LayerDecay, OptimizerConfig
from vivit.training.picture_logging import log_pictures

__all__ = [
    "EMA",
    "AtomicCheckpointIO",
    "BatchPicture",
    "BestCheckpoint",
    "BlockFSDPStrategy",
    "Compile",
    "CurvePlotter",
    "FrozenCache",
    "LRFinder",
    "LastCheckpoint",
    "LayerDecay",
    "NaNCheck",
    "OptimizerConfig",
    "PredictionWriter",
    "PreemptionCheckpoint",
    "RegularisationScheduler",
    "ResumableCSVLogger",
    "ResumableEarlyStopping",
    "RunMetadata",
    "RunProgress",
    "SoftTargetLoss",
    "StaticGraphDDPStrategy",
    "ThroughputMonitor",
    "TimeLimit",
    "VideoClassifier",
    "format_model",
    "log_pictures",
    "log_test_metrics",
]
