"""The clock of a device: the host's on a CPU, events of its own on a GPU, as the calls come."""

import pytest
import torch

from vivit.device.clock import Marks, measure_seconds


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of a GPU, which stands 0.25 s behind at every event; a GPU proper is asked where there is one."""
    calls: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            calls.append("event")

        def elapsed_time(self, end: "Event") -> float:
            return 250.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: calls.append("wait"))
    return calls


def test_a_gpu_is_timed_by_its_events_between_two_waits(calls: list[str]) -> None:
    assert measure_seconds(lambda: calls.append("work"), torch.device("cuda")) == 0.25
    assert calls == ["wait", "event", "work", "event", "wait"]
    assert measure_seconds(lambda: calls.append("work"), torch.device("cpu")) < 0.25
    assert calls[5:] == ["work"]


def test_marks_of_a_gpu_are_events_that_are_waited_for_once(calls: list[str]) -> None:
    marks = Marks(torch.device("cuda"))
    for _ in range(3):
        marks.add()
    assert marks.seconds() == [0.25, 0.25]
    assert calls == ["event", "event", "event", "wait"]
