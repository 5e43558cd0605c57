"""How a network learns: targets, recipe, the Lightning module and what watches a run."""

from vivit.training.callbacks import Curves, Stopwatch
from vivit.training.checkpoints import AtomicCheckpointIO, BestCheckpoint, LastCheckpoint
from vivit.training.finite import FiniteLoss
from vivit.training.interruption import Interruption
from vivit.training.memory import keep_freed
from vivit.training.metrics_file import MetricsFile
from vivit.training.module import VideoClassifier, described
from vivit.training.optim import LayerDecay, Recipe
from vivit.training.options import Compile, EarlyStop, MovingAverage, RateFinder
from vivit.training.provenance import Provenance
from vivit.training.scores import KeepScores
from vivit.training.sharding import BlockShards
from vivit.training.strengths import Strengths
from vivit.training.targets import Targets

__all__ = [
    "AtomicCheckpointIO",
    "BestCheckpoint",
    "BlockShards",
    "Compile",
    "Curves",
    "EarlyStop",
    "FiniteLoss",
    "Interruption",
    "KeepScores",
    "LastCheckpoint",
    "LayerDecay",
    "MetricsFile",
    "MovingAverage",
    "Provenance",
    "RateFinder",
    "Recipe",
    "Stopwatch",
    "Strengths",
    "Targets",
    "VideoClassifier",
    "described",
    "keep_freed",
]
