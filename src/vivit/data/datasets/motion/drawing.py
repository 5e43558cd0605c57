"""The pixels of the embedded data set: backgrounds, textures, shapes on a torus, sensor noise."""

import colorsys

import numpy as np
from jaxtyping import Bool, Float, UInt8

from vivit.data.datasets.motion.scenes import FORMAT, SIDE, Scene, trajectory
from vivit.data.datasets.motion.shapes import REACH, signed_distance

GREY = 127
"""Level about which backgrounds vary."""


def background(
    number: int, rows: Float[np.ndarray, " f"], columns: Float[np.ndarray, " f"]
) -> Float[np.ndarray, "f h w 3"]:
    """Return soft blotches or bands about a middle grey, seen from a place a frame.

    They repeat after ``SIDE`` pixels, so a camera may pass them for ever.
    """
    rng = np.random.default_rng([FORMAT, 1, number])
    waves = rng.integers(-4, 5, (6, 2)) * 2 * np.pi / SIDE
    shift = rng.uniform(0, 2 * np.pi, 6)
    contrast = rng.uniform(5, 30, 3)
    y, x = (np.arange(SIDE)[:, None] + at[:, None, None] for at in (rows, columns))
    y, x = waves[:, 0] * y + shift, waves[:, 1] * x  # f, 64, waves
    pattern = (np.sin(y) @ np.cos(x).swapaxes(1, 2) + np.cos(y) @ np.sin(x).swapaxes(1, 2)) / len(waves)
    return (GREY + contrast * pattern[..., None]).astype(np.float32)


def texture_colors(
    number: int, contrast: float
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Return two colours, brighter than backgrounds by ``contrast``, and the wave that blends them.

    The wave is radians a radius over rows and over columns, and a phase.
    """
    rng = np.random.default_rng([FORMAT, 2, number])
    hue = rng.uniform()
    tints = [colorsys.hsv_to_rgb((hue + shift) % 1, 0.2, value) for shift, value in ((0, 1.0), (0.1, 0.9))]
    first, second = GREY + contrast * np.array(tints)
    return first, second, np.array([*(rng.normal(size=2) * 3), rng.uniform(0, 2 * np.pi)])


def render(s: Scene) -> UInt8[np.ndarray, "f h w 3"]:
    """Return every frame of a scene."""
    rng = np.random.default_rng([FORMAT, 3, s.seed])
    time = np.arange(s.frames)
    passed = s.difficulty.drift * time
    place = s.view[0] + passed * np.sin(s.heading), s.view[1] + passed * np.cos(s.heading)
    frames = background(s.background, *place)
    for swing in s.swings:
        turn = np.sin(swing.rate * time + swing.start)
        row, column = (middle + reach * turn for middle, reach in zip(swing.middle, swing.reach, strict=True))
        grey = np.full(3, rng.uniform(90, 110))
        _paint_shape(frames, s, swing.noun, (row, column, np.full(s.frames, 4.0)), (grey, grey, np.zeros(3)))
    _paint_shape(frames, s, s.noun, trajectory(s), texture_colors(s.texture, s.difficulty.contrast))
    frames += np.float32(s.difficulty.noise) * rng.standard_normal(frames.shape[:3], np.float32)[..., None]
    return np.clip(frames, 0, 255).astype(np.uint8)


def _paint_shape(
    frames: np.ndarray, s: Scene, noun: str, path: tuple[np.ndarray, ...], texture: tuple[np.ndarray, ...]
) -> None:
    """Blend a shape into every frame, on the torus, touching only the square around it."""
    row, column, radius = path
    reach = int(radius.max() * REACH) + 2
    around = np.arange(max(-reach, -SIDE // 2), min(reach + 1, SIDE // 2))  # no pixel twice
    rows, columns = (np.rint(at).astype(int)[:, None] + around for at in (row, column))
    y, x = ((near - at[:, None]) / radius[:, None] for near, at in ((rows, row), (columns, column)))
    y, x = y[:, :, None].astype(np.float32), x[:, None, :].astype(np.float32)
    cos, sin = np.float32(np.cos(s.tilt)), np.float32(np.sin(s.tilt))
    y, x = cos * y - sin * x, sin * y + cos * x
    cover = np.clip(0.5 - signed_distance(noun, y, x) * radius.astype(np.float32)[:, None, None], 0, 1)[..., None]
    first, second, wave = (part.astype(np.float32) for part in texture)
    blend = (0.5 + 0.5 * np.sin(wave[0] * y + wave[1] * x + wave[2]))[..., None]
    where = np.arange(s.frames)[:, None, None], rows[:, :, None] % SIDE, columns[:, None, :] % SIDE
    frames[where] += cover * (first + blend * (second - first) - frames[where])


def object_mask(s: Scene) -> Bool[np.ndarray, "f h w"]:
    """Return a mask of the square around the object at every frame, on the torus."""
    row, column, radius = trajectory(s)

    def near(centre: np.ndarray) -> np.ndarray:
        ahead = (np.arange(SIDE) - centre[:, None]) % SIDE
        return np.minimum(ahead, SIDE - ahead) <= REACH * radius[:, None] + 0.5

    return near(row)[:, :, None] & near(column)[:, None, :]
