"""The embedded data set ``motion``: its scenes, how they are drawn and encoded on this machine, and its class."""

from vivit.data.datasets.motion.dataset import Motion
from vivit.data.datasets.motion.drawing import object_mask, render
from vivit.data.datasets.motion.generation import COLUMNS, encode, generate, generate_if_missing
from vivit.data.datasets.motion.scenes import (
    DIFFICULTIES,
    MIRROR,
    PAIRS,
    REVERSE,
    SIDE,
    SPLITS,
    VERBS,
    Scene,
    Split,
    scene,
    trajectory,
)
from vivit.data.datasets.motion.shapes import NOUNS, signed_distance

__all__ = [
    "COLUMNS",
    "DIFFICULTIES",
    "MIRROR",
    "NOUNS",
    "PAIRS",
    "REVERSE",
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
