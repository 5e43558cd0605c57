"""The embedded data set: Something-Something in miniature, drawn and encoded on this machine.

A textured shape (the noun) performs one of eight movements (the verb) before a textured background, beside a grey
distractor that swings to and fro, under sensor noise. What makes it a test of *video* models:
* every movement is a phase that runs round a circle, forwards or backwards, from a uniformly random start: a place on
  a torus that wraps at the picture's edge, an angle on an orbit, a size on a saw-tooth. At any moment the phase is
  uniform whichever way it runs, so no single frame, no first or last frame and no unordered set of frames tells a
  verb from its opposite. All that order-blind pooling can name is the pair;
* speeds, lengths, textures and noise are drawn before the direction is, so none of them can depend on it;
* backgrounds and object textures come from pools that the splits do not share;
* a mirrored clip is the mirrored verb (``MIRROR``), and every noun its own mirror image.
"""

import colorsys
import csv
import fcntl
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float, UInt8
from tqdm import tqdm

VERBS = ("left", "right", "up", "down", "clockwise", "anticlockwise", "grow", "shrink")
NOUNS = ("circle", "square", "triangle", "star", "cross", "ring")
MIRROR = {"left": "right", "right": "left", "clockwise": "anticlockwise", "anticlockwise": "clockwise"}
COLUMNS = ("path", "verb", "noun", "background", "texture", "frames")

SIDE = 64
"""Height and width of every video, in pixels."""

FORMAT = 2
"""Raised whenever the drawings change, so that data of an older version is not taken for this one."""


@dataclass(frozen=True, slots=True)
class Split:
    """How many videos a split has, and which backgrounds and textures are its own."""

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
    """All that decides one video: lengths in pixels, angles in radians, the phase and its speed a frame in turns."""

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
    """Draw scene ``index`` of a split; verbs and nouns take turns, so that every class is equally frequent."""
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
    """Give the object's centre (row, column; modulo ``SIDE``) and radius, in pixels, at every frame."""
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
    """Distance to the outline of a shape of radius about 1, negative inside."""
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


def _background(number: int) -> Float[np.ndarray, "h w 3"]:
    """Soft blotches or bands about a middle grey, darker than any object."""
    rng = np.random.default_rng([FORMAT, 1, number])
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    waves = rng.normal(size=(6, 2)) * rng.uniform(1, 5)
    shift = rng.uniform(0, 2 * np.pi, (6, 1, 1))
    pattern = np.sin(2 * np.pi * (waves[:, 0, None, None] * y + waves[:, 1, None, None] * x) + shift).mean(0)
    contrast = rng.uniform(5, 30, 3)
    return (127 + contrast * pattern[..., None]).astype(np.float32)


def _texture(number: int) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]]:
    """Give two bright colours and the wave (row, column, phase) that blends them across the object."""
    rng = np.random.default_rng([FORMAT, 2, number])
    hue = rng.uniform()
    colours = [colorsys.hsv_to_rgb((hue + shift) % 1, 0.2, value) for shift, value in ((0, 1.0), (0.1, 0.9))]
    first, second = 255 * np.array(colours)
    return first, second, np.array([*(rng.normal(size=2) * 3), rng.uniform(0, 2 * np.pi)])


def render(s: Scene) -> UInt8[np.ndarray, "f h w 3"]:
    """Draw every frame of a scene."""
    rng = np.random.default_rng([FORMAT, 3, s.seed])
    frames = np.repeat(_background(s.background)[None], s.frames, axis=0)
    y, x, dy, dx, rate, start = s.swing
    swing = np.sin(rate * np.arange(s.frames) + start)
    grey, still = np.full(3, rng.uniform(90, 110)), np.zeros(3)
    _paint(frames, s, s.distractor, (y + dy * swing, x + dx * swing, np.full(s.frames, 4.0)), (grey, grey, still))
    _paint(frames, s, s.noun, trajectory(s), _texture(s.texture))
    frames += np.float32(s.noise) * rng.standard_normal(frames.shape[:3], np.float32)[..., None]
    return np.clip(frames, 0, 255).astype(np.uint8)


def _paint(
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


def encode(frames: UInt8[np.ndarray, "f h w 3"], path: Path) -> None:
    """Write frames as H.264 in MP4, 25 a second, with B-frames.

    The quality is high because at x264's usual one the key frame's noise stays frozen before an object and is coded
    anew behind it, which tells the direction in a single frame.
    """
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("h264", rate=Fraction(25))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": "12", "preset": "veryfast", "bf": "2"}
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p", threads=1)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def ensure(root: Path) -> None:
    """Make the data set at ``root`` unless it is there. Whatever interrupts this, ``root`` is whole or absent.

    Raises where ``root`` holds something else, or videos of an older format.
    """
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        with _alone(root):
            if not root.exists():
                partial = root.parent / f".{root.name}.partial"
                shutil.rmtree(partial, ignore_errors=True)
                make(partial)
                partial.rename(root)
    _check(root)


def make(folder: Path, splits: Sequence[Split] = SPLITS, seed: int = 0) -> None:
    """Draw and encode every split into ``folder``, on all cores, with a CSV file for each."""
    tasks = [(folder, split, index, seed) for split in splits for index in range(split.videos)]
    for split in splits:
        (folder / split.name).mkdir(parents=True)
    with ProcessPoolExecutor() as pool:
        rows = list(tqdm(pool.map(_make_one, tasks, chunksize=16), "drawing motion", len(tasks), unit=" videos"))
    for split in splits:
        with (folder / f"{split.name}.csv").open("w", newline="", encoding="utf-8") as text:
            own = [row for (_, of, _, _), row in zip(tasks, rows, strict=True) if of is split]
            csv.writer(text).writerows([COLUMNS, *own])
    (folder / "format.txt").write_text(f"{FORMAT}\n")


def _make_one(task: tuple[Path, Split, int, int]) -> tuple[str | int, ...]:
    folder, split, index, seed = task
    drawn = scene(split, index, seed)
    path = f"{split.name}/{index:05d}.mp4"
    encode(render(drawn), folder / path)
    return path, drawn.verb, drawn.noun, drawn.background, drawn.texture, drawn.frames


def _check(root: Path) -> None:
    stamp = root / "format.txt"
    found = f"motion of format {stamp.read_text().strip()}" if stamp.is_file() else "nothing that was made here"
    if found != f"motion of format {FORMAT}":
        raise ValueError(
            f"{root} holds {found}, and format {FORMAT} is wanted; move it away or set data.root to another folder"
        )


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let one process at a time make the data set; the others wait and find it made."""
    with (root.parent / f".{root.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
