"""Compilation of the network by ``torch.compile``."""

from collections.abc import Callable
from typing import Any

from lightning import Callback, Trainer


class Compile(Callback):
    """Compiles the network in place: its parameters keep their names, unlike with ``torch.compile(network)``."""

    def __init__(self, backend: str | Callable[..., Any] = "inductor") -> None:
        self.backend = backend

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Compile; the work is done when the first batch comes."""
        pl_module.network.compile(backend=self.backend)
