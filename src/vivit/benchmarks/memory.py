"""Memory of this process while something runs."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vivit.training.malloc import reset_peak_memory

STATUS = Path("/proc/self/status")


@contextmanager
def peak_mb() -> Iterator[list[float]]:
    """Hand out a list that holds, afterwards, by how many megabytes memory stood higher at its highest than before.

    Where the highest cannot be forgotten (not Linux), it is that of the whole process so far.
    """
    reset_peak_memory()
    before = _now("VmRSS")
    found: list[float] = []
    yield found
    found.append(_now("VmHWM") - before)


def _now(key: str) -> float:
    if STATUS.is_file():
        return next(int(line.split()[1]) for line in STATUS.read_text().splitlines() if line.startswith(key)) / 1e3
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)
