"""Signs of life while something takes its time: a function that is called every second, and waits that are logged."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vivit.text import format_duration

BEAT = 1.0
"""Seconds between two calls."""
FIRST_SIGNS = (8.0, 30.0, 60.0)
"""Seconds after which a wait is logged; then every ``LATER_SIGNS``."""
LATER_SIGNS = 60.0


class Heartbeat:
    """Calls a function every second, from a thread, until it is stopped."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._stopped = threading.Event()
        threading.Thread(target=self._run, args=(beat,), daemon=True).start()

    def _run(self, beat: Callable[[], None]) -> None:
        while not self._stopped.wait(BEAT):
            beat()

    def stop(self) -> None:
        """Call it no more."""
        self._stopped.set()


@dataclass
class Wait:
    """Something that takes its time: since when, and when that is logged next, in seconds from then."""

    what: str
    began: float
    due: float = field(default_factory=lambda: FIRST_SIGNS[0])

    def sign(self) -> str | None:
        """Return what to log, where that is due now."""
        waited = time.perf_counter() - self.began
        if waited < self.due:
            return None
        self.due = next((sign for sign in FIRST_SIGNS if sign > waited), waited + LATER_SIGNS)
        return f"{self.what}, for {format_duration(waited)} so far"
