"""Both tokenisers: which frames, which boxes, and what is said of clips that do not fit."""

import math
from typing import Any

import pytest
import torch
from einops import rearrange

from vivit.models import Tubelets, UniformFrames
from vivit.models.embedding import uniform_frames
from vivit.models.head import Head


@pytest.mark.parametrize(
    ("total", "wanted", "expected"),
    [
        (32, 8, [4, 7, 11, 14, 18, 21, 25, 28]),
        (32, 16, [2, 4, 6, 8, 9, 11, 13, 15, 17, 19, 21, 23, 24, 26, 28, 30]),
        (32, 4, [6, 13, 19, 26]),
        (8, 2, [3, 5, 7]),
        (5, 5, [0, 1, 2, 3, 4]),
        (5, 9, [0, 1, 2, 3, 4]),
    ],
)
def test_uniform_frames_are_the_reference_s(total: int, wanted: int, expected: list[int]) -> None:
    assert uniform_frames(total, wanted) == expected


@pytest.mark.parametrize(("total", "wanted"), [(8, 2), (16, 2), (16, 5), (16, 6), (16, 13)])
def test_some_pairs_give_one_frame_more_as_in_the_reference(total: int, wanted: int) -> None:
    frames = uniform_frames(total, wanted)
    assert len(frames) == wanted + 1
    assert frames[-1] == total - 1
    tokeniser = UniformFrames(dim=4, frames=wanted, patch=(2, 3))
    assert tokeniser.grid(total, 4, 9) == (wanted + 1, 2, 3)
    assert tokeniser(torch.zeros(1, 3, total, 4, 9)).shape == (1, wanted + 1, 2, 3, 4)


def test_tubelets_are_a_dense_layer_over_boxes() -> None:
    torch.manual_seed(0)
    tokeniser = Tubelets(dim=11, tubelet=(2, 5, 7))
    torch.nn.init.normal_(tokeniser.projection.bias)
    clip = torch.randn(2, 3, 6, 20, 35)
    boxes = rearrange(clip, "b c (t u) (r v) (q w) -> b t r q (c u v w)", u=2, v=5, w=7)
    expected = boxes @ tokeniser.projection.weight.flatten(1).T + tokeniser.projection.bias
    torch.testing.assert_close(tokeniser(clip), expected, atol=1e-5, rtol=1e-5)
    assert tokeniser.grid(6, 20, 35) == expected.shape[1:4] == (3, 4, 5)


def test_tubelets_from_scratch_start_in_the_shape_that_is_asked_for() -> None:
    starts = {}
    for start in ("random", "central_frame", "filter_inflation"):
        torch.manual_seed(0)
        starts[start] = Tubelets(dim=11, tubelet=(3, 5, 7), start=start).projection.weight
    random = starts["random"]
    empty = torch.zeros_like(random[:, :, 0])
    assert random.any(dim=(0, 1, 3, 4)).all()
    assert torch.equal(starts["central_frame"], torch.stack([empty, random[:, :, 1], empty], 2))
    assert torch.equal(starts["filter_inflation"], torch.stack([random[:, :, 0]] * 3, 2))
    assert Tubelets(dim=4, tubelet=(2, 3, 5), start="central_frame").projection.weight[:, :, 1].any()
    assert starts["central_frame"].is_leaf and starts["central_frame"].requires_grad


@pytest.mark.usefixtures("untyped")
def test_an_unknown_start_is_named() -> None:
    with pytest.raises(ValueError, match="start='centre' is none of random, central_frame, filter_inflation"):
        Tubelets(dim=4, tubelet=(2, 3, 5), start="centre")


def test_uniform_frames_are_a_dense_layer_over_patches_of_the_sampled_frames() -> None:
    torch.manual_seed(0)
    tokeniser = UniformFrames(dim=11, frames=4, patch=(5, 7))
    torch.nn.init.normal_(tokeniser.projection.bias)
    clip = torch.randn(2, 3, 32, 20, 35)
    patches = rearrange(clip[:, :, [6, 13, 19, 26]], "b c t (r v) (q w) -> b t r q (c v w)", v=5, w=7)
    expected = patches @ tokeniser.projection.weight.flatten(1).T + tokeniser.projection.bias
    torch.testing.assert_close(tokeniser(clip), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ((7, 20, 35), r"frames 7 cannot be cut into parts of tubelet\[0\]=2; take 6 or 8,"),
        ((6, 21, 35), r"height 21 cannot be cut into parts of tubelet\[1\]=5; take 20 or 25,"),
        ((6, 20, 41), r"width 41 cannot be cut into parts of tubelet\[2\]=7; take 35 or 42,"),
        ((6, 4, 35), r"height 4 cannot be cut into parts of tubelet\[1\]=5; take 5,"),
    ],
)
def test_tubelets_name_a_number_that_fits(clip: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Tubelets(dim=11, tubelet=(2, 5, 7)).grid(*clip)


@pytest.mark.parametrize(
    ("frames", "clip", "message"),
    [
        (4, (32, 20, 34), r"width 34 cannot be cut into parts of patch\[1\]=7; take 28 or 35,"),
        (4, (32, 19, 35), r"height 19 cannot be cut into parts of patch\[0\]=5; take 15 or 20,"),
        (33, (32, 20, 35), "frames=33 of a clip of 32; take 1 to 32"),
        (0, (32, 20, 35), "frames=0 of a clip of 32; take 1 to 32"),
    ],
)
def test_uniform_frames_name_a_number_that_fits(frames: int, clip: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UniformFrames(dim=11, frames=frames, patch=(5, 7)).grid(*clip)


def test_configurations_may_give_lists() -> None:
    assert Tubelets(dim=4, tubelet=[2, 3, 5]).tubelet == (2, 3, 5)
    assert UniformFrames(dim=4, frames=2, patch=[3, 5]).patch == (3, 5)


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (lambda: Tubelets(dim=200, tubelet=(2, 5, 7)).projection, 3 * 2 * 5 * 7),
        (lambda: UniformFrames(dim=300, frames=4, patch=(5, 7)).projection, 3 * 5 * 7),
        (lambda: Head(96, 7, representation=300).pre_logits.dense, 96),
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
