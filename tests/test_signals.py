"""Signals are held back, and nothing of them is lost."""

import os
import signal
from collections.abc import Iterator

import pytest

from vivit.signals import HeldSignals, leave


@pytest.fixture
def heard() -> Iterator[list[int]]:
    """What reaches the handlers that were there before; nobody handles SIGUSR1."""
    heard: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
    before = {number: signal.signal(number, lambda number, _: heard.append(number)) for number in numbers}
    yield heard
    for number, who in before.items():
        signal.signal(number, who)


def test_the_first_is_held_and_the_second_obeyed(heard: list[int]) -> None:
    held = HeldSignals()
    held.remember()
    held.hold()
    os.kill(os.getpid(), signal.SIGTERM)
    assert (held.caught, heard) == (signal.SIGTERM, [])
    os.kill(os.getpid(), signal.SIGINT)
    assert heard == [signal.SIGINT]
    held.release()
    os.kill(os.getpid(), signal.SIGUSR2)
    assert heard == [signal.SIGINT, signal.SIGUSR2]


def test_one_that_is_obeyed_and_survived_leaves_the_next_held(heard: list[int]) -> None:
    held = HeldSignals()
    held.remember()
    held.hold()
    for number in (signal.SIGUSR2, signal.SIGTERM):
        os.kill(os.getpid(), number)
        assert held.caught == number
        held.obey(number)
        assert held.caught is None
    held.release()
    assert heard == [signal.SIGUSR2, signal.SIGTERM]


@pytest.mark.usefixtures("heard")
def test_a_user_signal_that_nobody_handles_is_left_alone() -> None:
    held = HeldSignals()
    held.remember()
    held.hold()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGUSR2) is not signal.SIG_DFL
    held.release()


def test_leaving_tells_the_signal_as_a_shell_does() -> None:
    with pytest.raises(SystemExit) as left:
        leave(signal.SIGTERM, None)
    assert left.value.code == 143
