"""The drawings of the embedded data set, Something-Something in miniature: scenes, trajectories and their pixels.

A textured shape (the noun) performs one of eight movements (the verb) before a textured background, beside a grey
distractor that swings to and fro, under sensor noise. What makes it a test of *video* models:
* every movement is a phase that runs round a circle, forwards or backwards, from a uniformly random start: a position
  on a torus that wraps at the picture's edge, an angle on an orbit, a size on a saw-tooth. At any moment the phase is
  uniform in either direction, so no single frame, no first or last frame and no unordered set of frames distinguishes
  a verb from its opposite. Order-blind pooling can only identify the pair;
* speeds, lengths, textures and noise are drawn before the direction is, so none of them can depend on it;
* backgrounds and object textures come from pools that the splits do not share;
* a flipped clip shows the flipped verb (``MIRROR``), and every noun is its own mirror image.
"""

import colorsys
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8

VERBS = ("left", "right", "up", "down", "clockwise", "anticlockwise", "grow", "shrink")
NOUNS = ("circle", "square", "triangle", "star", "cross", "ring")
MIRROR = {"left": "right", "right": "left", "clockwise": "anticlockwise", "anticlockwise": "clockwise"}

SIDE = 64
"""Height and width of every video, in pixels."""

REACH = 1.15
"""Distance from the centre, in radii, within which every outline lies at any tilt."""

FORMAT = 2
"""Version of the drawings; raised whenever they change."""


@dataclass(frozen=True, slots=True)
class Split:
    """A split: its name, its number of videos, and the pool of its backgrounds and textures."""

    name: str
    videos: int
    pool: range


SPLITS = (
    Split("train", 2592, range(0, 400)),
    Split("val", 336, range(400, 460)),
    Split("test", 480, range(460, 520)),
)


@dataclass(frozen=True, slots=True)
class Scene:
    """All parameters of one video: lengths in pixels, angles in radians, phase in turns, speed in turns a frame."""

    verb: str
    noun: str
    background: int
    texture: int
    frames: int
    phase: float
    speed: float
    shift: tuple[float, float]
    orbit: float
    size: float
    tilt: float
    noise: float
    distractor: str
    swing: tuple[float, float, float, float, float, float]
    seed: int


def scene(split: Split, index: int, seed: int = 0) -> Scene:
    """Return scene ``index`` of a split, drawn at random; verbs and nouns take turns, so classes are balanced."""
    rng = np.random.default_rng([FORMAT, seed, split.pool.start, index])
    return Scene(
        frames=int(rng.integers(36, 49)),
        background=int(rng.choice(split.pool)),
        texture=int(rng.choice(split.pool)),
        phase=rng.uniform(),
        speed=rng.uniform(0.022, 0.034),
        shift=(rng.uniform(-8, 8), rng.uniform(-8, 8)),
        orbit=rng.uniform(15, 21),
        size=rng.uniform(),
        tilt=rng.uniform(0, 2 * np.pi),
        noise=rng.uniform(1, 3),
        distractor=str(rng.choice(NOUNS)),
        swing=(*rng.uniform(0, SIDE, 2), *rng.uniform(-8, 8, 2), rng.uniform(0.1, 0.3), rng.uniform(0, 2 * np.pi)),
        seed=int(rng.integers(2**31)),
        verb=VERBS[index % len(VERBS)],
        noun=NOUNS[index // len(VERBS) % len(NOUNS)],
    )


def trajectory(s: Scene) -> tuple[Float[np.ndarray, " f"], Float[np.ndarray, " f"], Float[np.ndarray, " f"]]:
    """Return the object's centre (row, column; modulo ``SIDE``) and radius, in pixels, at every frame."""
    forwards = VERBS.index(s.verb) % 2 == 0
    phase = s.phase + s.speed * np.arange(s.frames) * (1 if forwards else -1)
    row, column = (np.full(s.frames, SIDE / 2 + shift) for shift in s.shift)
    radius = np.full(s.frames, 7.0 * 2.2**s.size)
    angle = 2 * np.pi * phase
    match s.verb:
        case "left" | "right":
            column = -SIDE * phase
        case "up" | "down":
            row = -SIDE * phase
        case "clockwise" | "anticlockwise":
            row, column = row + s.orbit * np.sin(angle), column + s.orbit * np.cos(angle)
        case _:
            radius = 4.5 * 4.0 ** (phase % 1)
    return row, column, radius


def signed_distance(noun: str, y: Float[np.ndarray, "..."], x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return the distance to the outline of a shape of radius about 1; negative inside."""
    match noun:
        case "circle":
            return np.hypot(x, y) - 0.9
        case "square":
            return np.maximum(np.abs(x), np.abs(y)) - 0.8
        case "triangle":
            return np.maximum(0.866 * np.abs(x) - 0.5 * y, y) - 0.55
        case "star":
            return np.hypot(x, y) - 0.72 - 0.33 * np.cos(5 * np.arctan2(x, y))
        case "cross":
            x, y = np.abs(x), np.abs(y)
            return np.maximum(np.maximum(x, y) - 1.0, np.minimum(x, y) - 0.32)
        case _:
            return np.abs(np.hypot(x, y) - 0.75) - 0.22


def background(number: int) -> Float[np.ndarray, "h w 3"]:
    """Return soft blotches or bands about a middle grey, darker than any object."""
    rng = np.random.default_rng([FORMAT, 1, number])
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    waves = rng.normal(size=(6, 2)) * rng.uniform(1, 5)
    shift = rng.uniform(0, 2 * np.pi, (6, 1, 1))
    pattern = np.sin(2 * np.pi * (waves[:, 0, None, None] * y + waves[:, 1, None, None] * x) + shift).mean(0)
    contrast = rng.uniform(5, 30, 3)
    return (127 + contrast * pattern[..., None]).astype(np.float32)


def texture_colors(number: int) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Return two bright colours and the wave (row, column, phase) that blends them across the object."""
    rng = np.random.default_rng([FORMAT, 2, number])
    hue = rng.uniform()
    colours = [colorsys.hsv_to_rgb((hue + shift) % 1, 0.2, value) for shift, value in ((0, 1.0), (0.1, 0.9))]
    first, second = 255 * np.array(colours)
    return first, second, np.array([*(rng.normal(size=2) * 3), rng.uniform(0, 2 * np.pi)])


def render(s: Scene) -> UInt8[np.ndarray, "f h w 3"]:
    """Return every frame of a scene."""
    rng = np.random.default_rng([FORMAT, 3, s.seed])
    frames = np.repeat(background(s.background)[None], s.frames, axis=0)
    y, x, dy, dx, rate, start = s.swing
    swing = np.sin(rate * np.arange(s.frames) + start)
    grey, still = np.full(3, rng.uniform(90, 110)), np.zeros(3)
    _paint_shape(frames, s, s.distractor, (y + dy * swing, x + dx * swing, np.full(s.frames, 4.0)), (grey, grey, still))
    _paint_shape(frames, s, s.noun, trajectory(s), texture_colors(s.texture))
    frames += np.float32(s.noise) * rng.standard_normal(frames.shape[:3], np.float32)[..., None]
    return np.clip(frames, 0, 255).astype(np.uint8)


def _paint_shape(
    frames: np.ndarray, s: Scene, noun: str, path: tuple[np.ndarray, ...], texture: tuple[np.ndarray, ...]
) -> None:
    """Blend a shape into every frame, on the torus, touching only the square around it."""
    row, column, radius = path
    reach = int(radius.max() * 1.2) + 2
    around = np.arange(-reach, reach + 1)
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
