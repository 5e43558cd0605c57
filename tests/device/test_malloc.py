"""Memory that is freed is there for the next step without another page from the system."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from vivit.device import malloc

STEPS = """
import ctypes, resource, torch
from vivit.device.malloc import disable_malloc_trim
{call}
assert ctypes.CDLL(None).prctl(41, 1, 0, 0, 0) == 0  # PR_SET_THP_DISABLE: where it is always on, pages are larger
pages = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(20_000_000)
before = pages()
for _ in range(3):
    torch.ones(20_000_000)
print((pages() - before) * resource.getpagesize())
"""
"""New memory in bytes for three tensors of 80 MB; the first few find no gap that is large enough for them."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the GNU C library keeps what it is told to")
@pytest.mark.parametrize(
    ("call", "least", "most"), [("", 230_000_000, 250_000_000), ("disable_malloc_trim()", 0, 4_000_000)]
)
def test_malloc_reuses_pages_after_the_first_steps(call: str, least: int, most: int) -> None:
    ran = subprocess.run([sys.executable, "-c", STEPS.format(call=call)], check=True, capture_output=True, text=True)
    assert least <= int(ran.stdout) <= most


@pytest.mark.parametrize(
    ("platform", "has_it", "expected"),
    [("linux", True, [(-4, 0), (-1, -1)]), ("linux", False, []), ("darwin", True, []), ("win32", True, [])],
)
def test_mallopt_is_called_on_glibc_alone(
    platform: str, has_it: bool, expected: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The GNU C library has ``mallopt``, others on Linux have not; elsewhere the call means nothing."""
    told: list[tuple[int, int]] = []
    library = SimpleNamespace(**({"mallopt": lambda *what: told.append(what)} if has_it else {}))
    monkeypatch.setattr(malloc, "sys", SimpleNamespace(platform=platform))
    monkeypatch.setattr(malloc, "ctypes", SimpleNamespace(CDLL=lambda _name: library))
    malloc.disable_malloc_trim()
    assert told == expected
