"""The authors' five public checkpoints by their structure: real depth, heads, tokens and classes, at a tiny width.

The files themselves are hundreds of megabytes. What is written here by hand is what is known of them: the names and
shapes of their parameters, and the layouts that flax and scenic have wrapped them in over the years.
"""

from pathlib import Path
from typing import Any, NamedTuple

import msgpack
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from networks import make_network

from vivit.checkpoints import export_scenic, load_video_weights, model_from_scenic
from vivit.errors import ConfigError
from vivit.models import FactorisedEncoder, Tubelets

CLIP = {"frames": 32, "height": 224, "width": 224}


class Published(NamedTuple):
    """What one file holds, beside what all have in common."""

    model: str
    depth: int
    heads: int
    temporal_depth: int
    classes: int


FILES = {
    "kinetics_400/vivit_base_16x2_unfactorized": Published("spatiotemporal", 12, 12, 0, 400),
    "kinetics_400/vivit_base_16x2_fe": Published("factorised_encoder", 12, 12, 4, 400),
    "kinetics_400/vivit_large_16x2_fe": Published("factorised_encoder", 24, 16, 24, 400),
    "kinetics_600/vivit_large_16x2_fe": Published("factorised_encoder", 24, 16, 24, 600),
    "epic_kitchens/vivit_large_16x2_fe": Published("factorised_encoder", 24, 16, 4, 397),
}


def tree(file: Published) -> dict[str, Any]:
    """Parameters under their published names, with numbers all different."""
    d, m, heads = 2 * file.heads, 3 * file.heads, file.heads
    rng = np.random.default_rng(0)

    def array(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype("float32")

    def dense(*shape: int) -> dict[str, np.ndarray]:
        return {"kernel": array(*shape), "bias": array(shape[-1])}

    def norm() -> dict[str, np.ndarray]:
        return {"scale": array(d), "bias": array(d)}

    def projection() -> dict[str, np.ndarray]:
        return {"kernel": array(d, heads, 2), "bias": array(heads, 2)}

    def block() -> dict[str, Any]:
        attention = {part: projection() for part in ("query", "key", "value")} | {"out": dense(heads, 2, d)}
        mlp = {"Dense_0": dense(d, m), "Dense_1": dense(m, d)}
        parts = {"LayerNorm_0": norm(), "MultiHeadDotProductAttention_0": attention}
        return parts | {"LayerNorm_1": norm(), "MlpBlock_0": mlp}

    def encoder(depth: int, tokens: int) -> dict[str, Any]:
        blocks = {f"encoderblock_{i}": block() for i in range(depth)}
        return blocks | {"posembed_input": {"pos_embedding": array(1, tokens, d)}, "encoder_norm": norm()}

    common = {"embedding": dense(2, 16, 16, 3, d), "output_projection": dense(d, file.classes)}
    if file.model == "spatiotemporal":
        return common | {"cls": array(1, 1, d), "Transformer": encoder(file.depth, 3137)}
    spatial = {"cls_SpatialTransformer": array(1, 1, d), "SpatialTransformer": encoder(file.depth, 197)}
    temporal = {"cls_TemporalTransformer": array(1, 1, d), "TemporalTransformer": encoder(file.temporal_depth, 17)}
    return common | spatial | temporal


def before_linen(node: dict[str, Any]) -> dict[str, Any]:
    """Number the parts of a block through, as flax did."""
    old = {"LayerNorm_1": "LayerNorm_2", "MlpBlock_0": "MlpBlock_3"}
    old["MultiHeadDotProductAttention_0"] = "MultiHeadDotProductAttention_1"
    return {old.get(key, key): before_linen(part) if isinstance(part, dict) else part for key, part in node.items()}


def momenta(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: momenta(part) for key, part in node.items()}
    return {"momentum": np.zeros(1, "float32")}


def trained(target: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    state = {"step": np.array(7), "param_states": momenta(parameters)}
    rest = {"model_state": {}, "rng": np.zeros(2, "uint32"), "accum_train_time": 3, "global_step": 7}
    return {"optimizer": {"target": target, "state": state}} | rest


LAYOUTS = {
    "flax.optim": lambda parameters: trained(parameters, parameters),
    "optax": lambda parameters: {"params": parameters, "opt_state": {"0": momenta(parameters)}, "global_step": 7},
    "before Linen": lambda parameters: trained({"params": before_linen(parameters)}, parameters),
}


def packed(array: Any) -> msgpack.ExtType:
    return msgpack.ExtType(1, msgpack.packb([array.shape, array.dtype.name, array.tobytes()]))


def flat(node: dict[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    arrays_by_name: dict[str, np.ndarray] = {}
    for key, part in node.items():
        arrays_by_name |= flat(part, f"{prefix}{key}/") if isinstance(part, dict) else {f"{prefix}{key}": part}
    return arrays_by_name


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FILES)
def test_a_published_file_loads_to_the_last_bit(name: str, layout: str, tmp_path: Path) -> None:
    file, path = FILES[name], tmp_path / "checkpoint"
    parameters = tree(file)
    path.write_bytes(msgpack.packb(LAYOUTS[layout](parameters), default=packed))
    net, report = model_from_scenic(path, model=file.model, **CLIP)
    arrays, exported = flat(parameters), export_scenic(net)
    assert exported.keys() == arrays.keys() == set(report.loaded)
    assert all(exported[key].tobytes() == array.tobytes() for key, array in arrays.items())
    encoder = net.encoder if file.model == "spatiotemporal" else net.spatial
    assert len(encoder.blocks) == file.depth
    assert net.head.projection.out_features == file.classes
    if file.temporal_depth:
        assert len(net.temporal.blocks) == file.temporal_depth
        assert net.temporal.blocks[0].attention.heads == file.heads


def test_epic_kitchens_has_nouns_first() -> None:
    """300 nouns, then 97 verbs, behind one another in one projection; as the heads of a noun-verb data set are."""
    file = FILES["epic_kitchens/vivit_large_16x2_fe"]
    parameters = tree(file)
    bias = parameters["output_projection"]["bias"]
    net, _ = model_from_scenic(flat(parameters), model=file.model, **CLIP)
    noun, verb = net.head.projection.bias.split([300, 97])
    assert noun[7].item() == bias[7]
    assert verb[11].item() == bias[311]


@pytest.mark.slow
@pytest.mark.parametrize("side", [224, 256])
def test_kinetics_starts_a_network_of_fewer_temporal_layers(side: int, tmp_path: Path) -> None:
    """As the paper's runs on EPIC-KITCHENS and, with larger clips, Something-Something: 4 of 24 layers, a new head."""
    file, path = FILES["kinetics_400/vivit_large_16x2_fe"], tmp_path / "checkpoint"
    parameters = tree(file)
    path.write_bytes(msgpack.packb(LAYOUTS["flax.optim"](parameters), default=packed))
    d, m, heads = 2 * file.heads, 3 * file.heads, file.heads
    clip = {"frames": 32, "height": side, "width": side}
    temporal = {"temporal_depth": 4, "temporal_num_heads": heads, "temporal_mlp_dim": m}
    net = make_network(
        FactorisedEncoder,
        Tubelets(dim=d, tubelet=(2, 16, 16)),
        num_classes=397,
        depth=24,
        num_heads=heads,
        mlp_dim=m,
        **clip,
        **temporal,
    )
    with pytest.raises(ConfigError, match="of temporal layer 4, more than the network has") as error:
        load_video_weights(net, path)
    assert error.value.key == "weights.truncate_temporal_layers"
    report = load_video_weights(net, path, truncate_temporal_layers=True)
    arrays, exported = flat(parameters), export_scenic(net)
    left = {name.split("/")[1] for name in report.ignored if name.startswith("TemporalTransformer/")}
    assert left == {f"encoderblock_{layer}" for layer in range(4, 24)}
    assert str(report).count("beyond those of the network") == 20, "a line a layer"
    tables = [name for name in exported if name.startswith("SpatialTransformer/posembed")]
    fresh = [name for name in exported if name.startswith("output_projection")]
    assert len(report.fresh) == len(fresh) == 2
    for name in set(exported) - {*tables, *fresh}:
        assert exported[name].tobytes() == arrays[name].tobytes(), name
    (table,) = tables
    grid = torch.from_numpy(arrays[table][0, 1:]).reshape(14, 14, d).permute(2, 0, 1)[None]
    grid = F.interpolate(grid, (side // 16, side // 16), mode="bilinear", align_corners=True)
    np.testing.assert_allclose(exported[table][0, 1:], grid[0].flatten(1).T, atol=1e-5)
    assert exported[table][0, 0].tobytes() == arrays[table][0, 0].tobytes()
