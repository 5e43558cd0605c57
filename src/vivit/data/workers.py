"""What a worker does with signals that are meant for the run, and when the run is gone."""

import os
import signal
import threading
import time
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


def follow(leader: int) -> None:
    """Shield a worker of a pool, and end it when the process ``leader`` that started it is gone, however that ended.

    A pool's workers hold both ends of their queue, and would wait on it forever.
    """
    shield(0)
    threading.Thread(target=_watch, args=(leader,), daemon=True).start()


def _watch(leader: int) -> None:
    while os.getppid() == leader:
        time.sleep(0.5)
    os._exit(1)


def _end_later(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    signal.alarm(PATIENCE)
