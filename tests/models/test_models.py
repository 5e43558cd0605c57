"""One suite over all architectures and both tokenisers. No two sizes are equal, so that a mix-up shows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from networks import make_network
from torch import Tensor, nn

from vivit.errors import ConfigError
from vivit.models import (
    FactorisedDotProduct,
    FactorisedEncoder,
    FactorisedSelfAttention,
    SpatioTemporal,
    Tokeniser,
    Tubelets,
    UniformFrames,
)
from vivit.models.blocks import Block, StochasticDepth, stochastic_depth_rates

CLIP = {"frames": 9, "height": 10, "width": 28}
DIM, DEPTH, HEADS, MLP, CLASSES = 24, 3, 2, 40, 7
ROWS, COLUMNS = 2, 4
TEMPORAL = {"temporal_depth": 2, "temporal_num_heads": 3, "temporal_mlp_dim": 32}
TOKENISERS = {"tubelets": 3, "uniform frames": 4}
"""Temporal indices of each."""


@dataclass(frozen=True)
class Case:
    """A class, its own arguments, and its number of parameters beside tokeniser and head, in closed form."""

    model: type[nn.Module]
    defaults: dict[str, Any]
    params: Callable[[int, int], int]
    """Of temporal indices and places in space."""


def dense(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def block(mlp: int, attentions: int = 1) -> int:
    attention = 4 * dense(DIM, DIM) + 2 * DIM
    return attentions * attention + dense(DIM, mlp) + dense(mlp, DIM) + 2 * DIM


def encoder(tokens: int, blocks: int, cls: bool) -> int:
    return (tokens + cls) * DIM + cls * DIM + blocks + 2 * DIM


CASES = {
    "spatiotemporal": Case(SpatioTemporal, {}, lambda t, s: encoder(t * s, DEPTH * block(MLP), True)),
    "spatiotemporal, mean": Case(
        SpatioTemporal, {"pool": "mean"}, lambda t, s: encoder(t * s, DEPTH * block(MLP), False)
    ),
    "factorised encoder": Case(
        FactorisedEncoder,
        TEMPORAL,
        lambda t, s: encoder(s, DEPTH * block(MLP), True) + encoder(t, 2 * block(32), True),
    ),
    "factorised encoder, mean": Case(
        FactorisedEncoder,
        TEMPORAL | {"pool": "mean"},
        lambda t, s: encoder(s, DEPTH * block(MLP), False) + encoder(t, 2 * block(32), False),
    ),
    "average pool": Case(
        FactorisedEncoder, TEMPORAL | {"temporal_depth": 0}, lambda t, s: encoder(s, DEPTH * block(MLP), True)
    ),
    "attentive pool": Case(
        FactorisedEncoder,
        TEMPORAL | {"temporal_depth": 0, "frame_pool": "query"},
        lambda t, s: encoder(s, DEPTH * block(MLP), True) + DIM + 4 * DIM * (DIM + 1) + 2 * DIM,
    ),
    "factorised self-attention": Case(
        FactorisedSelfAttention, {}, lambda t, s: encoder(t * s, DEPTH * block(MLP, attentions=2), False)
    ),
    "factorised self-attention, time first": Case(
        FactorisedSelfAttention,
        {"attention_order": "time_space"},
        lambda t, s: encoder(t * s, DEPTH * block(MLP, attentions=2), False),
    ),
    "factorised dot-product": Case(FactorisedDotProduct, {}, lambda t, s: encoder(t * s, DEPTH * block(MLP), False)),
}

POOLS = ("average pool", "attentive pool")
"""Models without a temporal encoder."""

every_model = pytest.mark.parametrize("name", CASES)
every_tokeniser = pytest.mark.parametrize("tokeniser", TOKENISERS)


def tokens(name: str) -> Tokeniser:
    if name == "tubelets":
        return Tubelets(dim=DIM, tubelet=(3, 5, 7))
    return UniformFrames(dim=DIM, num_frames=4, patch=(5, 7))


def build(name: str, tokeniser: str = "tubelets", **changes: Any) -> nn.Module:
    torch.manual_seed(0)
    arguments = (
        {"num_classes": CLASSES, "depth": DEPTH, "num_heads": HEADS, "mlp_dim": MLP} | CLIP | CASES[name].defaults
    )
    return make_network(CASES[name].model, tokens(tokeniser), **arguments | changes)


def clips(number: int = 2) -> Tensor:
    return torch.rand(number, 3, *CLIP.values(), generator=torch.Generator().manual_seed(1)) * 2 - 1


@every_model
@every_tokeniser
def test_logits_start_at_zero_for_every_class_and_clip(name: str, tokeniser: str) -> None:
    logits = build(name, tokeniser)(clips())
    assert logits.shape == (2, CLASSES)
    assert not logits.any()


@every_model
@every_tokeniser
def test_every_parameter_gets_a_finite_gradient(name: str, tokeniser: str, fill: Any) -> None:
    net = build(name, tokeniser, representation_size=11)
    fill(net)
    net(clips()).square().sum().backward()
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any(), parameter_name


@every_model
@every_tokeniser
def test_evaluation_repeats_bit_for_bit(name: str, tokeniser: str, fill: Any) -> None:
    net = build(name, tokeniser, dropout=0.5, attention_dropout=0.5, stochastic_depth=0.5).eval()
    fill(net)
    assert torch.equal(net(clips()), net(clips()))


@every_model
@every_tokeniser
def test_parameters_in_closed_form(name: str, tokeniser: str) -> None:
    fan_in = 3 * 5 * 7 * (3 if tokeniser == "tubelets" else 1)
    outside = dense(fan_in, DIM) + dense(DIM, CLASSES)
    expected = CASES[name].params(TOKENISERS[tokeniser], ROWS * COLUMNS) + outside
    assert sum(parameter.numel() for parameter in build(name, tokeniser).parameters()) == expected


@every_model
@every_tokeniser
@pytest.mark.parametrize("wrong", [(9, 15, 28), (9, 10, 21), (9, 11, 28)])
def test_clips_of_another_size_are_refused(name: str, tokeniser: str, wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError) as error:
        build(name, tokeniser)(torch.zeros(1, 3, *wrong))
    assert error.value.key in ("model.frames", "data.frames", "data.crop.0")


@pytest.mark.parametrize("name", [name for name in CASES if name not in POOLS])
def test_clips_of_another_length_are_refused(name: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(name)(torch.zeros(1, 3, 12, 10, 28))
    assert error.value.key == "model.frames"


@every_model
@pytest.mark.parametrize("gelu", ["tanh", "erf"])
def test_every_mlp_has_the_gelu_that_is_asked_for(name: str, gelu: str) -> None:
    x = torch.linspace(-4, 4, 97, dtype=torch.float64)
    cubic = (2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)
    expected = x / 2 * (1 + (torch.erf(x / 2**0.5) if gelu == "erf" else torch.tanh(cubic)))
    result = [part for part in build(name, gelu=gelu).modules() if isinstance(part, nn.GELU)]
    assert len(result) == DEPTH + (TEMPORAL["temporal_depth"] if name.startswith("factorised encoder") else 0)
    for part in result:
        torch.testing.assert_close(part(x), expected, atol=1e-12, rtol=0)


@every_model
@pytest.mark.parametrize("knob", ["stochastic_depth", "dropout", "attention_dropout"])
def test_every_strength_acts_in_training_only(name: str, knob: str, fill: Any) -> None:
    plain, raised = build(name), build(name, **{knob: 0.9})
    for net in (plain, raised):
        fill(net)
    assert torch.equal(plain(clips(8)), plain.eval()(clips(8)))
    assert not torch.allclose(raised(clips(8)), plain(clips(8)))
    assert torch.equal(raised.eval()(clips(8)), plain(clips(8)))


@every_model
def test_stochastic_depth_acts_on_every_branch(name: str, fill: Any) -> None:
    net = build(name, stochastic_depth=0.6)
    fill(net)
    expected = net.eval()(clips())
    net.train()
    droppers = [module for module in net.modules() if isinstance(module, StochasticDepth)]
    for dropper in droppers:
        dropper.uniforms = torch.ones(2)
    assert torch.equal(net(clips()), expected), "a clip that keeps all branches must not be scaled"
    for dropper in droppers:
        if dropper.rate:
            dropper.uniforms = torch.tensor([0.0, 1.0])
            result = net(clips())
            assert not torch.allclose(result[0], expected[0])
            torch.testing.assert_close(result[1], expected[1], atol=1e-5, rtol=0, msg="the numbers belong to clips")
            dropper.uniforms = torch.ones(2)


@pytest.mark.parametrize(("depth", "rates"), [(1, [0.0]), (2, [0.0, 0.3]), (4, [0.0, 0.1, 0.2, 0.3])])
def test_stochastic_depth_rates_rise_from_zero(depth: int, rates: list[float]) -> None:
    assert stochastic_depth_rates(depth, 0.3) == pytest.approx(rates)


def test_stochastic_depth_ramp_of_each_encoder_starts_at_zero() -> None:
    net = build("factorised encoder", stochastic_depth=0.4)
    rates = [[part.drop_mlp.rate for part in half.blocks] for half in (net.spatial, net.temporal)]
    assert rates == [pytest.approx([0, 0.2, 0.4]), pytest.approx([0, 0.4])]


def test_stochastic_depth_of_both_branches_is_separate_and_drops_at_its_rate() -> None:
    dropper = StochasticDepth(0.3)
    torch.manual_seed(0)
    assert dropper.sample_mask(4000).float().mean() == pytest.approx(0.7, abs=0.03)
    net = build("spatiotemporal", stochastic_depth=0.5)
    assert net.encoder.blocks[1].drop_attention is not net.encoder.blocks[1].drop_mlp


def test_stochastic_depth_has_one_mask_for_all_temporal_indices(fill: Any) -> None:
    """The spatial encoder of a still clip says the same of every frame, whatever is dropped."""
    net = build("factorised encoder", stochastic_depth=0.5)
    fill(net)
    still = clips(16)[:, :, :3].repeat(1, 1, 3, 1, 1)
    seen: list[Tensor] = []
    net.spatial.register_forward_hook(lambda module, args, out: seen.append(out))
    net(still)
    (frames,) = seen
    torch.testing.assert_close(frames, frames[:, :1].expand_as(frames), atol=1e-6, rtol=0)
    with torch.no_grad():
        dropped = (net.eval().spatial(net.tokeniser(still).flatten(2, 3)) - frames).abs().amax((1, 2)) > 1e-3
    assert 0 < dropped.sum() < 16


def seen_by(module: nn.Module, shape: tuple[int, ...], output: tuple[Any, ...]) -> Tensor:
    """Where a change of the input changes one element of the output, features left out."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2), requires_grad=True)
    module(x)[output].sum().backward()
    return x.grad.abs().sum(-1) > 0


def test_the_spatial_encoder_sees_one_time_index(fill: Any) -> None:
    net = build("factorised encoder")
    fill(net)
    reach = seen_by(net.spatial, (2, 3, 8, DIM), (1, 2))
    expected = torch.zeros(2, 3, 8, dtype=torch.bool)
    expected[1, 2] = True
    assert torch.equal(reach, expected)


@pytest.mark.parametrize(("branch", "place"), [("time", (0, slice(None), 5)), ("space", (0, 2))])
def test_factorised_self_attention_sees_one_axis(branch: str, place: tuple[Any, ...], fill: Any) -> None:
    net = build("factorised self-attention")
    fill(net)
    reach = seen_by(getattr(net.encoder.blocks[0], branch), (1, 3, 8, DIM), (0, 2, 5))
    expected = torch.zeros(1, 3, 8, dtype=torch.bool)
    expected[place] = True
    assert torch.equal(reach, expected)


@pytest.mark.parametrize(("head", "place"), [(0, (0, slice(None), 5)), (1, (0, 2))])
def test_factorised_dot_product_heads_see_one_axis(head: int, place: tuple[Any, ...]) -> None:
    """The first half of the heads looks along time at its own place, the second across space at its own time."""
    attention = build("factorised dot-product").encoder.blocks[0].attention
    values = torch.randn(1, HEADS, 3 * 8, DIM // HEADS, requires_grad=True)
    keys = torch.randn(1, HEADS, 3 * 8, DIM // HEADS)
    attention.apply_attention(keys, keys, values)[0, head, 2 * 8 + 5].sum().backward()
    reach = (values.grad.abs().sum(-1) > 0).unflatten(2, (3, 8))
    expected = torch.zeros(1, HEADS, 3, 8, dtype=torch.bool)
    expected[:, head][place] = True
    assert torch.equal(reach, expected)


def test_a_space_time_model_sees_everything_at_once(fill: Any) -> None:
    net = build("spatiotemporal")
    fill(net)
    assert isinstance(net.encoder.blocks[0], Block)
    assert seen_by(net.encoder.blocks[0].attention, (1, 24, DIM), (0, 3)).all()


@pytest.mark.parametrize("name", CASES)
def test_only_pooling_is_blind_to_the_order_of_frames(name: str, fill: Any) -> None:
    net = build(name, tokeniser="uniform frames").eval()
    fill(net)
    sampled = [2, 4, 5, 7]
    forwards = clips()
    backwards = forwards.clone()
    backwards[:, :, sampled] = forwards[:, :, sampled[::-1]]
    blind = torch.allclose(net(forwards), net(backwards), atol=1e-4)
    assert blind == (name in POOLS)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("name", "wrong", "key"),
    [
        ("spatiotemporal", {"pool": "clss"}, "model.pool"),
        ("factorised encoder", {"pool": "gap"}, "model.pool"),
        ("factorised encoder", {"frame_pool": "query"}, "model.frame_pool"),
        ("average pool", {"frame_pool": "max"}, "model.frame_pool"),
        ("factorised dot-product", {"num_heads": 3}, "model.num_heads"),
        ("factorised self-attention", {"attention_order": "spacetime"}, "model.attention_order"),
        ("spatiotemporal", {"num_heads": 5}, "model.num_heads"),
        ("factorised encoder", {"temporal_num_heads": 7}, "model.temporal_num_heads"),
        ("spatiotemporal", {"num_classes": 0}, "num_classes"),
        ("spatiotemporal", {"stochastic_depth": 1.5}, "model.stochastic_depth"),
        ("average pool", {"frames": 8}, "data.frames"),
        ("spatiotemporal", {"gelu": "exact"}, "model.gelu"),
    ],
)
def test_wrong_arguments_are_refused_by_key(name: str, wrong: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(name, **wrong)
    assert (error.value.key, error.value.value) == (key, *wrong.values())


@every_model
def test_a_misspelt_argument_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(name, stochastic_dept=0.1)
    assert error.value.key == "model.stochastic_dept"
