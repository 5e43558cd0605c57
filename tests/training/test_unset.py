"""Variables that are set to nothing, as compose files set them, are such as are not set."""

from pathlib import Path

import pytest
import wandb

from vivit.training.tracking import WandbRun


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_an_empty_mode_of_wandb_is_none(tmp_path: Path, monkeypatch) -> None:
    for name in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / name.lower()))
    monkeypatch.setenv("NETRC", str(tmp_path / "nobody"))
    monkeypatch.setenv("WANDB_SILENT", "true")
    for name, value in {"MODE": "", "API_KEY": "", "ENTITY": " ", "BASE_URL": "", "RUN_GROUP": ""}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    try:
        run = WandbRun(str(tmp_path / "run"), project="mine").experiment
        assert (run.settings.mode, run.project, run.name) == ("offline", "mine", "run"), "for nobody is logged in"
        assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))
    finally:
        wandb.teardown()
