"""How a network learns: targets, recipe, the Lightning module and what watches a run."""

from vivit.training.callbacks import Curves, Stopwatch
from vivit.training.checkpoints import AtomicCheckpointIO, BestCheckpoint, LastCheckpoint
from vivit.training.interruption import Interruption
from vivit.training.module import VideoClassifier, described
from vivit.training.optim import LayerDecay, Recipe
from vivit.training.sharding import BlockShards
from vivit.training.targets import Targets

__all__ = [
    "AtomicCheckpointIO",
    "BestCheckpoint",
    "BlockShards",
    "Curves",
    "Interruption",
    "LastCheckpoint",
    "LayerDecay",
    "Recipe",
    "Stopwatch",
    "Targets",
    "VideoClassifier",
    "described",
]
