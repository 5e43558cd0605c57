"""Build what a configuration describes, and run it: the only room that reads configurations. One command a file."""

from vivit.tasks.benchmark import benchmark
from vivit.tasks.build import Paths
from vivit.tasks.convert import convert
from vivit.tasks.demo import demo
from vivit.tasks.evaluate import evaluate
from vivit.tasks.export import export
from vivit.tasks.predict import predict
from vivit.tasks.prepare import prepare
from vivit.tasks.train import train

__all__ = ["Paths", "benchmark", "convert", "demo", "evaluate", "export", "predict", "prepare", "train"]
