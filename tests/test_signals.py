"""Signals are held back, and nothing of them is lost."""

import os
import signal
from collections.abc import Iterator

import pytest

from vivit.signals import TERMINATION_SIGNALS, DeferredSignals, exit_on_signal, install_exit_handlers


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
    held = DeferredSignals()
    held.save_handlers()
    held.install()
    os.kill(os.getpid(), signal.SIGTERM)
    assert (held.caught, heard) == (signal.SIGTERM, [])
    os.kill(os.getpid(), signal.SIGINT)
    assert heard == [signal.SIGINT]
    held.restore()
    os.kill(os.getpid(), signal.SIGUSR2)
    assert heard == [signal.SIGINT, signal.SIGUSR2]


def test_one_that_is_obeyed_and_survived_leaves_the_next_held(heard: list[int]) -> None:
    held = DeferredSignals()
    held.save_handlers()
    held.install()
    for number in (signal.SIGUSR2, signal.SIGTERM):
        os.kill(os.getpid(), number)
        assert held.caught == number
        held.reraise(number)
        assert held.caught is None
    held.restore()
    assert heard == [signal.SIGUSR2, signal.SIGTERM]


@pytest.mark.usefixtures("heard")
def test_a_user_signal_that_nobody_handles_is_left_alone() -> None:
    held = DeferredSignals()
    held.save_handlers()
    held.install()
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGUSR2) is not signal.SIG_DFL
    held.restore()


def test_leaving_tells_the_signal_as_a_shell_does() -> None:
    with pytest.raises(SystemExit) as left:
        exit_on_signal(signal.SIGTERM, None)
    assert left.value.code == 143


@pytest.fixture
def restored() -> Iterator[None]:
    """Whoever handled the signals before has them back."""
    before = {number: signal.getsignal(number) for number in TERMINATION_SIGNALS}
    yield
    for number, who in before.items():
        signal.signal(number, who)


@pytest.mark.usefixtures("restored")
def test_a_closed_terminal_is_one_wish_however_often_it_is_said() -> None:
    """The system and the shell both say it."""
    for number in TERMINATION_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    install_exit_handlers()
    held = DeferredSignals()
    held.save_handlers()
    held.install()
    for _ in range(3):
        os.kill(os.getpid(), signal.SIGHUP)
    assert held.caught == signal.SIGHUP
    with pytest.raises(SystemExit) as left:
        held.reraise(signal.SIGHUP)
    assert left.value.code == 129
    os.kill(os.getpid(), signal.SIGHUP)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_what_was_to_be_ignored_stays_so(number: int) -> None:
    """As nohup asks for SIGHUP, and a shell in a script for Ctrl-C to what it starts in the background."""
    signal.signal(number, signal.SIG_IGN)
    install_exit_handlers()
    held = DeferredSignals()
    held.save_handlers()
    held.install()
    os.kill(os.getpid(), number)
    assert held.caught is None
    held.restore()
    assert signal.getsignal(number) is signal.SIG_IGN


@pytest.mark.usefixtures("restored")
def test_all_that_asks_a_command_to_end_ends_it_in_order() -> None:
    for number in TERMINATION_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    install_exit_handlers()
    for number in TERMINATION_SIGNALS:
        with pytest.raises(SystemExit) as left:
            os.kill(os.getpid(), number)
        assert left.value.code == 128 + number
