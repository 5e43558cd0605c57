"""The weights that a network starts from, and foreign ones in and out.

Names that other projects give to parameters are known here and nowhere else.
"""

from vivit.weights.huggingface import huggingface_labels, huggingface_told, model_from_huggingface, save_huggingface
from vivit.weights.image import load_image_weights
from vivit.weights.published import check_weight_file
from vivit.weights.report import LoadReport
from vivit.weights.scenic import export_scenic, model_from_scenic, save_scenic, scenic_told
from vivit.weights.scenic_windows import Network
from vivit.weights.video import load_video_weights
from vivit.weights.wide_positions import draw_wide_positions

__all__ = [
    "LoadReport",
    "Network",
    "check_weight_file",
    "draw_wide_positions",
    "export_scenic",
    "huggingface_labels",
    "huggingface_told",
    "load_image_weights",
    "load_video_weights",
    "model_from_huggingface",
    "model_from_scenic",
    "save_huggingface",
    "save_scenic",
    "scenic_told",
]
