"""Signals that end a run, and their deferral until a checkpoint is written."""

import signal
import threading
from collections.abc import Iterable
from types import FrameType
from typing import Any

TERMINATION_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C; the request of an operator or a cluster to end; a closed terminal or connection."""
DEFERRED_SIGNALS = (*TERMINATION_SIGNALS, signal.SIGUSR1, signal.SIGUSR2)
"""Those, and what a queueing system may send before it ends a process."""


class DeferredSignals:
    """Records the first of ``DEFERRED_SIGNALS`` in ``caught`` instead of raising it; a second one is raised at once.

    ``save_handlers`` records the present handlers, ``install`` replaces them, ``restore`` puts them back. User signals
    without a handler are left alone: they would only end the process. Signals that this process ignores stay ignored,
    as ``nohup`` and shells set them. A second SIGHUP is no second request: the system and the shell both send one when
    a terminal is closed. Outside the main thread, where Python handles no signals, every method does nothing.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self._handlers: dict[int, Any] = {}

    def save_handlers(self) -> None:
        """Record the handlers that ``restore`` puts back."""
        if threading.current_thread() is threading.main_thread():
            handlers = {number: signal.getsignal(number) for number in DEFERRED_SIGNALS}
            self._handlers = {
                number: handler
                for number, handler in handlers.items()
                if callable(handler) or (number in TERMINATION_SIGNALS and handler != signal.SIG_IGN)
            }

    def install(self) -> None:
        """Replace the recorded handlers."""
        for number in self._handlers:
            signal.signal(number, self._receive)

    def restore(self) -> None:
        """Put the recorded handlers back."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def reraise(self, number: int) -> None:
        """Raise a signal with the recorded handlers; if the process survives it, defer the next."""
        self.restore()
        signal.raise_signal(number)
        self.caught = None
        self.install()

    def _receive(self, number: int, _: FrameType | None) -> None:
        if self.caught is None:
            self.caught = number
        elif number != signal.SIGHUP:
            self.reraise(number)


def install_exit_handlers(numbers: Iterable[int] = TERMINATION_SIGNALS) -> None:
    """Make signals raise SystemExit in this process, except those that it ignores or handles."""
    for number in numbers:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, exit_on_signal)


def exit_on_signal(number: int, _: FrameType | None) -> None:
    """Raise SystemExit with the code by which a shell reports a signal: 128 + its number."""
    if number == signal.SIGHUP:
        signal.signal(number, signal.SIG_IGN)  # the second one of a closed terminal must not disturb the clean-up
    raise SystemExit(128 + number)
