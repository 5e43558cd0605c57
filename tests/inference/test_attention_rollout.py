"""Rollout by hand, and against a product of whole matrices over all tokens of a clip."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from vivit.data.views import CropBox
from vivit.inference.attention_figures import add_captions, plot_temporal_attention
from vivit.inference.attention_rollout import HEAD_FUSIONS, rollout, rollout_step
from vivit.inference.overlay import (
    dim_outside,
    overlay_heatmap,
    place_heatmap,
    upsample_heatmap,
    upscale_frames,
    write_mp4,
)
from vivit.structures import AttentionMap

T, ROWS, COLUMNS, HEADS = 3, 2, 4, 2
S = ROWS * COLUMNS
GRID = (T, ROWS, COLUMNS)


def random_map(axis: str, q: int, n: int, cls: bool = False, heads: int = HEADS, seed: int = 0) -> AttentionMap:
    drawn = torch.randn(2, q, heads, n, n, generator=torch.Generator().manual_seed(seed)) * 2
    return AttentionMap(drawn.softmax(-1), axis, cls)


def layers(model: str) -> list[tuple[AttentionMap, ...]]:
    """Maps of three layers, as each model hands them out."""

    def each() -> Iterator[tuple[AttentionMap, ...]]:
        for layer in range(3):
            space, time = random_map("space", T, S, seed=layer), random_map("time", S, T, seed=10 + layer)
            match model:
                case "1, cls":
                    yield (random_map("sequence", 1, T * S + 1, True, seed=layer),)
                case "1, mean":
                    yield (random_map("sequence", 1, T * S, seed=layer),)
                case "3, space first":
                    yield (space,)
                    yield (time,)
                case "3, time first":
                    yield (time,)
                    yield (space,)
                case "4":
                    yield (time, space)
                case _:
                    cls = "cls" in model
                    yield (random_map("sequence", T, S + cls, cls, seed=layer),)
        for layer in range(2 if model.startswith("2") else 0):
            cls = "cls" in model
            yield (random_map("frames", 1, T + cls, cls, seed=20 + layer),)

    return list(each())


MODELS = ["1, cls", "1, mean", "2, cls", "2, mean", "average pool, cls", "3, space first", "3, time first", "4"]


def as_matrix(result: AttentionMap, weights: Tensor) -> Tensor:
    """Write one map of a grid as a matrix over all tokens of a clip, entry by entry."""
    matrix = torch.zeros(2, T * S, T * S)
    for i in range(T * S):
        for j in range(T * S):
            (t, s), (u, r) = divmod(i, S), divmod(j, S)
            if result.axis == "space" and t == u:
                matrix[:, i, j] = weights[:, t, s, r]
            if result.axis == "time" and s == r:
                matrix[:, i, j] = weights[:, s, t, u]
    return matrix


def product(branches: list, fuse: str) -> Tensor:
    """Multiply (map + identity), rows brought to one, later layers from the left."""
    total = None
    for maps in branches:
        merged = []
        for result in maps:
            weights = result.weights.mean(2) if fuse == "mean" else result.weights.max(2).values
            merged.append(as_matrix(result, weights) if result.axis in ("space", "time") else weights)
        step = torch.stack(merged).mean(0)
        step = step + torch.eye(step.shape[-1])
        step = step / step.sum(-1, keepdim=True)
        total = step if total is None else step @ total
    return total


@pytest.mark.parametrize("fuse", HEAD_FUSIONS)
@pytest.mark.parametrize("model", MODELS)
def test_rollout_is_the_product_of_whole_matrices(model: str, fuse: str) -> None:
    branches = layers(model)
    inner = [maps for maps in branches if maps[0].axis != "frames"]
    outer = [maps for maps in branches if maps[0].axis == "frames"]
    shares = product(inner, fuse)
    if "cls" in model:
        shares = shares[..., 0, 1:] / shares[..., 0, 1:].sum(-1, keepdim=True)
    else:
        shares = shares.mean(-2)
    if model.startswith(("2", "average")):
        moments = torch.full((2, T), 1 / T)
        if outer:
            frames = product(outer, fuse)[:, 0]
            moments = frames[:, 0, 1:] / frames[:, 0, 1:].sum(-1, keepdim=True) if "cls" in model else frames.mean(1)
        shares = shares * moments[..., None]
    expected = shares.reshape(2, *GRID)
    result = rollout(branches, GRID, HEAD_FUSIONS[fuse])
    torch.testing.assert_close(result, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(result.sum((1, 2, 3)), torch.ones(2))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("fuse", HEAD_FUSIONS)
def test_rows_sum_to_one_after_every_branch(model: str, fuse: str) -> None:
    flow = None
    for maps in layers(model):
        if maps[0].axis == "frames":
            break
        flow = rollout_step(flow, maps, HEAD_FUSIONS[fuse])
        torch.testing.assert_close(flow.sum(-1), torch.ones_like(flow[..., 0]))


@pytest.mark.parametrize("model", ["2", "3", "4"])
def test_rollout_without_temporal_attention_stays_within_each_moment(model: str) -> None:
    """Temporal maps are identities: what a token holds is of its own temporal index."""
    still = AttentionMap(torch.eye(T).expand(2, S, HEADS, T, T), "time")
    space = random_map("space", T, S)
    flow = None
    for maps in {"2": [(space,)], "3": [(space,), (still,)] * 2, "4": [(still, space)] * 2}[model]:
        flow = rollout_step(flow, maps)
    held = (
        flow if flow.shape[-1] == S else torch.stack([flow[:, t].unflatten(-1, (T, S))[:, :, t] for t in range(T)], 1)
    )
    torch.testing.assert_close(held.sum(-1), torch.ones(2, T, S))
    frames = AttentionMap(torch.eye(T).expand(2, 1, HEADS, T, T), "frames")
    branches = {"2": [(space,), (frames,)], "3": [(space,), (still,)], "4": [(still, space)]}[model]
    torch.testing.assert_close(rollout(branches, GRID).sum((2, 3)), torch.full((2, T), 1 / T))


def of(rows: list[list[float]]) -> Tensor:
    return torch.tensor(rows)[None, None, None]


ONE = of([[0.2, 0.8], [0.4, 0.6]])
BY_HAND = {
    # Half of the identity and half of the map: the first row is (0.6, 0.4), the second (0.2, 0.8).
    "1, mean": ([(AttentionMap(ONE),)], (2, 1, 1), [0.4, 0.6]),
    # The class token's row is (0.75, 0.15, 0.1): 0.6 and 0.4 of what is not its own.
    "1, cls": ([(AttentionMap(of([[0.5, 0.3, 0.2], [1, 0, 0], [1, 0, 0]]), cls=True),)], (2, 1, 1), [0.6, 0.4]),
    # Two temporal indices of two places: (0.4, 0.6) each; over frames the rows are (0.95, 0.05) and (0.25, 0.75).
    "2": (
        [(AttentionMap(ONE.expand(1, 2, 1, 2, 2)),), (AttentionMap(of([[0.9, 0.1], [0.5, 0.5]]), "frames"),)],
        (2, 1, 2),
        [0.6 * 0.4, 0.6 * 0.6, 0.4 * 0.4, 0.4 * 0.6],
    ),
    "average pool": ([(AttentionMap(ONE.expand(1, 2, 1, 2, 2)),)], (2, 1, 2), [0.2, 0.3, 0.2, 0.3]),
    # Columns of the space product: mean (0.4, 0.6); of time likewise: they multiply.
    "3": (
        [(AttentionMap(ONE.expand(1, 2, 1, 2, 2), "space"),), (AttentionMap(ONE.expand(1, 2, 1, 2, 2), "time"),)],
        (2, 1, 2),
        [0.16, 0.24, 0.24, 0.36],
    ),
    # Half stays; a quarter comes along each axis: column means of the map are 0.3 and 0.7.
    "4": (
        [(AttentionMap(ONE.expand(1, 2, 1, 2, 2), "time"), AttentionMap(ONE.expand(1, 2, 1, 2, 2), "space"))],
        (2, 1, 2),
        [0.125 + 0.0375 * 2, 0.125 + 0.0375 + 0.0875, 0.125 + 0.0875 + 0.0375, 0.125 + 0.0875 * 2],
    ),
}


@pytest.mark.parametrize("model", BY_HAND)
def test_one_layer_by_hand(model: str) -> None:
    branches, grid, expected = BY_HAND[model]
    assert rollout(branches, grid).flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_heat_lies_where_and_when_it_should() -> None:
    heat = torch.zeros(2, 2, 2)
    heat[1, 0, 1] = 0.75
    heat[0, 1, 0] = 0.25
    over = upsample_heatmap(heat, [[1], [6]], frames=8, size=(64, 64))
    assert over.max() == pytest.approx(1)
    assert over[:4].amax().item() == pytest.approx(1 / 3)
    assert over[4:, 0, 63].min() == 1 and over[4:, 63, 0].max() == 0
    frames = np.full((8, 64, 64, 3), 100, np.uint8)
    drawn = overlay_heatmap(frames, over)
    assert (drawn[4:, 63, 0] == 100).all()
    assert (drawn[4:, 0, 63] != 100).any()


def test_the_moments_of_a_clip_that_starts_again_stand_side_by_side(tmp_path: Path) -> None:
    seconds = [0.0, 0.32, 0.64, 0.0, 0.32, 0.64]
    plot_temporal_attention(torch.tensor([0.05, 0.1, 0.15, 0.2, 0.2, 0.3]), seconds, tmp_path / "moments.png")
    with Image.open(tmp_path / "moments.png") as picture:
        orange = (np.asarray(picture.convert("RGB")) == (255, 127, 14)).all(-1)
    edges = np.diff(orange.any(0).astype(int), prepend=0, append=0)
    assert (edges == 1).sum() == len(seconds)


def test_films_hold_the_frames(tmp_path: Path) -> None:
    levels = np.arange(40, 240, 20, dtype=np.uint8)
    frames = upscale_frames(np.broadcast_to(levels[:, None, None, None], (10, 33, 50, 3)))
    assert frames.shape == (10, 33 * 8, 50 * 8, 3)
    write_mp4(frames, Fraction(25, 2), tmp_path / "film.mp4")
    with av.open(str(tmp_path / "film.mp4")) as film:
        stream = film.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.average_rate == Fraction(25, 2)
        shown = [frame.to_ndarray(format="rgb24").mean() for frame in film.decode(video=0)]
    assert shown == pytest.approx(levels.tolist(), abs=3)


@pytest.mark.parametrize("level", [0, 128, 255])
def test_heat_is_visible_on_dark_and_bright_pictures(level: int) -> None:
    frames = np.full((1, 64, 64, 3), level, np.uint8)
    heat = torch.zeros(1, 64, 64)
    heat[:, 16:48, 16:48] = 1
    drawn = overlay_heatmap(frames, heat)[0].astype(int)
    assert np.abs(drawn[32, 32] - level).max() > 80, "of 255"
    assert (drawn[2, 2] == level).all()
    edges = [drawn[32, column].tolist() for column in range(12, 20)]
    assert [255, 255, 255] in edges and [0, 0, 0] in edges, "an outline in black and white"


def test_what_the_network_does_not_see_is_dimmed_and_has_no_heat() -> None:
    box = CropBox(2, 4, 6, 8)
    frames = np.full((2, 10, 16, 3), 200, np.uint8)
    dimmed = dim_outside(frames, box)
    assert (dimmed[:, 2:8, 4:12] == 200).all()
    assert (dimmed == 200).sum() == 2 * 6 * 8 * 3
    placed = place_heatmap(torch.ones(2, 6, 8), box, (10, 16))
    assert placed.sum() == 2 * 6 * 8 and placed[:, 2:8, 4:12].min() == 1


def test_film_has_a_bar_that_changes_with_the_time(tmp_path: Path) -> None:
    frames = np.full((3, 240, 320, 3), 90, np.uint8)
    films = [list(add_captions(frames, [0.0, 0.5, second], ["打架 97.1 %"])) for second in (0.5, 1.0)]
    heights = {frame.shape for film in films for frame in film}
    assert len(heights) == 1
    ((height, width, _),) = heights
    assert width == 320 and height > 270 and height % 2 == 0
    assert all((frame[:240] == 90).all() for film in films for frame in film)
    assert (films[0][1][240:] == films[0][2][240:]).all(), "the same second"
    assert (films[1][1][240:] != films[1][2][240:]).any()
    red, yellow = (255, 0, 0), (255, 255, 0)
    bar = films[0][0][240:].reshape(-1, 3).tolist()
    assert list(red) in bar and list(yellow) in bar, "the scale"
