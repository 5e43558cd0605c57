"""One small motion data set for all tests of the data room."""

from pathlib import Path

import pytest

from vivit.data.datasets import motion
from vivit.data.datasets.motion import Split

SMALL = (Split("train", 48, range(0, 400)), Split("val", 16, range(400, 460)), Split("test", 16, range(460, 520)))


@pytest.fixture(scope="session")
def small_motion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "motion"
    motion.generate(root, SMALL)
    return root
