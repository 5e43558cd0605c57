"""Both tokenisers: which frames, which boxes, and the errors for clips that do not fit."""

import copy
import math
from typing import Any

import pytest
import torch
from einops import rearrange

from vivit.errors import ConfigError
from vivit.models import Tubelets, UniformFrames
from vivit.models.head import Head
from vivit.models.tokenisers import uniform_frames


@pytest.mark.parametrize(
    ("total", "count", "expected"),
    [
        (32, 8, [4, 7, 11, 14, 18, 21, 25, 28]),
        (32, 16, [2, 4, 6, 8, 9, 11, 13, 15, 17, 19, 21, 23, 24, 26, 28, 30]),
        (32, 4, [6, 13, 19, 26]),
        (8, 2, [3, 5, 7]),
        (5, 5, [0, 1, 2, 3, 4]),
        (5, 9, [0, 1, 2, 3, 4]),
    ],
)
def test_uniform_frames_are_the_reference_s(total: int, count: int, expected: list[int]) -> None:
    assert uniform_frames(total, count) == expected


@pytest.mark.parametrize(("total", "count"), [(8, 2), (16, 2), (16, 5), (16, 6), (16, 13)])
def test_uniform_frames_are_one_more_for_some_pairs_as_in_the_reference(total: int, count: int) -> None:
    frames = uniform_frames(total, count)
    assert len(frames) == count + 1
    assert frames[-1] == total - 1
    tokeniser = UniformFrames(dim=4, num_frames=count, patch=(2, 3))
    assert tokeniser.grid(total, 4, 9) == (count + 1, 2, 3)
    assert tokeniser(torch.zeros(1, 3, total, 4, 9)).shape == (1, count + 1, 2, 3, 4)


def test_tubelets_are_a_dense_layer_over_boxes() -> None:
    torch.manual_seed(0)
    tokeniser = Tubelets(dim=11, tubelet=(2, 5, 7))
    torch.nn.init.normal_(tokeniser.projection.bias)
    clip = torch.randn(2, 3, 6, 20, 35)
    boxes = rearrange(clip, "b c (t u) (r v) (q w) -> b t r q (c u v w)", u=2, v=5, w=7)
    expected = boxes @ tokeniser.projection.weight.flatten(1).T + tokeniser.projection.bias
    torch.testing.assert_close(tokeniser(clip), expected, atol=1e-5, rtol=1e-5)
    assert tokeniser.grid(6, 20, 35) == expected.shape[1:4] == (3, 4, 5)


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("casts", [True, False], ids=["autocast", "weights in half precision"])
@pytest.mark.parametrize(
    "tokeniser",
    [Tubelets(dim=11, tubelet=(2, 5, 7)), UniformFrames(dim=11, num_frames=2, patch=(5, 7))],
    ids=["tubelet", "uniform_frames"],
)
def test_tokens_and_gradients_in_half_precision_are_those_of_the_convolution(
    tokeniser: Tubelets | UniformFrames, casts: bool, half: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    torch.nn.init.normal_(tokeniser.projection.bias)
    clip = torch.randn(2, 3, 4, 20, 35, requires_grad=True)
    weights = [clip, *tokeniser.parameters()]
    expected = tokeniser(clip)
    upstream = torch.randn_like(expected)
    right = torch.autograd.grad(expected, weights, upstream)
    for kind in (torch.nn.Conv2d, torch.nn.Conv3d):
        monkeypatch.setattr(kind, "forward", lambda *_: pytest.fail("it is no product of matrices"))
    if casts:
        with torch.autocast("cpu", half):
            tokens = tokeniser(clip)
        gradients = torch.autograd.grad(tokens, weights, upstream.to(half))
    else:
        low = copy.deepcopy(tokeniser).to(half)
        tokens = low(small := clip.detach().to(half).requires_grad_())
        gradients = torch.autograd.grad(tokens, [small, *low.parameters()], upstream.to(half))
    assert tokens.dtype == half
    for value, truth in zip((tokens, *gradients), (expected, *right), strict=True):
        assert value.shape == truth.shape
        assert (value.float() - truth).norm() <= 0.01 * truth.norm()


def test_tubelet_filter_has_the_configured_start() -> None:
    starts = {}
    for start in ("random", "central_frame", "filter_inflation"):
        torch.manual_seed(0)
        starts[start] = Tubelets(dim=11, tubelet=(3, 5, 7), init=start).projection.weight
    random = starts["random"]
    empty = torch.zeros_like(random[:, :, 0])
    assert random.any(dim=(0, 1, 3, 4)).all()
    assert torch.equal(starts["central_frame"], torch.stack([empty, random[:, :, 1], empty], 2))
    assert torch.equal(starts["filter_inflation"], torch.stack([random[:, :, 0]] * 3, 2))
    assert Tubelets(dim=4, tubelet=(2, 3, 5), init="central_frame").projection.weight[:, :, 1].any()
    assert starts["central_frame"].is_leaf and starts["central_frame"].requires_grad


@pytest.mark.usefixtures("untyped")
def test_tubelet_filter_of_unknown_start_is_refused() -> None:
    with pytest.raises(ConfigError) as error:
        Tubelets(dim=4, tubelet=(2, 3, 5), init="centre")
    assert (error.value.key, error.value.value) == ("tokeniser.init", "centre")


def test_uniform_frames_are_a_dense_layer_over_patches_of_the_sampled_frames() -> None:
    torch.manual_seed(0)
    tokeniser = UniformFrames(dim=11, num_frames=4, patch=(5, 7))
    torch.nn.init.normal_(tokeniser.projection.bias)
    clip = torch.randn(2, 3, 32, 20, 35)
    patches = rearrange(clip[:, :, [6, 13, 19, 26]], "b c t (r v) (q w) -> b t r q (c v w)", v=5, w=7)
    expected = patches @ tokeniser.projection.weight.flatten(1).T + tokeniser.projection.bias
    torch.testing.assert_close(tokeniser(clip), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("clip", "key", "message"),
    [
        ((7, 20, 35), "data.frames", "data.frames=7: not a multiple of tokeniser.tubelet.0=2; set 6 or 8, or another"),
        ((6, 21, 35), "data.crop.0", "set 20 or 25,"),
        ((6, 20, 41), "data.crop.1", "set 35 or 42,"),
        ((6, 4, 35), "data.crop.0", "set 5,"),
    ],
)
def test_tubelets_error_contains_a_number_that_fits(clip: tuple[int, int, int], key: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Tubelets(dim=11, tubelet=(2, 5, 7)).grid(*clip)
    assert error.value.key == key
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("frames", "clip", "key", "numbers"),
    [
        (4, (32, 20, 34), "data.crop.1", "28 or 35"),
        (4, (32, 19, 35), "data.crop.0", "15 or 20"),
        (33, (32, 20, 35), "tokeniser.num_frames", "1 to 32"),
        (0, (32, 20, 35), "tokeniser.num_frames", "1 to 32"),
    ],
)
def test_uniform_frames_error_contains_a_number_that_fits(
    frames: int, clip: tuple[int, int, int], key: str, numbers: str
) -> None:
    with pytest.raises(ConfigError) as error:
        UniformFrames(dim=11, num_frames=frames, patch=(5, 7)).grid(*clip)
    assert error.value.key == key
    assert numbers in str(error.value)


def test_tokenisers_accept_lists() -> None:
    assert Tubelets(dim=4, tubelet=[2, 3, 5]).tubelet == (2, 3, 5)
    assert UniformFrames(dim=4, num_frames=2, patch=[3, 5]).patch == (3, 5)


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (lambda: Tubelets(dim=200, tubelet=(2, 5, 7)).projection, 3 * 2 * 5 * 7),
        (lambda: UniformFrames(dim=300, num_frames=4, patch=(5, 7)).projection, 3 * 5 * 7),
        (lambda: Head(96, 7, representation_size=300).pre_logits.dense, 96),
    ],
)
def test_filters_start_lecun_normal(layer: Any, fan_in: int) -> None:
    """A normal cut at two deviations: its largest is 2 / 0.8796 times its deviation after the cut."""
    torch.manual_seed(0)
    weight, bias = (parameter.detach() for parameter in layer().parameters())
    deviation = math.sqrt(1 / fan_in)
    assert weight.std() == pytest.approx(deviation, rel=0.02)
    assert 2.2 * deviation < weight.abs().max() <= 2.2738 * deviation
    assert not bias.any()
