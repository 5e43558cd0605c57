"""Build what a configuration names, and run it: the only room that reads configurations. One task a file."""

from vivit.experiment.benchmark import benchmark
from vivit.experiment.build import Paths, check_keys
from vivit.experiment.convert import CONVERT_KEYS, convert
from vivit.experiment.demo import DEMO_KEYS, demo
from vivit.experiment.evaluate import EVAL_KEYS, evaluate
from vivit.experiment.export import EXPORT_KEYS, export
from vivit.experiment.predict import PREDICT_KEYS, predict
from vivit.experiment.prepare import PREPARE_KEYS, prepare
from vivit.experiment.train import TRAIN_KEYS, train

__all__ = [
    "CONVERT_KEYS",
    "DEMO_KEYS",
    "EVAL_KEYS",
    "EXPORT_KEYS",
    "PREDICT_KEYS",
    "PREPARE_KEYS",
    "TRAIN_KEYS",
    "Paths",
    "benchmark",
    "check_keys",
    "convert",
    "demo",
    "evaluate",
    "export",
    "predict",
    "prepare",
    "train",
]
