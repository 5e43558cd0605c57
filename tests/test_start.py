"""The checkpoint that a run resumes from; overrides beside it are used or refused."""

from pathlib import Path

import pytest
import torch

from vivit.checkpoints.vivit_checkpoint import VERSION
from vivit.errors import ConfigError
from vivit.launch import Job
from vivit.tasks.initial_weights import resolve_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    record = {"version": VERSION, "model": "any", "config": {"tokeniser": {}}, "preprocessing": {}, "classes": {}}
    torch.save({"vivit": record, "global_step": 3}, tmp_path / "other.ckpt")
    return tmp_path / "other.ckpt"


def job(folder: Path, *overrides: str, goes_on: bool = False) -> Job:
    return Job(folder, {}, list(overrides), None, goes_on)


@pytest.mark.parametrize("typed", ["weights=image", "+weights.source=ViT-B_16.npz", "weights.load_spatial_cls=all"])
def test_weights_beside_a_checkpoint_to_resume_from_are_refused(typed: str, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no effect beside ckpt_path=.*other\.ckpt") as error:
        resolve_checkpoint(str(checkpoint), job(tmp_path, typed))
    assert f"{error.value.key}={error.value.value}" == typed.lstrip("+")


def test_weights_that_are_null_or_not_typed_are_no_error(checkpoint: Path, tmp_path: Path) -> None:
    """An experiment names its own; the checkpoint comes after them in its run."""
    for overrides in (("experiment=k400_huge",), ("weights=null",), ("optim.optimizer.lr=1e-5",)):
        assert resolve_checkpoint(str(checkpoint), job(tmp_path, *overrides)) == str(checkpoint)
    assert resolve_checkpoint("auto", job(tmp_path, "weights=image")) is None
