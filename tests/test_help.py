"""Every command says at once what it takes."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
CODE = """
import runpy, sys
sys.argv = [sys.argv[1], "--help"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    heavy = {"torch", "lightning", "torchmetrics", "av", "torchvision"} & {*sys.modules}
    sys.stderr.write(f"heavy: {sorted(heavy)}")
"""


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted(file.name for file in (REPOSITORY / "src").glob("*.py")))
def test_help_waits_for_no_library_that_it_does_not_need(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE, f"src/{command}"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert "== Config ==" in done.stdout
    assert done.stderr.endswith("heavy: []")
