"""Variables that are set to nothing, as compose files set them, are such as are not set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
from vivit.launch.command_line import begin
begin("train")  # as every command does
from vivit.training.wandb_logger import ResumableWandbLogger
run = ResumableWandbLogger("run", project="mine").experiment
print(run.settings.mode, run.project, run.name)
run.finish()
"""


@pytest.mark.slow
def test_wandb_mode_that_is_empty_is_none(tmp_path: Path) -> None:
    """In a process of its own: what wandb tears down behind one test it does not set up for another."""
    places = {f"WANDB_{name}_DIR": str(tmp_path / name.lower()) for name in ("CONFIG", "CACHE", "DATA")}
    empty = {"MODE": "", "API_KEY": "", "ENTITY": " ", "BASE_URL": "", "RUN_GROUP": ""}
    variables = places | {f"WANDB_{name}": value for name, value in empty.items()} | {"WANDB_SILENT": "true"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE],
        cwd=tmp_path,
        env=os.environ | variables | {"NETRC": str(tmp_path / "nobody")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["offline", "mine", "run"], f"for nobody is logged in; {done.stderr}"
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))
