"""Positions, learned and fixed, against the authors' encoder and against numbers worked out by hand."""

import json
import math

import numpy as np
import pytest
import torch
from networks import make_network
from torch import nn

from vivit.checkpoints import export_scenic, load_image_weights, save_huggingface
from vivit.checkpoints.formats.scenic_state_dict import encoder_views
from vivit.errors import ConfigError
from vivit.inference.load import LoadedModel
from vivit.models import FactorisedEncoder, SpatioTemporal, Tubelets, create_model, pos_embed
from vivit.models.attention import Attention
from vivit.models.blocks import MLP, Block
from vivit.models.encoder import Encoder
from vivit.tasks.weight_formats import write_vivit

VARIANTS = ("learned_1d", "sinusoidal_1d", "sinusoidal_3d", "none", "learned_1d_no_output_norm")


@pytest.mark.parametrize("variant", VARIANTS)
def test_encoder_equals_the_reference_with_all_positions(variant, shared):
    with np.load(shared / "golden" / "encoder_posemb_variants.npz") as file:
        arrays = {key.removeprefix(f"{variant}/"): file[key] for key in file.files if key.startswith(f"{variant}/")}
    config = json.loads(arrays["config"].item())
    dim, heads, mlp_dim = config["hidden"], config["num_heads"], config["mlp_dim"]
    name = "learned" if variant.startswith("learned") else variant
    blocks = [Block(Attention(dim, heads), MLP(dim, mlp_dim)) for _ in range(config["num_layers"])]
    encoder = Encoder(blocks, grid=tuple(config["grid_thw"]), dim=dim, pool="mean", positions=name)
    views = dict(encoder_views("encoder", "cls", encoder))
    if not config["normalise_output"]:
        encoder.norm = nn.Identity()
        views = {name: view for name, view in views.items() if "encoder_norm" not in name}
    params = {name: array for name, array in arrays.items() if name.startswith("params/")}
    assert {name.replace("encoder/", "params/", 1) for name in views} == set(params)
    for name, view in views.items():
        view.numpy()[...] = params[name.replace("encoder/", "params/", 1)]
    seen = []
    encoder.norm.register_forward_hook(lambda module, inputs, output: seen.append(output))
    encoder.eval()(torch.from_numpy(arrays["input"]))
    assert np.abs(seen[0].detach().numpy() - arrays["output"]).max() <= 2e-5


def test_sinusoidal_1d_by_hand():
    table = pos_embed.sinusoidal_1d((1, 2, 2), 4, True)
    assert table.shape == (5, 4)
    for place in range(5):
        angles = (place, place / 100)
        expected = [math.sin(angles[0]), math.cos(angles[0]), math.sin(angles[1]), math.cos(angles[1])]
        assert table[place].tolist() == pytest.approx(expected, abs=1e-6)


def test_sinusoidal_3d_by_hand():
    """Time, column, row; the token at time 1, row 2, column 3 of a grid of 2, 3, 5."""
    table = pos_embed.sinusoidal_3d((2, 3, 5), 12, False)
    expected = []
    for place in (1, 3, 2):
        expected += [math.sin(place), math.sin(place / 100), math.cos(place), math.cos(place / 100)]
    assert table.shape == (30, 12)
    assert table[1 * 15 + 2 * 5 + 3].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("make", "dim", "cls", "key"),
    [
        (pos_embed.sinusoidal_1d, 5, False, "size.dim"),
        (pos_embed.sinusoidal_3d, 8, False, "size.dim"),
        (pos_embed.sinusoidal_3d, 12, True, "model.pool"),
    ],
)
def test_sinusoidal_positions_that_cannot_be_are_refused(make, dim, cls, key):
    with pytest.raises(ConfigError) as error:
        make((2, 3, 4), dim, cls)
    assert error.value.key == key


def network(cls, **more):
    size = {"frames": 4, "height": 10, "width": 9, "depth": 2, "num_heads": 2, "mlp_dim": 7, "num_classes": 3}
    return make_network(cls, Tubelets(dim=12, tubelet=(2, 5, 3)), **size, **more)


def test_without_positions_a_network_sees_a_set(fill):
    torch.manual_seed(0)
    clip = torch.rand(1, 3, 4, 10, 9)
    swapped = torch.cat([clip[:, :, 2:], clip[:, :, :2]], dim=2)  # two tubelets change places
    for name, same in (("none", True), ("sinusoidal_1d", False), ("learned", False)):
        net = network(SpatioTemporal, pool="mean", positions=name).eval()
        fill(net)
        assert torch.allclose(net(clip), net(swapped), atol=1e-5) == same


def test_fixed_positions_are_no_parameters_and_leave_no_trace_in_checkpoints():
    temporal = {"temporal_depth": 1, "temporal_num_heads": 3, "temporal_mlp_dim": 8}
    net = network(FactorisedEncoder, positions="sinusoidal_1d", **temporal)
    assert not [name for name in net.state_dict() if "positions" in name]
    assert net.spatial.positions.shape == (1 + 2 * 3, 12)
    assert net.temporal.positions.shape == (1 + 2, 12)


def test_fixed_positions_are_not_exported_as_if_learned(tmp_path):
    net = network(SpatioTemporal, positions="sinusoidal_1d")
    with pytest.raises(ConfigError, match="parameters"):
        export_scenic(net)
    with pytest.raises(ConfigError, match="parameters"):
        save_huggingface(net, tmp_path / "model")


def test_learned_time_tells_time_and_nothing_else():
    torch.manual_seed(0)
    table = pos_embed.learned_time((8, 4, 4), 64, True)
    assert isinstance(table, nn.Parameter)
    assert table.shape == (129, 64)
    places = table.detach()[1:].reshape(8, 16, 64)
    assert places.mean(1).std() == pytest.approx(pos_embed.SHARED_TIME_STD, rel=0.15)
    assert pos_embed.learned_time((8, 1, 1), 64, False).detach().std() == pytest.approx(pos_embed.TIME_STD, rel=0.15)
    for rest in ((places - places.mean(1, keepdim=True)).detach(), table.detach()[:1]):
        assert rest.std() == pytest.approx(0.02, rel=0.25)
    assert pos_embed.learned_time((1, 4, 4), 64, False).detach().std() == pytest.approx(0.02, rel=0.25)


@pytest.mark.parametrize("positions", ["learned", "learned_time"])
def test_repeated_image_positions_keep_the_time_of_learned_time(positions, tmp_path):
    """The image's part is the mean over time; the network's own time is added, and only to these positions."""
    torch.manual_seed(0)
    sizes = {"num_classes": 5, "image_size": 32, "size": "tiny"}
    image = create_model("spatiotemporal", frames=1, tokeniser={"name": "tubelet", "tubelet": [1, 8, 8]}, **sizes)
    file = tmp_path / "image.ckpt"
    write_vivit(LoadedModel(image, "", {"noun": list("abcde")}), file)
    video = create_model("spatiotemporal", frames=8, positions=positions, **sizes)
    before = video.encoder.positions.detach().clone()[1:].reshape(4, 16, 64)
    load_image_weights(video, source=str(file))
    after = video.encoder.positions.detach()[1:].reshape(4, 16, 64)
    torch.testing.assert_close(after.mean(0), image.encoder.positions.detach()[1:])
    expected = before.mean(1) - before.mean((0, 1)) if positions == "learned_time" else torch.zeros(4, 64)
    torch.testing.assert_close((after - after.mean(0)).mean(1), expected)
