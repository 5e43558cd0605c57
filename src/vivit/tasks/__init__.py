"""Build what a configuration describes, and run it: the only room that reads configurations. One command a file."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vivit.tasks.benchmark import benchmark
    from vivit.tasks.config_checks import Paths
    from vivit.tasks.convert import convert
    from vivit.tasks.demo import demo
    from vivit.tasks.evaluate import evaluate
    from vivit.tasks.export import export
    from vivit.tasks.predict import predict
    from vivit.tasks.prepare import prepare
    from vivit.tasks.train import train

__all__ = ["Paths", "benchmark", "convert", "demo", "evaluate", "export", "predict", "prepare", "train"]


def __getattr__(name: str) -> Any:
    """Return a task when it is first asked for: a command waits for the libraries of its own task alone."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'config_checks' if name == 'Paths' else name}"), name)
