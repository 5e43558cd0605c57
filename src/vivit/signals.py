"""Signals held back until there is a good moment to obey them."""

import signal
import threading
from types import FrameType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C; the wish of an operator or a cluster that a process ends; a terminal or a connection that is closed."""
HELD = (*ENDING, signal.SIGUSR1, signal.SIGUSR2)
"""Those, and what a queueing system may send before it ends a process."""


class HeldSignals:
    """Notes the first of the signals of ``HELD`` in ``caught`` instead of obeying it; a second one is obeyed at once.

    ``remember`` notes who handles the signals now, ``hold`` takes over from those and ``release`` gives back to them.
    The user signals are left alone where nobody handles them: they would then only end the process; so is what this
    process was told to ignore, as ``nohup`` and shells do. A second SIGHUP is no second wish: the system and the shell
    both send one when a terminal is closed. Outside of the main thread, where Python handles no signals, all of it does
    nothing.
    """

    def __init__(self) -> None:
        self.caught: int | None = None
        self._before: dict[int, Any] = {}

    def remember(self) -> None:
        """Note who is to have the signals back."""
        if threading.current_thread() is threading.main_thread():
            now = {number: signal.getsignal(number) for number in HELD}
            held = [n for n, who in now.items() if callable(who) or (n in ENDING and who != signal.SIG_IGN)]
            self._before = {number: now[number] for number in held}

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
        elif number != signal.SIGHUP:
            self.obey(number)


def leave_when_asked() -> None:
    """Have the signals of ``ENDING`` end this process in an orderly way, but for those that it is to ignore."""
    for number in ENDING:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, leave)


def leave(number: int, _: FrameType | None) -> None:
    """End the process as a shell reports a signal: exit code 128 + its number."""
    if number == signal.SIGHUP:
        signal.signal(number, signal.SIG_IGN)  # the second one of a closed terminal must not disturb what is noted now
    raise SystemExit(128 + number)
