"""Batches are received in one thread an epoch, the next one ahead, and the thread ends with the epoch."""

import threading
from collections.abc import Iterator

import pytest
import torch

from vivit.data.batch_receiver import BatchReceiver
from vivit.structures import Batch


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "receive batches"]


def ended() -> bool:
    """Whether no thread is left; one that is told to end does so at once."""
    for thread in threads():
        thread.join(5)
    return not threads()


def batch(number: int) -> Batch:
    """A batch of video ``number``."""
    frames = torch.zeros(1, 1, 2, 4, 4, 3, dtype=torch.uint8)
    return Batch(frames, labels=torch.zeros(1, 1, dtype=torch.int64), videos=torch.tensor([number]))


def receive(batches: Iterator[Batch]) -> BatchReceiver:
    return BatchReceiver(batches, [])


def video(batch: Batch | None) -> int | None:
    return None if batch is None else int(batch.videos)


def test_one_thread_receives_all_batches_one_ahead() -> None:
    taken: list[int] = []
    seen: set[int] = set()
    receiver = receive(taken.append(number) or batch(number) for number in range(5))
    for number in range(5):
        assert video(receiver.wait()) == number
        seen |= {thread.ident for thread in threads() if thread.ident}
        assert taken == [*range(number + 1)], "no more than was requested"
        receiver.request()
    assert receiver.wait() is None
    assert len(seen) == 1
    receiver.close()
    assert ended()


def test_an_epoch_that_is_left_early_ends_its_thread_and_its_last_batch_comes() -> None:
    receiver = receive(map(batch, [1, 2, 3]))
    assert video(receiver.wait()) == 1
    receiver.request()
    receiver.close()
    assert video(receiver.wait()) == 2
    assert ended()


def test_errors_of_workers_are_raised_where_their_batch_is_needed() -> None:
    def failing() -> Iterator[Batch]:
        yield batch(1)
        raise ValueError("a worker's")

    receiver = receive(failing())
    assert video(receiver.wait()) == 1
    receiver.request()
    with pytest.raises(ValueError, match="a worker's"):
        receiver.wait()
    receiver.close()
    assert ended()
