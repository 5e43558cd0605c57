"""The weights that a network starts from, and foreign ones in and out.

Names that other projects give to parameters are known here and nowhere else.
"""

from vivit.weights.image import load_image_weights
from vivit.weights.report import LoadReport
from vivit.weights.scenic import export_scenic, model_from_scenic
from vivit.weights.video import load_video_weights
from vivit.weights.wide_positions import draw_wide_positions

__all__ = [
    "LoadReport",
    "draw_wide_positions",
    "export_scenic",
    "load_image_weights",
    "load_video_weights",
    "model_from_scenic",
]
