"""Build what a configuration names, and run it: the only room that reads configurations. One task a file."""

from vivit.tasks.benchmark import benchmark
from vivit.tasks.build import Paths, check_keys
from vivit.tasks.convert import CONVERT_KEYS, convert
from vivit.tasks.demo import DEMO_KEYS, demo
from vivit.tasks.evaluate import EVAL_KEYS, evaluate
from vivit.tasks.export import EXPORT_KEYS, export
from vivit.tasks.predict import PREDICT_KEYS, predict
from vivit.tasks.prepare import PREPARE_KEYS, prepare
from vivit.tasks.train import TRAIN_KEYS, train

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
