"""Stochastic depth computes only what it keeps, and learns what the reference's masks would."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from networks import make_network
from torch import Tensor, nn

from vivit.models import FactorisedDotProduct, FactorisedEncoder, FactorisedSelfAttention, SpatioTemporal, Tubelets
from vivit.models.attention import Attention
from vivit.models.blocks import MLP, Block, StochasticDepth, stochastic_depth_rates

CLIP = {"frames": 6, "height": 8, "width": 15}
TEMPORAL = {"temporal_depth": 2, "temporal_num_heads": 3, "temporal_mlp_dim": 20}
MODELS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "spatiotemporal": (SpatioTemporal, {}),
    "factorised encoder": (FactorisedEncoder, TEMPORAL),
    "factorised self-attention": (FactorisedSelfAttention, {}),
    "factorised dot-product": (FactorisedDotProduct, {}),
}
CLIPS = 5

every_model = pytest.mark.parametrize("name", MODELS)


@pytest.fixture
def build(fill: Callable[[nn.Module], None]) -> Callable[[str], nn.Module]:
    """Make a network in training mode, always with the same weights and draws."""

    def build(name: str) -> nn.Module:
        model, own = MODELS[name]
        tokeniser = Tubelets(dim=12, tubelet=(2, 4, 5))
        net = make_network(
            model, tokeniser, num_classes=4, depth=3, num_heads=2, mlp_dim=28, stochastic_depth=0.6, **CLIP, **own
        )
        fill(net)
        rng = np.random.default_rng(3)
        for dropper in droppers(net):
            dropper.uniforms = torch.from_numpy(rng.random(CLIPS, np.float32))
        return net

    return build


def droppers(net: nn.Module) -> list[StochasticDepth]:
    return [module for module in net.modules() if isinstance(module, StochasticDepth)]


def clips() -> Tensor:
    return torch.rand(CLIPS, 3, *CLIP.values(), generator=torch.Generator().manual_seed(1)) * 2 - 1


class Masked(nn.Module):
    """The reference's form: compute every branch, multiply by zero or one."""

    def __init__(self, dropper: StochasticDepth) -> None:
        super().__init__()
        self.mask = (dropper.uniforms >= dropper.rate).float()

    def forward(self, x: Tensor, branch: Callable[[Tensor], Tensor], seen: Tensor | None = None) -> Tensor:
        return x + branch(x if seen is None else seen) * self.mask.reshape(-1, *[1] * (x.ndim - 1))


def mask(net: nn.Module) -> nn.Module:
    for module in list(net.modules()):
        for child, part in module.named_children():
            if isinstance(part, StochasticDepth):
                setattr(module, child, Masked(part))
    return net


@every_model
def test_outputs_and_gradients_are_those_of_the_masked_form(name: str, build: Callable[[str], nn.Module]) -> None:
    skipping, masked = build(name).double(), mask(build(name)).double()
    outputs = [net(clips().double()) for net in (skipping, masked)]
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-12, rtol=0)
    for out in outputs:
        out.square().sum().backward()
    expected = dict(masked.named_parameters())
    for parameter_name, parameter in skipping.named_parameters():
        assert parameter.grad is not None, parameter_name
        torch.testing.assert_close(parameter.grad, expected[parameter_name].grad, atol=1e-10, rtol=1e-10)


@every_model
def test_what_is_dropped_is_not_computed(name: str, build: Callable[[str], nn.Module]) -> None:
    net = build(name)
    seen: dict[nn.Module, int] = {}
    for module in net.modules():
        if isinstance(module, MLP | Attention):
            module.register_forward_hook(lambda module, args, out: seen.update({module: len(args[0])}))
    net(clips())
    parts = [part for part in net.modules() if isinstance(part, MLP | Attention)]
    # An attention of a space or time branch works on the clip axis too: sequences are further axes.
    expected = [int((dropper.uniforms >= dropper.rate).sum()) for dropper in droppers(net)]
    assert sorted(seen[part] for part in parts) == sorted(expected)
    assert min(expected) < CLIPS


@every_model
def test_a_batch_that_is_dropped_whole_gives_gradients_of_zero(name: str, build: Callable[[str], nn.Module]) -> None:
    """As many parameters take part in every step, so that several devices can average their gradients."""
    net = build(name)
    for dropper in droppers(net):
        dropper.uniforms = torch.zeros(CLIPS)
    net(clips()).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())
    dropped = [block for block in net.modules() if isinstance(block, nn.Module) and hasattr(block, "drop_mlp")]
    for block in dropped:
        silent = not any(parameter.grad.any() for parameter in block.parameters())
        assert silent == (block.drop_mlp.rate > 0)


@every_model
@pytest.mark.filterwarnings("ignore:.*autocast.*")
def test_it_works_in_mixed_precision(name: str, build: Callable[[str], nn.Module]) -> None:
    net = build(name)
    expected = net(clips())
    with torch.autocast("cpu", torch.bfloat16):
        found = net(clips())
    found.float().sum().backward()
    assert (found.float() - expected).abs().max() < 0.1 * expected.abs().max()


@pytest.mark.parametrize(("depth", "last"), [(12, 0.3), (24, 0.3), (4, 0.3), (1, 0.3), (24, 0.2)])
def test_rates_equal_the_reference(depth: int, last: float, reference_numbers: Mapping[str, np.ndarray]) -> None:
    expected = reference_numbers[f"stochdepth/rates/L{depth}_p{last}"]
    np.testing.assert_allclose(stochastic_depth_rates(depth, last), expected, atol=1e-7, rtol=0)


def reference_block(numbers: Mapping[str, np.ndarray]) -> Block:
    """Write the reference's weights into a block: (in, heads, per head) kernels become (out, in) matrices."""
    part = {
        key.removeprefix("stochdepth/block/params/"): torch.from_numpy(value)
        for key, value in numbers.items()
        if key.startswith("stochdepth/block/params/")
    }
    attention = "MultiHeadDotProductAttention_0"
    names = ("query", "key", "value")
    weights = {
        "norm_attention.weight": part["LayerNorm_0/scale"],
        "norm_attention.bias": part["LayerNorm_0/bias"],
        "attention.qkv.weight": torch.cat([part[f"{attention}/{name}/kernel"].flatten(1).T for name in names]),
        "attention.qkv.bias": torch.cat([part[f"{attention}/{name}/bias"].flatten() for name in names]),
        "attention.out.weight": part[f"{attention}/out/kernel"].flatten(0, 1).T,
        "attention.out.bias": part[f"{attention}/out/bias"],
        "norm_mlp.weight": part["LayerNorm_1/scale"],
        "norm_mlp.bias": part["LayerNorm_1/bias"],
    }
    for part_name, dense in (("0", "Dense_0"), ("3", "Dense_1")):
        weights |= {
            f"mlp.{part_name}.weight": part[f"MlpBlock_0/{dense}/kernel"].T,
            f"mlp.{part_name}.bias": part[f"MlpBlock_0/{dense}/bias"],
        }
    block = Block(Attention(12, 2), MLP(12, 20), drop_rate=0.5)
    block.load_state_dict(weights)
    return block


def test_a_block_equals_the_reference(reference_numbers: Mapping[str, np.ndarray]) -> None:
    block = reference_block(reference_numbers)
    for dropper, name in ((block.drop_attention, "keep_attention"), (block.drop_mlp, "keep_mlp")):
        dropper.uniforms = torch.from_numpy(reference_numbers[f"stochdepth/block/{name}"])
        assert 0 < dropper.uniforms.sum() < len(dropper.uniforms)
    x = torch.from_numpy(reference_numbers["stochdepth/block/input"])
    for mode, name in ((True, "output"), (False, "output_deterministic")):
        with torch.no_grad():
            found = block.train(mode)(x)
        np.testing.assert_allclose(found, reference_numbers[f"stochdepth/block/{name}"], atol=5e-6, rtol=0)
