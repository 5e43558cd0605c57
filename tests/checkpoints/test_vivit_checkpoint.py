"""The record of a checkpoint: plain values and names, of which nothing is imported or executed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from networks import make_network

from vivit.checkpoints.vivit_checkpoint import VERSION, build_network, load_network, model_record, read_record
from vivit.errors import CheckpointError, ConfigError
from vivit.models import FactorisedEncoder, Tubelets, build_model, create_model, models

CLASSES = {"label": ["earn ${1}", "spend"]}
PREPROCESSING = {"frames": 4, "stride": 2, "resize": 16, "crop": [16, 16]}


def record(**changes: Any) -> dict[str, Any]:
    network = create_model("factorised_encoder", size="tiny", num_classes=2, frames=4, image_size=16)
    parts = {"version": VERSION, "classes": CLASSES, "preprocessing": PREPROCESSING, "data": {}, "plugins": []}
    return parts | model_record(network) | changes


@pytest.fixture
def written(tmp_path: Path) -> Callable[[Any], Path]:
    """Write a checkpoint with this record and no weights."""

    def written(content: Any) -> Path:
        torch.save({"vivit": content, "state_dict": {}}, tmp_path / "net.ckpt")
        return tmp_path / "net.ckpt"

    return written


@pytest.mark.parametrize("name", models())
@pytest.mark.parametrize("tokeniser", ["tubelet", "uniform_frames"])
def test_record_builds_the_network_that_it_is_of(name: str, tokeniser: str, written: Callable[[Any], Path]) -> None:
    network = create_model(name, size="tiny", num_classes=2, frames=8, image_size=(16, 24), tokeniser=tokeniser)
    clip = {"frames": 8, "stride": 2, "resize": 32, "crop": [16, 24]}
    read = read_record(written(record(**model_record(network), preprocessing=clip)))
    again = build_network(read)
    assert type(again) is type(network)
    assert again.config == network.config
    assert again.tokeniser.options() == network.tokeniser.options()
    assert [*again.state_dict()] == [*network.state_dict()]


@pytest.mark.parametrize("place", ["config", "tokeniser", "data", "preprocessing"])
def test_import_paths_in_a_record_are_only_text(place: str, written: Callable[[Any], Path], tmp_path: Path) -> None:
    """Hydra would call what ``_target_`` names; nothing here does."""
    made = tmp_path / "made"
    hostile = {"_target_": "os.mkdir", "_args_": [str(made)]}
    parts = record()
    if place == "tokeniser":
        parts["config"] = parts["config"] | {"tokeniser": parts["config"]["tokeniser"] | hostile}
    else:
        parts[place] = parts[place] | hostile
    file = written(parts)
    with pytest.raises((ConfigError, CheckpointError)):
        load_network(file)
    assert not made.exists()


@pytest.mark.parametrize("value", [torch.float32, torch.zeros(2), b"text"])
@pytest.mark.parametrize("part", ["config", "data", "preprocessing"])
def test_other_than_plain_values_are_refused(part: str, value: Any, written: Callable[[Any], Path]) -> None:
    with pytest.raises(CheckpointError, match="may only have plain values") as error:
        read_record(written(record(**{part: {"tokeniser": [{"dim": value}]}})))
    assert error.value.key == part


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"classes": ["a", "b"]}, "classes"),
        ({"classes": {"label": "ab"}}, "classes"),
        ({"classes": {"label": [1, 2]}}, "classes"),
        ({"config": ["a"]}, "config"),
        ({"config": {"tokeniser": "tubelet"}}, "config.tokeniser"),
        ({"model": 3}, "model"),
        ({"plugins": [3]}, "plugins"),
        ({"preprocessing": 3}, "preprocessing"),
    ],
)
def test_damaged_record_is_refused_by_its_part(
    changes: dict[str, Any], key: str, written: Callable[[Any], Path]
) -> None:
    file = written(record(**changes))
    with pytest.raises(CheckpointError) as error:
        read_record(file)
    assert (error.value.file, error.value.key) == (str(file), key)


@pytest.mark.parametrize("part", ["model", "config", "preprocessing", "classes"])
def test_missing_part_is_named(part: str, written: Callable[[Any], Path]) -> None:
    content = record()
    del content[part]
    with pytest.raises(CheckpointError, match="is missing") as error:
        read_record(written(content))
    assert error.value.key == part


@pytest.mark.parametrize(
    "content", [3, {"model": {"_target_": "vivit.models.SpatioTemporal"}, "data": {}, "heads": {}}]
)
def test_file_of_another_format_is_refused_in_one_sentence(content: Any, written: Callable[[Any], Path]) -> None:
    with pytest.raises(CheckpointError, match=r"not a checkpoint of this repository|of format 1"):
        read_record(written(content))


def test_unknown_model_is_answered_with_its_plugins(written: Callable[[Any], Path]) -> None:
    content = read_record(written(record(model="windowed", plugins=["mylab.video"])))
    with pytest.raises(ConfigError, match=r"set plugins=\[mylab\.video\]") as error:
        build_network(content)
    assert (error.value.key, error.value.value) == ("model", "windowed")


def test_options_of_a_model_are_checked() -> None:
    tokeniser = {"name": "tubelet", "dim": 8, "tubelet": [2, 4, 4]}
    size = {"num_classes": 3, "frames": 4, "height": 8, "width": 8, "depth": 1, "num_heads": 2, "mlp_dim": 12}
    with pytest.raises(ConfigError, match="is no option of spatiotemporal") as error:
        build_model("spatiotemporal", tokeniser, **size, temporal_depth=3)
    assert error.value.key == "model.temporal_depth"
    with pytest.raises(ConfigError, match="is missing") as error:
        build_model("spatiotemporal", tokeniser, **{key: size[key] for key in size if key != "depth"})
    assert error.value.key == "model.depth"
    with pytest.raises(ConfigError, match="average_pool has 0") as error:
        build_model("average_pool", tokeniser, **size, temporal_depth=3)
    assert error.value.key == "model.temporal_depth"
    with pytest.raises(ConfigError) as error:
        build_model("spatiotemporal", tokeniser | {"name": "cubes"}, **size)
    assert error.value.key == "tokeniser"


def test_create_model_is_the_paper_s_by_default() -> None:
    with torch.device("meta"):
        net = create_model("factorised_encoder", num_classes=400)
        paper = make_network(
            FactorisedEncoder, Tubelets(dim=768, tubelet=(2, 16, 16)), num_classes=400, frames=32, height=224,
            width=224, depth=12, num_heads=12, mlp_dim=3072, temporal_depth=4,
        )  # fmt: skip
    assert net.config == paper.config
    assert {name: part.shape for name, part in net.state_dict().items()} == {
        name: part.shape for name, part in paper.state_dict().items()
    }
