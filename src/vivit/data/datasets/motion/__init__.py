"""The embedded data set ``motion``: its drawings, their generation on this machine, and the data set class."""

from vivit.data.datasets.motion.dataset import Motion
from vivit.data.datasets.motion.drawing import (
    MIRROR,
    NOUNS,
    SIDE,
    SPLITS,
    VERBS,
    Scene,
    Split,
    object_mask,
    render,
    scene,
    signed_distance,
    trajectory,
)
from vivit.data.datasets.motion.generation import COLUMNS, encode, generate, generate_if_missing

__all__ = [
    "COLUMNS",
    "MIRROR",
    "NOUNS",
    "SIDE",
    "SPLITS",
    "VERBS",
    "Motion",
    "Scene",
    "Split",
    "encode",
    "generate",
    "generate_if_missing",
    "object_mask",
    "render",
    "scene",
    "signed_distance",
    "trajectory",
]
