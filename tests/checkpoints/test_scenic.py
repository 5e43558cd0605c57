"""Scenic's weights go in and out bit for bit, and what does not fit is named."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import make_network
from torch import nn

from vivit.checkpoints import export_scenic, model_from_scenic
from vivit.errors import CheckpointError, ConfigError
from vivit.models import (
    FactorisedDotProduct,
    FactorisedEncoder,
    FactorisedSelfAttention,
    SpatioTemporal,
    Tubelets,
    UniformFrames,
)

REPOSITORY = Path(__file__).parents[2]
SMALL_SET = REPOSITORY / "tests" / "golden"
FULL_SET = Path(os.environ.get("VIVIT_SHARED") or REPOSITORY.parent / "shared") / "golden"
GOLDEN_CLIP = {"frames": 8, "height": 32, "width": 48}

# Every length differs from every other, so that no two axes can be taken for one another.
CLIP = {"frames": 6, "height": 20, "width": 21}
TUBELETS = {"dim": 8, "tubelet": (2, 5, 3)}
ENCODER = {"depth": 3, "num_heads": 2, "mlp_dim": 10}
TEMPORAL = {"temporal_depth": 2, "temporal_num_heads": 4, "temporal_mlp_dim": 14}
NETWORKS: dict[str, tuple[str, type[nn.Module], dict[str, Any]]] = {
    "1": ("spatiotemporal", SpatioTemporal, {}),
    "1 mean": ("spatiotemporal", SpatioTemporal, {"pool": "mean"}),
    "2": ("factorised_encoder", FactorisedEncoder, TEMPORAL),
    "2 mean": ("factorised_encoder", FactorisedEncoder, {**TEMPORAL, "pool": "mean"}),
    "2 average": ("average_pool", FactorisedEncoder, {**TEMPORAL, "temporal_depth": 0}),
    "3": ("factorised_self_attention", FactorisedSelfAttention, {}),
    "4": ("factorised_dot_product", FactorisedDotProduct, {}),
}

Arrays = dict[str, np.ndarray]


@pytest.fixture
def shared() -> Path:
    if not FULL_SET.is_dir():
        pytest.skip(f"the full set of golden cases is not at {FULL_SET}: set VIVIT_SHARED to the folder above it")
    return FULL_SET


def golden(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Parameters of a golden case, and the arguments to load them with."""
    with np.load(path) as case:
        arrays = {name.removeprefix("params/"): case[name] for name in case.files if name.startswith("params/")}
        config = json.loads(case["config"].item())
    attention = config["attention_config"]
    model = {"spacetime": "spatiotemporal", "factorized_encoder": "factorised_encoder"}.get(attention["type"])
    if model is None:
        model = "factorised_self_attention" if "self_attention" in attention["type"] else "factorised_dot_product"
    if attention.get("spatial_only_baseline"):
        model = "average_pool"
    sampled = config["temporal_encoding_config"].get("n_sampled_frames")
    return arrays, {**GOLDEN_CLIP, "model": model, "sampled_frames": sampled}


def tiny(kind: str, tokeniser: str = "tubelets", **more: Any) -> tuple[nn.Module, dict[str, Any]]:
    """Build a network with random weights, no two lengths alike, and the arguments that it is loaded with."""
    model, cls, arguments = NETWORKS[kind]
    cut = Tubelets(**TUBELETS) if tokeniser == "tubelets" else UniformFrames(dim=8, num_frames=3, patch=(5, 3))
    net = make_network(cls, cut, num_classes=7, **CLIP, **ENCODER, **arguments, **more)
    for parameter in net.parameters():
        nn.init.normal_(parameter)
    return net, {**CLIP, "model": model, "sampled_frames": None if tokeniser == "tubelets" else 3}


def assert_equal(actual: Arrays, expected: Arrays) -> None:
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype and actual[name].shape == array.shape
        assert actual[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("path", sorted(SMALL_SET.glob("*.npz")), ids=lambda path: path.stem)
def test_small_golden_cases_come_back(path: Path) -> None:
    arrays, arguments = golden(path)
    assert_equal(export_scenic(model_from_scenic(arrays, **arguments)[0]), arrays)


def test_all_golden_cases_come_back(shared: Path) -> None:
    paths = sorted(shared.glob("m[1-4]_*.npz"))
    assert len(paths) == 18
    for path in paths:
        arrays, arguments = golden(path)
        assert_equal(export_scenic(model_from_scenic(arrays, **arguments)[0]), arrays)


@pytest.mark.parametrize("model", ["m1", "m2"])
@pytest.mark.parametrize("optimizer", ["optim", "optax"])
def test_checkpoints_of_the_reference(shared: Path, optimizer: str, model: str) -> None:
    arrays, arguments = golden(shared / f"{model}_token_3dconv.npz")
    path = shared / f"scenic_checkpoint_{optimizer}_{model}_token_3dconv"
    net, report = model_from_scenic(path, **arguments)
    assert_equal(export_scenic(net), arrays)
    assert set(report.loaded) == arrays.keys()
    assert {"global_step", "model_state", "rng"} < report.ignored.keys()


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("tokeniser", ["tubelets", "uniform_frames"])
@pytest.mark.parametrize("more", [{}, {"representation_size": 9}], ids=["", "representation"])
def test_networks_come_back(kind: str, tokeniser: str, more: dict[str, int]) -> None:
    net, arguments = tiny(kind, tokeniser, **more)
    again, report = model_from_scenic(export_scenic(net), **arguments)
    assert type(again) is type(net)
    assert str(again) == str(net)
    actual, expected = net.state_dict(), again.state_dict()
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[name], expected[name]) for name in actual)
    assert not (report.inflated or report.resized or report.fresh or report.ignored)
    clip = torch.randn(2, 3, *CLIP.values())
    assert torch.equal(net.eval()(clip), again.eval()(clip))


@pytest.mark.parametrize("order", ["space_time", "time_space"])
def test_order_is_handed_on(order: str) -> None:
    net, arguments = tiny("3", attention_order=order)
    again, _ = model_from_scenic(export_scenic(net), **arguments, order=order)
    assert [block.order for block in again.encoder.blocks] == [order] * 3


def test_sampling_that_yields_one_frame_more() -> None:
    """Two of eight frames are three: the number asked for rebuilds the network, the number of positions does not."""
    net = make_network(
        SpatioTemporal,
        UniformFrames(dim=8, num_frames=2, patch=(5, 3)),
        num_classes=7,
        frames=8,
        height=20,
        width=21,
        **ENCODER,
    )
    assert net.encoder.positions.shape == (1 + 3 * 4 * 7, 8)
    size = {"frames": 8, "height": 20, "width": 21, "model": "spatiotemporal"}
    assert_equal(export_scenic(model_from_scenic(export_scenic(net), **size, sampled_frames=2)[0]), export_scenic(net))


def test_exported_arrays_are_copies() -> None:
    net, _ = tiny("1")
    exported = export_scenic(net)
    before = {name: array.copy() for name, array in exported.items()}
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    assert_equal(exported, before)
    assert all(array.flags.c_contiguous for array in exported.values())


def test_loading_draws_no_random_numbers() -> None:
    net, arguments = tiny("2")
    arrays, state = export_scenic(net), torch.get_rng_state()
    again, _ = model_from_scenic(arrays, **arguments)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.requires_grad and parameter.dtype == torch.float32 for parameter in again.parameters())


def test_report_is_a_table() -> None:
    net, arguments = tiny("2")
    lines = str(model_from_scenic(export_scenic(net), **arguments)[1]).splitlines()
    assert lines[0] == "the parameters: 92 loaded, 0 inflated, 0 resized, 0 fresh, 0 ignored"
    assert "  loaded    SpatialTransformer (51 tensors)" in lines
    assert len(lines) == 7


QUERY = "Transformer/encoderblock_1/MultiHeadDotProductAttention_0/query/kernel"


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ({QUERY: None}, QUERY, "is missing"),
        ({"embedding/kernel": None}, "embedding/kernel", "is missing"),
        ({"cls": None}, "Transformer/posembed_input/pos_embedding", "has the shape"),
        ({"output_projection/kernel": None}, "output_projection/kernel", "is missing"),
        ({"momentum": np.zeros(3, "float32")}, "momentum", "is unexpected"),
        (
            {"Transformer/encoderblock_4/x": np.zeros(3, "float32")},
            None,
            "'Transformer/encoderblock_4/x' is unexpected",
        ),
        ({QUERY: np.zeros((8, 4, 2), "float32")}, None, rf"'?{QUERY}'?:? has the shape \(8, 4, 2\)"),
        ({QUERY: np.zeros((8, 2, 4), "float64")}, QUERY, "is float64"),
        ({QUERY: np.zeros((8, 2, 4), ">f4")}, QUERY, "is >f4"),
        ({QUERY: np.zeros((8, 0, 4), "float32")}, QUERY, "not empty"),
        ({QUERY: np.full((8, 2, 4), None)}, QUERY, "is object"),
        ({"embedding/kernel": np.zeros((3, 8), "float32")}, "embedding/kernel", "4 or 5 axes"),
        ({"embedding/bias": np.zeros(9, "float32")}, "embedding/bias", r"has the shape \(9,\)"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_by_key(
    change: dict[str, np.ndarray | None], key: str | None, message: str
) -> None:
    net, arguments = tiny("1")
    arrays = {name: array for name, array in (export_scenic(net) | change).items() if array is not None}
    with pytest.raises(CheckpointError, match=message) as error:
        model_from_scenic(arrays, **arguments)
    assert error.value.file == "the parameters"
    assert key is None or error.value.key == key


@pytest.mark.parametrize(
    ("kind", "other"),
    [
        (kind, other)
        for kind in ("1", "1 mean", "2", "2 average", "3")
        for other in ("1", "2", "2 average", "3", "4")
        if kind[0] != other[0] and (kind, other) != ("1 mean", "4")
    ]
    + [("2", "2 average"), ("2 average", "2")],
)
def test_another_model_is_refused(kind: str, other: str) -> None:
    net, arguments = tiny(kind)
    with pytest.raises(CheckpointError, match="is missing|is unexpected"):
        model_from_scenic(export_scenic(net), **(arguments | {"model": NETWORKS[other][0]}))


def test_models_1_and_4_share_their_parameters() -> None:
    net, arguments = tiny("1 mean")
    other, _ = model_from_scenic(export_scenic(net), **(arguments | {"model": "factorised_dot_product"}))
    assert_equal(export_scenic(other), export_scenic(net))


@pytest.mark.parametrize(
    ("tokeniser", "change", "key"),
    [
        ("tubelets", {"frames": 8}, "Transformer/posembed_input/pos_embedding"),
        ("tubelets", {"frames": 7}, "data.frames"),
        ("tubelets", {"height": 25}, "Transformer/posembed_input/pos_embedding"),
        ("tubelets", {"sampled_frames": 3}, "sampled_frames"),
        ("uniform_frames", {"sampled_frames": None}, "sampled_frames"),
        ("uniform_frames", {"sampled_frames": 4}, "Transformer/posembed_input/pos_embedding"),
        ("uniform_frames", {"sampled_frames": 7}, "tokeniser.num_frames"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(tokeniser: str, change: dict[str, Any], key: str) -> None:
    net, arguments = tiny("1", tokeniser)
    with pytest.raises((CheckpointError, ConfigError)) as error:
        model_from_scenic(export_scenic(net), **(arguments | change))
    assert error.value.key == key


@pytest.mark.usefixtures("untyped")
def test_unknown_model_is_refused() -> None:
    net, arguments = tiny("1")
    with pytest.raises(ConfigError) as error:
        model_from_scenic(export_scenic(net), **(arguments | {"model": "factorized_encoder"}))
    assert (error.value.key, error.value.value) == ("model", "factorized_encoder")


def test_other_networks_are_not_exported() -> None:
    with pytest.raises(ConfigError) as error:
        export_scenic(nn.Linear(2, 3))
    assert (error.value.key, error.value.value) == ("model", "Linear")
    net, _ = tiny("1")
    net.extra = nn.Linear(2, 3)
    with pytest.raises(ConfigError, match="parameters"):
        export_scenic(net)
    with pytest.raises(ConfigError) as error:
        export_scenic(tiny("2", gelu="erf")[0])
    assert error.value.key == "model.gelu"
