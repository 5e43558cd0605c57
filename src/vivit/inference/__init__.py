"""Attention rollout and class probabilities over time, as pictures, videos and HTML."""

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
from vivit.inference.timeline import plot_timeline

__all__ = [
    "HEAD_FUSIONS",
    "error_html",
    "overlay_heatmap",
    "plot_temporal_attention",
    "plot_timeline",
    "prediction_html",
    "rollout",
    "upsample_heatmap",
    "upscale_frames",
    "write_contact_sheet",
    "write_mp4",
]
