"""Memory that is freed is there for the next step without another page from the system."""

import subprocess
import sys

import pytest

from vivit.training.memory import keep_freed

STEPS = """
import resource, torch
from vivit.training.memory import keep_freed
{call}
pages = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(20_000_000)
before = pages()
for _ in range(3):
    torch.ones(20_000_000)
print(pages() - before)
"""
"""Tensors of 80 MB, 19,532 pages each; the first few find no room that is large enough in what earlier ones left."""


@pytest.mark.skipif(sys.platform != "linux", reason="the GNU C library keeps what it is told to")
@pytest.mark.parametrize(("call", "least", "most"), [("", 50_000, 60_000), ("keep_freed()", 0, 1_000)])
def test_steps_after_the_first_ones_need_no_new_pages(call: str, least: int, most: int) -> None:
    ran = subprocess.run([sys.executable, "-c", STEPS.format(call=call)], check=True, capture_output=True, text=True)
    assert least <= int(ran.stdout) <= most


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_without_the_gnu_c_library_nothing_is_done(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vivit.training.memory.sys.platform", platform)
    monkeypatch.setattr("vivit.training.memory.ctypes.CDLL", None)
    keep_freed()
