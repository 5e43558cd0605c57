"""What a data worker does with signals that are meant for the run."""

import signal
from types import FrameType

PATIENCE = 30
"""Seconds that a worker outlives a SIGTERM by at most."""


def shield(worker: int) -> None:
    """Let a worker go on where its whole process group is told to end, so that the run can finish its step and save.

    Ctrl-C, a closed terminal and a cluster's signals reach every process of a group. The run itself stops its workers
    when it ends.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, _end_later)


def _end_later(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    signal.alarm(PATIENCE)
