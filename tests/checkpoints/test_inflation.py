"""From an image to a video: filters, positions, class tokens, temporal attention; and from a video to another."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from image_models import DIM, MLP, PATCH, SIDE, SIZE, clip_of, features, images, one_frame, timm_weights
from networks import make_network
from torch import Tensor, nn

from vivit.checkpoints import LoadReport, export_scenic, load_image_weights, load_video_weights
from vivit.checkpoints.vivit_checkpoint import model_record
from vivit.errors import CheckpointError, ConfigError
from vivit.models import FactorisedDotProduct, FactorisedEncoder, FactorisedSelfAttention, SpatioTemporal, Tubelets

PIXELS = PATCH * SIDE
T = 4
"""Frames of a tubelet."""
TEMPORAL = {"temporal_depth": 2, "temporal_num_heads": 2, "temporal_mlp_dim": 14}
MODELS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "1": (SpatioTemporal, {}),
    "1 mean": (SpatioTemporal, {"pool": "mean"}),
    "2": (FactorisedEncoder, TEMPORAL),
    "2 mean": (FactorisedEncoder, TEMPORAL | {"pool": "mean"}),
    "2 average": (FactorisedEncoder, TEMPORAL | {"temporal_depth": 0}),
    "3": (FactorisedSelfAttention, {}),
    "4": (FactorisedDotProduct, {"num_heads": 6}),
}


def video(kind: str, frames: int = 3 * T, height: int = PIXELS, width: int = PIXELS, **changes: Any) -> nn.Module:
    model, settings = MODELS[kind]
    size = {"frames": frames, "height": height, "width": width}
    arguments = SIZE | {"gelu": "erf", "num_classes": 7} | settings | size | changes
    net = make_network(model, Tubelets(dim=DIM, tubelet=(T, PATCH, PATCH)), **arguments).eval()
    net.size = size
    return net


def start(net: nn.Module, source: Any = None, **how: Any) -> LoadReport:
    return load_image_weights(net, timm_weights() if source is None else source, **how)


@pytest.mark.parametrize(
    ("inflation", "weights"),
    [
        ("central_frame", [0, 0, 1, 0]),
        ("filter_inflation", [0.25, 0.25, 0.25, 0.25]),
        ("rank_pooling", [-0.604167, 0.145833, 0.270833, 0.1875]),
    ],
)
def test_filters_gain_slices(inflation: str, weights: list[float]) -> None:
    net, image = video("1"), timm_weights()["patch_embed.proj.weight"]
    report = start(net, tubelet_init=inflation)
    for i, weight in enumerate(weights):
        torch.testing.assert_close(net.tokeniser.projection.weight[:, :, i], image * weight, atol=1e-6, rtol=0)
    assert report.inflated["patch_embed.proj.weight"] == f"{inflation}, 4 slices"


def test_random_inflation_leaves_the_filter() -> None:
    net = video("1")
    before = net.tokeniser.projection.weight.clone()
    report = start(net, tubelet_init="random")
    assert torch.equal(net.tokeniser.projection.weight, before)
    assert {"tokeniser.projection.weight", "tokeniser.projection.bias"} < set(report.fresh)
    assert {"patch_embed.proj.weight", "patch_embed.proj.bias"} < set(report.ignored)


def ramp(*grid: int) -> Tensor:
    """Positions that rise evenly along every axis of a grid, each in channels of its own."""
    axes = torch.meshgrid(*[torch.linspace(-1, 2, n) if n > 1 else torch.tensor([-1.0]) for n in grid], indexing="ij")
    return torch.stack([*axes, *[torch.zeros(grid)] * (DIM - len(grid))], -1).reshape(-1, DIM)


@pytest.mark.parametrize("kind", MODELS)
def test_positions_are_resized_with_aligned_corners_and_repeated(kind: str) -> None:
    net = video(kind, height=3 * PATCH, width=7 * PATCH)
    cls = torch.randn(1, DIM)
    weights = timm_weights() | {"pos_embed": torch.cat([cls, ramp(SIDE, SIDE)])[None]}
    report = start(net, weights)
    encoder = getattr(net, "spatial", None) or net.encoder
    times = 1 if hasattr(net, "spatial") else 3
    expected = ramp(3, 7).repeat(times, 1)
    if encoder.cls is not None:
        expected = torch.cat([cls, expected])
    torch.testing.assert_close(encoder.positions.detach(), expected, atol=1e-6, rtol=0)
    assert "pos_embed" in report.resized
    assert ("pos_embed" in report.inflated) == (times == 3)


@pytest.mark.parametrize(("how", "width"), [("tile", 7), ("resize", SIDE)])
def test_positions_that_must_change_otherwise_are_refused(how: str, width: int) -> None:
    with pytest.raises(ConfigError) as error:
        start(video("1", width=width * PATCH), positions=how)
    assert (error.value.key, error.value.value) == ("weights.positions", how)


def test_positions_may_stay_fresh() -> None:
    net = video("1", width=7 * PATCH)
    before = net.encoder.positions.clone()
    report = start(net, positions="fresh")
    assert torch.equal(net.encoder.positions, before)
    assert "encoder.positions" in report.fresh
    assert "pos_embed" in report.ignored


def test_an_image_that_was_not_square() -> None:
    net = video("2", height=2 * PATCH, width=8 * PATCH)
    start(net, source_grid=(2, 8))
    assert torch.equal(net.spatial.positions, timm_weights()["pos_embed"][0])


@pytest.mark.parametrize("kind", ["1 mean", "2", "2 mean", "2 average", "3"])
def test_a_still_video_is_seen_as_the_image(kind: str) -> None:
    """Every frame alike, the central one filtered, temporal attention silent: each is what the image model sees."""
    pool = "cls" if kind in ("2", "2 average") else "mean"
    image, net = one_frame(pool=pool), video(kind)
    load_image_weights(image, timm_weights())
    start(net, load_spatial_cls=True)
    expected = features(image.encoder, image, clip_of(images()))
    encoder = getattr(net, "spatial", None) or net.encoder
    result = features(encoder, net, clip_of(images(), 3 * T))
    result = result if result.ndim == 4 else result.unflatten(1, (3, -1))
    torch.testing.assert_close(result, expected[:, None].expand_as(result), atol=2e-5, rtol=0)


@pytest.mark.slow
def test_the_real_dinov2_sees_a_still_video_as_the_image(shared: Path) -> None:
    file, size = shared / "weights" / "dinov2_small_fp16.npz", {"height": 56, "width": 84}
    shape = {"num_classes": 7, "depth": 12, "num_heads": 6, "mlp_dim": 1536, "gelu": "erf"} | size
    image = make_network(SpatioTemporal, Tubelets(dim=384, tubelet=(1, 14, 14)), frames=1, **shape).eval()
    tubelets = Tubelets(dim=384, tubelet=(2, 14, 14))
    net = make_network(FactorisedEncoder, tubelets, frames=6, **(shape | TEMPORAL)).eval()
    load_image_weights(image, file)
    load_image_weights(net, file, load_spatial_cls=True)
    pictures = torch.rand(1, 3, 56, 84, generator=torch.Generator().manual_seed(6))
    expected = features(image.encoder, image, clip_of(pictures))
    result = features(net.spatial, net, clip_of(pictures, 6))
    torch.testing.assert_close(result, expected[:, None].expand_as(result), atol=1e-3, rtol=0)


def test_the_factorised_encoder_takes_the_class_token_only_where_asked() -> None:
    net = video("2")
    report = start(net)
    assert not net.spatial.cls.any()
    assert torch.equal(net.spatial.positions[0], timm_weights()["pos_embed"][0, 0])
    assert "load_spatial_cls=true" in report.ignored["cls_token"]
    assert "spatial.cls" in report.fresh
    start(net, load_spatial_cls=True)
    assert torch.equal(net.spatial.cls, timm_weights()["cls_token"].flatten())


@pytest.mark.parametrize(
    ("how", "qkv", "out", "learns"),
    [
        ("zero_output", True, False, {"out.weight", "out.bias"}),
        ("zero", False, False, {"out.bias"}),
        ("copy", True, True, {"qkv.weight", "qkv.bias", "out.weight", "out.bias"}),
    ],
)
def test_temporal_attention_starts_as_asked_and_learns_or_not(how: str, qkv: bool, out: bool, learns: set[str]) -> None:
    net = video("3")
    start(net, temporal_attention=how)
    with torch.no_grad():
        net.head.projection.weight.normal_()
    net(torch.rand(2, 3, 3 * T, PIXELS, PIXELS) * 2 - 1).square().sum().backward()
    for block in net.encoder.blocks:
        time, space = block.time.attention, block.space.attention
        assert torch.equal(time.qkv.weight, space.qkv.weight if qkv else torch.zeros_like(space.qkv.weight))
        assert torch.equal(time.out.weight, space.out.weight if out else torch.zeros_like(space.out.weight))
        assert torch.equal(time.out.bias, space.out.bias if out else torch.zeros_like(space.out.bias))
        assert {name for name, part in time.named_parameters() if part.grad.any()} == learns
        assert torch.equal(block.time.norm.weight, torch.ones(DIM))


@pytest.mark.parametrize("prefix", ["", "opt/target/", "params/"])
def test_google_s_names_of_before_linen(prefix: str) -> None:
    original = one_frame(gelu="tanh")
    load_image_weights(original, timm_weights())
    old = {"MultiHeadDotProductAttention_0": "MultiHeadDotProductAttention_1", "MlpBlock_0": "MlpBlock_3"}
    old |= {"LayerNorm_1": "LayerNorm_2", "output_projection": "head"}
    weights: dict[str, Any] = {"opt/state/step": np.array(3)} if prefix == "opt/target/" else {}
    for name, array in export_scenic(original).items():
        for new, before in old.items():
            name = name.replace(new, before)
        weights[prefix + name] = array
    net = one_frame(gelu="tanh")
    report = load_image_weights(net, weights)
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in original.state_dict().items())
    assert {*report.loaded, *report.ignored} == weights.keys()
    with pytest.raises(ConfigError) as error:
        load_image_weights(one_frame(num_heads=2), weights)
    assert (error.value.key, error.value.value) == ("model.num_heads", 2)


def checkpoint(net: nn.Module, file: Path) -> Path:
    """Write what training leaves of a network: weights, and the options that it was built with."""
    record = model_record(net)
    weights = {f"network.{name}": tensor for name, tensor in net.state_dict().items()}
    torch.save({"vivit": record, "state_dict": weights, "epoch": 3}, file)
    return file


def filled(net: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return net


def test_image_model_of_this_repository_initialises_a_video_model(tmp_path: Path) -> None:
    image, net = filled(one_frame()), video("2")
    file = checkpoint(image, tmp_path / "best.ckpt")
    report = start(net, file)
    assert torch.equal(net.tokeniser.projection.weight[:, :, 2], image.tokeniser.projection.weight)
    target, original = net.spatial.state_dict(), image.encoder.state_dict()
    assert all(torch.equal(target[name], original[name]) for name in target if name != "cls")
    assert report.ignored["epoch"] == "not a parameter"
    with pytest.raises(CheckpointError, match="load_video_weights"):
        start(video("1"), video("1").state_dict())


def test_a_factorised_encoder_goes_on_with_longer_clips_and_fewer_temporal_layers(tmp_path: Path) -> None:
    original = filled(video("2", temporal_depth=3))
    with torch.no_grad():
        original.temporal.positions[1:] = ramp(3)
    file = checkpoint(original, tmp_path / "best.ckpt")
    net = video("2", frames=7 * T)
    with pytest.raises(ConfigError, match=r"'network.temporal.blocks.2") as error:
        load_video_weights(net, file)
    assert error.value.key == "weights.truncate_temporal_layers"
    report = load_video_weights(net, file, truncate_temporal_layers=True)
    torch.testing.assert_close(net.temporal.positions[1:].detach(), ramp(7), atol=1e-6, rtol=0)
    target, source = net.state_dict(), original.state_dict()
    same = [name for name in target if not name.startswith("head.") and name != "temporal.positions"]
    assert all(torch.equal(target[name], source[name]) for name in same)
    assert sum("temporal layer 2, beyond those of the network" in why for why in report.ignored.values()) == 12
    assert set(report.fresh) == {"head.projection.weight", "head.projection.bias"}
    load_video_weights(net, file, truncate_temporal_layers=True, load_head=True)
    assert torch.equal(net.head.projection.weight, original.head.projection.weight)


def test_a_space_time_model_goes_on_with_clips_of_another_size(tmp_path: Path) -> None:
    original, net = filled(video("1")), video("1", frames=5 * T, height=2 * PATCH, width=7 * PATCH)
    with torch.no_grad():
        original.encoder.positions[1:] = ramp(3, SIDE, SIDE)
    load_video_weights(net, checkpoint(original, tmp_path / "a.ckpt"))
    torch.testing.assert_close(net.encoder.positions[1:].detach(), ramp(5, 2, 7), atol=1e-6, rtol=0)
    with pytest.raises(ConfigError) as error:
        load_video_weights(net, original.state_dict())
    assert error.value.key == "weights.source_grid"
    load_video_weights(net, original.state_dict(), source_grid=(3, SIDE, SIDE))
    torch.testing.assert_close(net.encoder.positions[1:].detach(), ramp(5, 2, 7), atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", MODELS)
def test_fixed_positions_stay_and_the_source_s_are_passed_over(kind: str) -> None:
    def fixed() -> nn.Module:
        return video(kind, frames=5 * T, positions="sinusoidal_1d")

    net, original, kin = fixed(), filled(video(kind)), filled(fixed())
    assert start(net).ignored["pos_embed"] == "the network's positions are not learned"
    report = load_video_weights(net, original.state_dict(), load_head=True)
    assert {name for name in original.state_dict() if name.endswith("positions")} == report.ignored.keys()
    assert all(torch.equal(tensor, original.state_dict()[name]) for name, tensor in net.state_dict().items())
    load_video_weights(net, kin.state_dict(), load_head=True)
    assert all(torch.equal(tensor, kin.state_dict()[name]) for name, tensor in net.state_dict().items())
    encoder = getattr(net, "spatial", None) or net.encoder
    fresh = fixed()
    assert torch.equal(encoder.positions, (getattr(fresh, "spatial", None) or fresh.encoder).positions)


def test_the_reference_s_factorised_encoder_is_a_source_too() -> None:
    original, net = filled(video("2", gelu="tanh")), video("2", gelu="tanh")
    report = load_video_weights(net, export_scenic(original), load_head=True)
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in original.state_dict().items())
    assert set(report.loaded) == export_scenic(original).keys()
    assert original.spatial.blocks[0].mlp[0].out_features == MLP
