"""Signals held back until there is a good moment to obey them."""

import signal
import threading
from types import FrameType
from typing import Any

HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""Ctrl-C; the wish of an operator or a cluster that a process ends; what a queueing system may send before it does."""


class HeldSignals:
    """Notes the first of the signals of ``HELD`` in ``caught`` instead of obeying it; a second one is obeyed at once.

    ``remember`` notes who handles the signals now, ``hold`` takes over from those and ``release`` gives back to them.
    The user signals are left alone where nobody handles them: they would then only end the process. Outside of the
    main thread, where Python handles no signals, all of it does nothing.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self._before: dict[int, Any] = {}

    def remember(self) -> None:
        """Note who is to have the signals back."""
        if threading.current_thread() is threading.main_thread():
            now = {number: signal.getsignal(number) for number in HELD}
            free = (signal.SIGINT, signal.SIGTERM)
            self._before = {number: who for number, who in now.items() if number in free or callable(who)}

    def hold(self) -> None:
        """Take the signals over from those that were remembered."""
        for number in self._before:
            signal.signal(number, self._note)

    def release(self) -> None:
        """Give the signals back."""
        for number, who in self._before.items():
            signal.signal(number, who)

    def obey(self, number: int) -> None:
        """Let a signal do what it would have done if nobody had held it; where the process lives on, hold the next."""
        self.release()
        signal.raise_signal(number)
        self.caught = None
        self.hold()

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.caught is None:
            self.caught = number
        else:
            self.obey(number)


def leave(number: int, _: FrameType | None) -> None:
    """End the process as a shell reports a signal: exit code 128 + its number."""
    raise SystemExit(128 + number)
