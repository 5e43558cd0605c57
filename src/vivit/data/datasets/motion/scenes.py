"""The scenes of the embedded data set: what happens in a video, and how hard it is to see.

Something-Something in miniature: a textured shape (the noun) performs one of twelve movements (the verb) before a
textured background. Verbs come in pairs that are each other run backwards. Only time tells the two apart, which makes
them a test of *video* models:
* three pairs are a phase that runs round a circle, forwards or backwards: a position on a torus that wraps at the
  picture's edge, or a size on a saw-tooth. Two frames show the direction;
* three pairs are two trips there and back, in one order or in the other: to a side (sway), up or down (bob), to another
  size (swell). Any two frames look alike in both; only what comes first tells them apart, so it takes several tubelets;
* every start is uniform on its circle, and the pauses before and after a movement are equally distributed, so no single
  frame, no first or last frame and no unordered set of frames distinguishes a verb from its opposite: order-blind
  pooling can only name the pair;
* all else is drawn before the verb is looked at, so none of it can depend on it;
* backgrounds and object textures come from pools that the splits do not share;
* a flipped clip shows the flipped verb (``MIRROR``), a clip run backwards its opposite (``REVERSE``).

Every video draws its difficulties for itself (``Difficulty``). Their ranges were set with another seed of the data
(``scene``'s ``seed=7``), so that small networks take off within some 10,000 clips and stay below 100 %.
"""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float

from vivit.data.datasets.motion.shapes import NOUNS

PAIRS = (
    ("left", "right"),
    ("up", "down"),
    ("grow", "shrink"),
    ("sway_then_bob", "bob_then_sway"),
    ("bob_then_swell", "swell_then_bob"),
    ("swell_then_sway", "sway_then_swell"),
)
VERBS = tuple(verb for pair in PAIRS for verb in pair)
REVERSE = {one: other for pair in PAIRS for one, other in (pair, pair[::-1])}
"""What a verb is when its video runs backwards."""
MIRROR = {"left": "right", "right": "left"}
"""What a verb is in a mirror, where that is another one."""

FORMAT = 3
"""Version of the drawings; raised whenever they change."""

SIDE = 64
"""Height and width of every video, in pixels."""

SIZE_RATIO = 3.0
"""The largest size of a growing shape over its smallest."""
TRIP = 16.0
"""Pixels that a trip goes at most before it turns back; a longer way is several trips."""


@dataclass(frozen=True, slots=True)
class Split:
    """A split: its name, its number of videos, and the pool of its backgrounds and textures."""

    name: str
    videos: int
    pool: range


SPLITS = (
    Split("train", 22 * len(VERBS) * len(NOUNS), range(0, 400)),
    Split("val", 2 * len(VERBS) * len(NOUNS), range(400, 460)),
    Split("test", 11 * len(VERBS) * len(NOUNS), range(460, 520)),
)


@dataclass(frozen=True, slots=True)
class Difficulty:
    """How hard a video is.

    ``speed``: pixels a frame along the path of the movement; a change of size has a path of ``SIDE`` from the smallest
    to the largest. ``size``: radius in pixels, the geometric mean of a size that changes. ``contrast``: grey levels
    between shape and background. ``moving``: share of the time in which it moves. ``drift``: pixels a frame by which
    the background passes, as when a camera follows the shape. ``noise``: standard deviation in grey levels.
    ``distractors``: grey shapes that swing to and fro.
    """

    speed: float
    size: float
    contrast: float
    moving: float
    drift: float
    noise: float
    distractors: int


DIFFICULTIES = tuple(field.name for field in fields(Difficulty))


def draw_difficulty(rng: np.random.Generator) -> Difficulty:
    """Return difficulties drawn at random, speed, size and contrast uniform in their logarithm."""
    return Difficulty(
        speed=_log_uniform(rng, 0.6, 5.0),
        size=_log_uniform(rng, 6.0, 18.0),
        contrast=_log_uniform(rng, 30.0, 125.0),
        moving=rng.uniform(0.5, 1),
        drift=rng.uniform(0, 0.6),
        noise=rng.uniform(1, 6),
        distractors=int(rng.integers(0, 3)),
    )


@dataclass(frozen=True, slots=True)
class Swing:
    """A distractor: its noun, its middle and how far it swings (row, column), the angle a frame and at the start."""

    noun: str
    middle: tuple[float, float]
    reach: tuple[float, float]
    rate: float
    start: float


@dataclass(frozen=True, slots=True)
class Scene:
    """All parameters of one video: lengths in pixels, angles in radians, the phase in turns, ``begin`` in frames."""

    verb: str
    noun: str
    difficulty: Difficulty
    background: int
    texture: int
    frames: int
    phase: float
    begin: float
    signs: tuple[int, int]
    home: tuple[float, float]
    tilt: float
    heading: float
    view: tuple[float, float]
    swings: tuple[Swing, ...]
    seed: int


def scene(split: Split, index: int, seed: int = 0) -> Scene:
    """Return scene ``index`` of a split, drawn at random; verbs and nouns take turns, so classes are balanced."""
    rng = np.random.default_rng([FORMAT, seed, split.pool.start, index])
    difficulty = draw_difficulty(rng)
    frames = int(rng.integers(36, 49))
    return Scene(
        difficulty=difficulty,
        frames=frames,
        background=int(rng.choice(split.pool)),
        texture=int(rng.choice(split.pool)),
        phase=rng.uniform(),
        begin=rng.uniform(0, (1 - difficulty.moving) * (frames - 1)),
        signs=(int(rng.choice((-1, 1))), int(rng.choice((-1, 1)))),
        home=(rng.uniform(0, SIDE), rng.uniform(0, SIDE)),
        tilt=rng.uniform(0, 2 * np.pi),
        heading=rng.uniform(0, 2 * np.pi),
        view=(rng.uniform(0, SIDE), rng.uniform(0, SIDE)),
        swings=tuple(_draw_swing(rng) for _ in range(difficulty.distractors)),
        seed=int(rng.integers(2**31)),
        verb=VERBS[index % len(VERBS)],
        noun=NOUNS[index // len(VERBS) % len(NOUNS)],
    )


def trajectory(s: Scene) -> tuple[Float[np.ndarray, " f"], Float[np.ndarray, " f"], Float[np.ndarray, " f"]]:
    """Return the shape's centre (row, column; modulo ``SIDE``) and radius, in pixels, at every frame."""
    lasts = s.difficulty.moving * (s.frames - 1)
    way = s.difficulty.speed * np.clip(np.arange(s.frames) - s.begin, 0, lasts)
    row, column, size = (np.zeros(s.frames) for _ in range(3))
    match s.verb.split("_then_"):
        case ["left"] | ["right"]:
            column = way if s.verb == "right" else -way
        case ["up"] | ["down"]:
            row = way if s.verb == "down" else -way
        case ["grow"] | ["shrink"]:
            size = ((s.phase * SIDE + (way if s.verb == "grow" else -way)) % SIDE) - SIDE / 2
        case parts:
            half = s.difficulty.speed * lasts / 2
            for part, sign, start in zip(parts, s.signs, (0, half), strict=True):
                {"sway": column, "bob": row, "swell": size}[part][:] = sign * _trips(
                    np.clip(way - start, 0, half), half
                )
    return s.home[0] + row, s.home[1] + column, s.difficulty.size * SIZE_RATIO ** (size / SIDE)


def _trips(way: Float[np.ndarray, " f"], length: float) -> Float[np.ndarray, " f"]:
    """Return the distance from home after a ``way`` on equally long trips there and back, together ``length`` long."""
    turn = length / (2 * max(1, np.ceil(length / (2 * TRIP))))
    return turn - np.abs(way % (2 * turn) - turn) if length else way


def _draw_swing(rng: np.random.Generator) -> Swing:
    middle, reach = rng.uniform(0, SIDE, 2), rng.uniform(-8, 8, 2)
    return Swing(
        str(rng.choice(NOUNS)),
        (middle[0], middle[1]),
        (reach[0], reach[1]),
        rng.uniform(0.1, 0.3),
        rng.uniform(0, 2 * np.pi),
    )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
