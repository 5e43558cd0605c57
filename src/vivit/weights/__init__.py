"""Foreign weights, in and out. Names that other projects give to parameters are known here and nowhere else."""

from vivit.weights.image import load_image_weights
from vivit.weights.report import LoadReport
from vivit.weights.scenic import export_scenic, model_from_scenic
from vivit.weights.video import load_video_weights

__all__ = ["LoadReport", "export_scenic", "load_image_weights", "load_video_weights", "model_from_scenic"]
