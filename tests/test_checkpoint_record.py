"""What a checkpoint tells may build our networks and data sets, and nothing else."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorchvideo.data  # noqa: F401  # its source has warnings, which are errors where ours imports it first
import torch
from omegaconf import DictConfig, OmegaConf

from vivit.tasks.checkpoint import read_network, read_record

CONFIGS = Path(__file__).parents[1] / "configs"


def options(group: str) -> list[str]:
    return sorted(file.stem for file in (CONFIGS / group).glob("*.yaml") if not file.stem.startswith("_"))


GROUPS = ("model", "tokeniser", "positions", "data", "augment", "resampling", "views", "loader")
TOLD = [
    *(f"{group}={name}" for group in GROUPS for name in options(group)),
    "augment=epic augment.colours.magnitude={_target_:vivit.training.regularisation.Linear,start:0,end:9}",
]


@pytest.fixture
def kept(tmp_path: Path) -> Callable[[Any], Path]:
    """Write a checkpoint with this record and no weights."""

    def kept(record: Any) -> Path:
        torch.save({"vivit": record, "state_dict": {}}, tmp_path / "net.ckpt")
        return tmp_path / "net.ckpt"

    return kept


@pytest.mark.parametrize("choice", TOLD)
def test_whatever_a_training_run_keeps_is_read(
    choice: str, composed: Callable[..., DictConfig], kept: Callable[[Any], Path]
) -> None:
    cfg = composed(*choice.split(), "data.root=x")
    record: dict[str, Any] = {key: OmegaConf.to_container(cfg[key], resolve=True) for key in ("model", "data")}
    record["heads"] = {"label": ["earn ${1}", "spend"]}
    assert read_record(kept(record)) == record


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
def test_what_is_not_of_our_models_and_data_is_refused(
    kind: str, place: str, kept: Callable[[Any], Path], tmp_path: Path
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
    file = kept({"model": hidden[place], "data": {}, "heads": {"label": ["a"]}})
    with pytest.raises(ValueError, match=r"net\.ckpt asks for .*; a checkpoint may only name our models and data"):
        read_network(file)
    assert not made.exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("${oc.create:{_target_: os.mkdir, _args_: [made]}}", r"asks for \$\{oc\.create.* to be worked out"),
        ("${oc.env:HOME}", "may only tell plain values"),
        ("dir ${..dim}", "may only tell plain values"),
        (torch.float32, "tells a dtype; a checkpoint may only tell plain values"),
        (torch.zeros(2), "tells a Tensor; a checkpoint may only tell plain values"),
    ],
)
@pytest.mark.parametrize("part", ["model", "data"])
def test_what_is_not_a_plain_value_is_refused(part: str, value: Any, message: str, kept: Callable[[Any], Path]) -> None:
    with pytest.raises(ValueError, match=message):
        read_record(kept({"model": {}, "data": {}, "heads": {}} | {part: {"tokeniser": [{"dim": value}]}}))


def test_a_record_that_is_none_is_refused(kept: Callable[[Any], Path]) -> None:
    with pytest.raises(ValueError, match="is not a checkpoint of this repository"):
        read_record(kept(3))
