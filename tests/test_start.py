"""Where a run starts: what is typed beside a checkpoint is used or refused."""

from pathlib import Path

import pytest
import torch

from vivit.launch import Job
from vivit.tasks.start import starting_point


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.save({"vivit": {"model": {}}, "global_step": 3}, tmp_path / "other.ckpt")
    return tmp_path / "other.ckpt"


def job(folder: Path, *overrides: str, goes_on: bool = False) -> Job:
    return Job(folder, {}, list(overrides), None, goes_on)


@pytest.mark.parametrize("typed", ["weights=image", "+weights.source=ViT-B_16.npz", "weights.spatial_cls=all"])
def test_weights_beside_a_checkpoint_to_go_on_with_are_refused(typed: str, checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"weights.* has no effect beside ckpt_path=.*other\.ckpt: .*leave one of them"
    ):
        starting_point(str(checkpoint), job(tmp_path, typed))


def test_weights_that_were_not_typed_or_are_none_are_no_reason(checkpoint: Path, tmp_path: Path) -> None:
    """An experiment names its own; the checkpoint comes after them in its run."""
    for overrides in (("experiment=k400_huge",), ("weights=null",), ("optim.optimiser.lr=1e-5",)):
        assert starting_point(str(checkpoint), job(tmp_path, *overrides)) == str(checkpoint)
    assert starting_point("auto", job(tmp_path, "weights=image")) is None
