"""The record of a checkpoint may build our networks and data sets, and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorchvideo.data  # noqa: F401  # its source has warnings, which are errors where ours imports it first
import torch
from omegaconf import DictConfig, OmegaConf

from vivit.errors import CheckpointError
from vivit.tasks.checkpoint_record import load_network, read_record

CONFIGS = Path(__file__).parents[1] / "configs"


def options(group: str) -> list[str]:
    return sorted(file.stem for file in (CONFIGS / group).glob("*.yaml") if not file.stem.startswith("_"))


GROUPS = ("model", "tokeniser", "positions", "data", "augment", "resampling", "views", "loader")
CHOICES = [
    *(f"{group}={name}" for group in GROUPS for name in options(group)),
    "augment=epic augment.color_transform.magnitude={_target_:vivit.training.regularisation.Linear,start:0,end:9}",
]


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Any], Path]:
    """Write a checkpoint with this record and no weights."""

    def written(record: Any) -> Path:
        torch.save({"vivit": record, "state_dict": {}}, tmp_path / "net.ckpt")
        return tmp_path / "net.ckpt"

    return written


@pytest.mark.parametrize("choice", CHOICES)
def test_record_of_every_training_run_is_read(
    choice: str, composed: Callable[..., DictConfig], written: Callable[[Any], Path]
) -> None:
    cfg = composed(*choice.split(), "data.root=x")
    record: dict[str, Any] = {key: OmegaConf.to_container(cfg[key], resolve=True) for key in ("model", "data")}
    record["heads"] = {"label": ["earn ${1}", "spend"]}
    assert read_record(written(record)) == record


HOSTILE = {
    "a method of a class that a module imports": "vivit.run_folder.Path.touch",
    "the same below a room that may be named": "vivit.data.find_videos.Path.touch",
    "a function of a library that a module imports": "vivit.data.loader.os.mkdir",
    "a module that a module imports": "vivit.models.tokenisers.torch.hub.load",
    "a library's class in a file of ours": "vivit.models.tokenisers.nn.Linear",
    "a class that a file of ours imports": "vivit.data.find_videos.Path",
    "a function that the file of positions imports": "vivit.models.pos_embed.rearrange",
    "a function of ours that writes": "vivit.data.datasets.motion.generate",
    "a function of another room": "vivit.run_folder.write_json",
    "a class of another room": "vivit.training.CurvePlotter",
    "a method of a class of ours": "vivit.data.VideoDataModule.from_datasets",
    "another package": "os.mkdir",
    "a name that only begins like ours": "vivit.database.mkdir",
    "a name of nothing": "vivit.models.Nothing",
    "a module": "vivit.models",
    "a file that is not there": "vivit.data.nothing.Path",
    "no name": 3,
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("place", ["model", "tokeniser", "list", "tuple"])
def test_record_that_names_other_objects_is_refused(
    kind: str, place: str, written: Callable[[Any], Path], tmp_path: Path
) -> None:
    made = tmp_path / "made"
    named = {"_target_": HOSTILE[kind], "_args_": [str(made)]}
    model = {"_target_": "vivit.models.SpatioTemporal", "tokeniser": {"_target_": "vivit.models.Tubelets", "dim": 8}}
    hidden = {
        "model": named,
        "tokeniser": model | {"tokeniser": named},
        "list": model | {"x": [[named]]},
        "tuple": model | {"x": (0, (named,))},
    }
    file = written({"model": hidden[place], "data": {}, "heads": {"label": ["a"]}})
    with pytest.raises(CheckpointError, match="may only name our models and data") as error:
        load_network(file)
    assert (error.value.file, error.value.key) == (str(file), "model")
    assert not made.exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("${oc.create:{_target_: os.mkdir, _args_: [made]}}", r"has the interpolation \$\{oc\.create.*"),
        ("${oc.env:HOME}", "may only have plain values"),
        ("dir ${..dim}", "may only have plain values"),
        (torch.float32, "contains a dtype; a checkpoint may only have plain values"),
        (torch.zeros(2), "contains a Tensor; a checkpoint may only have plain values"),
    ],
)
@pytest.mark.parametrize("part", ["model", "data"])
def test_record_with_other_than_plain_values_is_refused(
    part: str, value: Any, message: str, written: Callable[[Any], Path]
) -> None:
    with pytest.raises(CheckpointError, match=message) as error:
        read_record(written({"model": {}, "data": {}, "heads": {}} | {part: {"tokeniser": [{"dim": value}]}}))
    assert error.value.key == part


def test_record_that_is_no_mapping_is_refused(written: Callable[[Any], Path]) -> None:
    with pytest.raises(CheckpointError, match="is not a checkpoint of this repository"):
        read_record(written(3))
