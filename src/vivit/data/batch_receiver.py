"""Receiving the batches that workers have ready: the next one meanwhile, and an error where a worker died."""

import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from queue import SimpleQueue

from vivit.structures import Batch

DEAD_AFTER = 1.0
"""Seconds between two looks at workers whose batch does not come; one that is dead in both of them is an error."""


class BatchReceiver:
    """Receives the batches of an epoch, the next one in a thread: a busy machine answers each of its questions late.

    One thread serves the epoch, until ``close``: to start one takes a busy machine longer than to receive a batch. A
    process that ends does not wait for it.
    """

    def __init__(self, batches: Iterator[Batch], workers: Sequence[BaseProcess]) -> None:
        self._batches, self._workers = batches, workers
        self._requests: SimpleQueue[Future[Batch | None] | None] = SimpleQueue()
        threading.Thread(target=self._receive, name="receive batches", daemon=True).start()
        self.request()

    def request(self) -> None:
        """Start to receive the next batch."""
        self._pending: Future[Batch | None] = Future()
        self._requests.put(self._pending)

    def close(self) -> None:
        """End the thread, once what was requested has come."""
        self._requests.put(None)

    def wait(self) -> Batch | None:
        """Return the batch that was requested, None behind the last one.

        Raises ``RuntimeError`` where a worker died and the batch does not come.
        """
        dead: list[BaseProcess] = []
        while True:
            try:
                return self._pending.result(DEAD_AFTER)
            except (ConnectionError, EOFError) as error:  # of memory that a worker shared
                raise RuntimeError("DataLoader worker exited unexpectedly, while its batch was received") from error
            except TimeoutError:
                if dead:
                    how = " and ".join(_describe_end(worker) for worker in dead)
                    raise RuntimeError(f"DataLoader worker {how}") from None
                dead = [worker for worker in self._workers if not worker.is_alive()]

    def _receive(self) -> None:
        while (pending := self._requests.get()) is not None:
            try:
                pending.set_result(next(self._batches, None))
            except BaseException as error:
                pending.set_exception(error)


@contextmanager
def without_child_handler() -> Iterator[None]:
    """Undo what torch does to the signal of a dead child: raise in whatever the main process does then.

    That may be half of a checkpoint; ``BatchReceiver`` asks after the workers where their batch is needed.
    """
    handler = signal.getsignal(signal.SIGCHLD)
    yield
    if signal.getsignal(signal.SIGCHLD) is not handler:
        signal.signal(signal.SIGCHLD, handler or signal.SIG_DFL)


def _describe_end(worker: BaseProcess) -> str:
    if (code := worker.exitcode or 0) < 0:
        return f"(pid {worker.pid}) is killed by signal: {signal.strsignal(-code)}"
    return f"(pid {worker.pid}) exited unexpectedly, with code {code}"
