"""Processes that read or draw videos beside the main one: how they start, which signals they heed, when they end.

How they start is Python's choice, see ``multiprocessing.set_start_method``. Until 3.13 Linux forks the main process.
From 3.14 on it forks a server, which holds nothing of the main process: what a worker needs is imported by the server,
once, or by each worker anew.
"""

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from types import FrameType

PRELOADED = ("__main__", "vivit.data.datasets", "vivit.data.loader", "vivit.data.view_samplers")
"""Modules that the server imports: the command's, as Python does by default, and what reading a clip takes."""
GROUP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""What Ctrl-C, a closed terminal and a cluster send to every process of a group."""
GRACE = 30
"""Seconds by which a worker outlives a SIGTERM at most."""


def start_worker_server() -> None:
    """Start the server that workers are forked from, where Python uses one and none runs; do not wait for its imports.

    The server inherits two things. It finds modules where this process does: older Pythons have it search elsewhere.
    And it ignores signals to the process group: a run that is asked to end reads on until it has saved, and workers end
    with their server.
    """
    if multiprocessing.get_start_method() != "forkserver":
        return
    multiprocessing.set_forkserver_preload([*PRELOADED])
    path, mask = os.environ.get("PYTHONPATH"), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    os.environ["PYTHONPATH"] = os.pathsep.join(map(str, sys.path))
    try:
        for start in (resource_tracker.ensure_running, forkserver.ensure_running):
            signal.pthread_sigmask(signal.SIG_BLOCK, GROUP_SIGNALS)  # anew: the tracker's start unblocks some
            start()
    finally:
        if path is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = path
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def worker_pool(workers: int | None = None) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes, by default one for each core; at the end kill them, whatever they are doing.

    So each piece of their work must leave a file complete or absent.
    """
    start_worker_server()
    pool = ProcessPoolExecutor(workers, initializer=init_worker)
    try:
        yield pool
    finally:
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown()  # which cancels nothing: a pool that breaks stumbles over what was cancelled


def init_worker(number: int = 0) -> None:
    """Ignore signals to the process group in this worker, so that the run can save, and end it with the main process.

    What a fork holds of the main process is never collected here: to free a decoder there would be to wait for threads
    that a fork does not have.

    The run itself stops its workers when it ends. Where it was killed they would wait forever: each keeps both ends of
    its queue open.
    """
    gc.freeze()
    for group_signal in GROUP_SIGNALS:
        signal.signal(group_signal, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, _exit_later)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, GROUP_SIGNALS)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _exit_later(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    signal.alarm(GRACE)
