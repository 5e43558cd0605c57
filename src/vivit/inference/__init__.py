"""Inference from a network: predictions of videos, attention rollout with its pictures, exported model files."""

from vivit.inference.attention_rollout import HEAD_FUSIONS, rollout
from vivit.inference.overlay import (
    overlay_heatmap,
    plot_temporal_attention,
    upsample_heatmap,
    upscale_frames,
    write_contact_sheet,
    write_mp4,
)
from vivit.inference.page import error_html, prediction_html
from vivit.inference.predictor import Predictor
from vivit.inference.preprocessing import Preprocessing
from vivit.inference.sliding_prediction import SlidingPrediction, plot_sliding

__all__ = [
    "HEAD_FUSIONS",
    "Predictor",
    "Preprocessing",
    "SlidingPrediction",
    "error_html",
    "overlay_heatmap",
    "plot_sliding",
    "plot_temporal_attention",
    "prediction_html",
    "rollout",
    "upsample_heatmap",
    "upscale_frames",
    "write_contact_sheet",
    "write_mp4",
]
