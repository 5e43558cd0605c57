"""ViViT: A Video Vision Transformer (Arnab et al., ICCV 2021) as an experiment repository."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vivit.data.readers.video_reader import VideoReader
    from vivit.inference.load import load
    from vivit.inference.predictor import Predictor
    from vivit.models import create_model

# Threads of a step that wait for each other sleep, and leave their cores to the workers that decode: OpenMP reads this
# once, when torch is imported. Whoever sets it keeps what they set.
os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "passive")

__all__ = ["Predictor", "VideoReader", "create_model", "load"]

_HOMES = {
    "Predictor": "vivit.inference.predictor",
    "VideoReader": "vivit.data.readers.video_reader",
    "create_model": "vivit.models",
    "load": "vivit.inference.load",
}


_ROOMS = ("checkpoints", "data", "errors", "evaluation", "inference", "models")
"""Subpackages that are there after ``import vivit``, too."""


def __getattr__(name: str) -> Any:
    """Return a name of the Python interface when it is first asked for, so that ``import vivit`` waits for no torch."""
    if name in _ROOMS:
        return import_module(f"vivit.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """Return the names of the Python interface."""
    return [*__all__, *_ROOMS]
