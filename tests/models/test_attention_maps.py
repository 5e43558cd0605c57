"""Maps that a network hands out are those of its forward pass: with them, its attention comes out as it did."""

import pytest
import torch
from test_models import CASES, build, clips
from torch import Tensor, nn

from vivit.models.attention import Attention
from vivit.models.encoder import Encoder


def gathered(attention: nn.Module, x: Tensor, maps: tuple) -> Tensor:
    """Apply handed-out maps to the values, by plain sums, and project."""
    batch = x.shape[:-2]
    v = attention.qkv(x).unflatten(-1, (3, attention.heads, -1)).unbind(-3)[2]
    v = v.flatten(0, -4) if len(batch) else v
    groups = v.chunk(len(maps), dim=2)
    out = []
    for each, values in zip(maps, groups, strict=True):
        if each.axis in ("time", "space") and len(maps) == 2:
            n = x.shape[1]
            t = each.weights.shape[1 if each.axis == "space" else 3]
            grid = values.unflatten(1, (t, n // t))
            path = "bsaij,bjsae->bisae" if each.axis == "time" else "btaij,btjae->btiae"
            out.append(torch.einsum(path, each.weights, grid).flatten(1, 2))
        else:
            out.append(torch.einsum("qaij,qjae->qiae", each.weights.flatten(0, 1), values))
    return attention.out(torch.cat(out, 2).flatten(-2)).unflatten(0, batch)


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_maps_reproduce_the_attention_of_the_forward_pass(name: str, fill) -> None:
    net = build(name).eval()
    fill(net)
    for encoder in (module for module in net.modules() if isinstance(module, Encoder)):
        encoder.all_tokens = True
    seen: list[tuple[nn.Module, Tensor, Tensor]] = []
    modules = [module for module in net.modules() if isinstance(module, Attention)]
    hooks = [m.register_forward_hook(lambda module, args, out: seen.append((module, args[0], out))) for m in modules]
    net(clips())
    for hook in hooks:
        hook.remove()
    branches = list(net.attention_maps(clips()))
    assert len(branches) == len(seen) == len(modules)
    for maps, (attention, x, out) in zip(branches, seen, strict=True):
        for each in maps:
            assert each.weights.ndim == 5
            torch.testing.assert_close(each.weights.sum(-1), torch.ones_like(each.weights[..., 0]))
            assert each.weights.std() > 1e-3, "flat maps would test nothing"
        torch.testing.assert_close(gathered(attention, x, maps), out, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_maps_are_handed_out_one_layer_at_a_time(name: str) -> None:
    """Nothing of a later layer is computed before it is asked for."""
    net = build(name).eval()
    calls: list[nn.Module] = []
    for block in (module for module in net.modules() if type(module).__name__.endswith("Block")):
        block.register_forward_hook(lambda module, args, out: calls.append(module))
    branches = net.attention_maps(clips())
    next(branches)
    assert not calls
    list(branches)
    assert calls


def test_axes_name_what_each_model_attends_to() -> None:
    axes = {name: [[each.axis for each in maps] for maps in build(name).attention_maps(clips())] for name in CASES}
    assert axes["spatiotemporal"] == [["sequence"]] * 3
    assert axes["factorised encoder"] == [["sequence"]] * 3 + [["frames"]] * 2
    assert axes["average pool"] == [["sequence"]] * 3
    assert axes["factorised self-attention"] == [["space"], ["time"]] * 3
    assert axes["factorised self-attention, time first"] == [["time"], ["space"]] * 3
    assert axes["factorised dot-product"] == [["time", "space"]] * 3
    cls = {name: {each.cls for maps in build(name).attention_maps(clips()) for each in maps} for name in CASES}
    assert cls["factorised encoder"] == cls["spatiotemporal"] == {True}
    assert cls["factorised encoder, mean"] == cls["factorised self-attention"] == {False}


def test_frames_of_a_temporal_index() -> None:
    from test_models import tokens

    assert tokens("tubelets").frames_per_token(9) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert tokens("uniform frames").frames_per_token(9) == [[2], [4], [5], [7]]
