"""Foreign weights, in and out. Names that other projects give to parameters are known here and nowhere else."""

from vivit.weights.report import LoadReport
from vivit.weights.scenic import export_scenic, model_from_scenic

__all__ = ["LoadReport", "export_scenic", "model_from_scenic"]
