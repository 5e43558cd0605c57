"""Weights that a network starts from, and foreign weights in and out."""

from vivit.checkpoints.formats.huggingface import (
    huggingface_labels,
    huggingface_metadata,
    model_from_huggingface,
    save_huggingface,
)
from vivit.checkpoints.formats.scenic import export_scenic, model_from_scenic, save_scenic, scenic_metadata
from vivit.checkpoints.init_from_image import load_image_weights
from vivit.checkpoints.init_from_video import load_video_weights
from vivit.checkpoints.init_from_videomae import (
    load_videomae_weights,
    model_from_videomae,
    videomae_labels,
    videomae_metadata,
)
from vivit.checkpoints.load_report import LoadReport
from vivit.checkpoints.model_zoo import resolve_weight_file

__all__ = [
    "LoadReport",
    "export_scenic",
    "huggingface_labels",
    "huggingface_metadata",
    "load_image_weights",
    "load_video_weights",
    "load_videomae_weights",
    "model_from_huggingface",
    "model_from_scenic",
    "model_from_videomae",
    "resolve_weight_file",
    "save_huggingface",
    "save_scenic",
    "scenic_metadata",
    "videomae_labels",
    "videomae_metadata",
]
