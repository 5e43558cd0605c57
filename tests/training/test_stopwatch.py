"""What the stopwatch tells of one job is not what an earlier one in the same process left."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from vivit.training import Stopwatch
from vivit.training.callbacks import forget_peak


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the system keeps the peak for good")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there the GPU's memory is told")
def test_the_peak_of_an_earlier_job_is_forgotten() -> None:
    before = Stopwatch().peak_mb
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    earlier = np.ones(int(before - resident) * 125_000 + 50_000_000)  # beyond the peak by 400 MB
    peak = Stopwatch().peak_mb
    assert peak > before + 300
    del earlier
    forget_peak()
    assert Stopwatch().peak_mb < peak - 300
