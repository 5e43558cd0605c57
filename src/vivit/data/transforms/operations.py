"""The twelve operations of RandAugment as the reference runs them on video: on one tall picture of all frames.

Each takes the clip, the magnitude (10 is the scale's end, the paper goes beyond) and a generator, and gives a new clip.
Products are float32 and cut to whole grey levels, as there. Most operations look at one value at a time and are tables.
torchvision's Invert, Posterize and Solarize compute the same, a line each here; its Equalize, AutoContrast, Contrast
and Sharpness take each picture for itself, and round.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from vivit.data.transforms.lookup import looked_up

Bytes = UInt8[np.ndarray, "f h w 3"]
Operation = Callable[[Bytes, float, np.random.Generator], Bytes]
LEVELS = np.arange(256)
ROWS = 128
"""Rows of the tall picture that are worked on at once, so that they stay in the processor's cache."""


def identity(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Change nothing."""
    return clip


def autocontrast(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Stretch each channel, so that the whole clip reaches from 0 to 255."""
    rows = clip.reshape(-1, clip.shape[2] * 3)
    lows, highs = (extreme(rows, axis=0).reshape(-1, 3) for extreme in (np.min, np.max))
    return looked_up(clip, *map(stretching, lows.min(0), highs.max(0)))


def stretching(low: np.integer, high: np.integer) -> UInt8[np.ndarray, "256"]:
    """Table that takes ``low`` to 0 and ``high`` to 255; a channel of one value stays."""
    if low == high:
        return LEVELS.astype(np.uint8)
    scale = np.float32(255) / np.float32(high - low)
    return cut(LEVELS.astype(np.float32) * scale - np.float32(low) * scale)


def equalise(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Spread each channel's levels by how frequent they are in the whole clip."""
    frames, height, width, _ = clip.shape
    tall = Image.frombuffer("RGB", (width, frames * height), np.ascontiguousarray(clip), "raw", "RGB", 0, 1)
    return looked_up(clip, *map(equalising, np.reshape(tall.histogram(), (3, 256))))


def equalising(histogram: np.ndarray) -> UInt8[np.ndarray, "256"]:
    """Table of a channel's histogram: the share of values below each, in steps that leave out the highest level."""
    step = (histogram.sum() - histogram[histogram.nonzero()[0][-1]]) // 255
    if step == 0:
        return LEVELS.astype(np.uint8)
    below = np.cumsum(histogram) - histogram
    table = np.minimum((below + step // 2) // step, 255)
    return table.astype(np.uint8)


def invert(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Show the negative."""
    return ~clip


def posterise(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Keep the first int(M / 10 * 4) bits, at most all eight."""
    bits = min(int(magnitude / 10 * 4), 8)
    return clip & np.uint8(256 - (1 << (8 - bits)) & 255)


def solarise(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Show the negative of what reaches the threshold int(M / 10 * 256), which the reference wraps into a byte.

    So magnitude 15 means 128 and not 384, and magnitude 20 means 0, the full negative.
    """
    threshold = int(magnitude / 10 * 256) % 256
    return looked_up(clip, np.where(threshold > LEVELS, LEVELS, 255 - LEVELS).astype(np.uint8))


def solarise_add(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Add int(M / 10 * 110) to the darker half of the levels."""
    brighter = np.minimum(LEVELS + int(magnitude / 10 * 110), 255)
    return looked_up(clip, np.where(LEVELS < 128, brighter, LEVELS).astype(np.uint8))


def brightness(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Blend with black."""
    return looked_up(clip, blended(np.float32(0), LEVELS.astype(np.float32), magnitude))


def contrast(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Blend with the mean, which the reference takes for pixels / 256, at most 255: white, but for tiny clips."""
    grey = np.float32(min(clip.size // 3 // 256, 255))
    return looked_up(clip, blended(grey, LEVELS.astype(np.float32), magnitude))


def colour(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Blend with the grey picture."""
    result = np.empty_like(clip)
    for frame, place in zip(clip, result, strict=True):
        channels = [np.ascontiguousarray(frame[..., c]).astype(np.float32) for c in range(3)]
        red, green, blue = channels
        grey = np.float32(0.2989) * red + np.float32(0.587) * green + np.float32(0.114) * blue
        grey = np.floor(grey * np.float32(255.5 / 255))  # TensorFlow's way from [0, 1] back to bytes
        for c in range(3):
            place[..., c] = blended(grey, channels[c], magnitude)
    return result


def sharpness(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Blend with a smoothed picture: each pixel five times and its eight neighbours, by 13.

    Neighbours reach across the borders of frames; the outermost pixels of the tall picture stay. The sum is one of
    whole numbers here; in the reference's float32 a multiple of 13 may fall one level lower.
    """
    tall = np.ascontiguousarray(clip).reshape(len(clip) * clip.shape[1], -1)
    result = tall.copy()
    for begin in range(1, len(tall) - 1, ROWS):
        rows = tall[begin - 1 : min(begin + ROWS, len(tall) - 1) + 1].astype(np.uint16)
        across = rows[:, :-6] + rows[:, 3:-3] + rows[:, 6:]
        middle = rows[1:-1, 3:-3]
        smooth = (across[:-2] + across[1:-1] + across[2:] + 4 * middle) // 13
        result[begin : begin + len(middle), 3:-3] = blended(
            smooth.astype(np.float32), middle.astype(np.float32), magnitude
        )
    return result.reshape(clip.shape)


def cutout(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Fill a box of twice int(M / 10 * 40) pixels with 128, in one place for all frames, cut off at the border."""
    half = int(magnitude / 10 * 40)
    row, column = (int(rng.integers(side)) for side in clip.shape[1:3])
    result = clip.copy()
    result[:, max(row - half, 0) : row + half, max(column - half, 0) : column + half] = 128
    return result


def blended(
    other: Float[np.ndarray, "*a"] | np.float32, values: Float[np.ndarray, "*a"], magnitude: float
) -> UInt8[np.ndarray, "*a"]:
    """Go from ``other`` through the values and beyond: the factor of magnitude M is M / 10 * 1.8 + 0.1."""
    mixed = values - other
    mixed *= np.float32(magnitude / 10 * 1.8 + 0.1)
    mixed += other
    return cut(mixed)


def cut(values: Float[np.ndarray, "*a"]) -> UInt8[np.ndarray, "*a"]:
    """Clip to [0, 255] and cut off what is behind the point."""
    np.maximum(values, 0, out=values)
    np.minimum(values, 255, out=values)
    return values.astype(np.uint8)


OPERATIONS: tuple[Operation, ...] = (
    *(autocontrast, equalise, invert, posterise, solarise, colour, contrast, brightness, sharpness, cutout),
    *(solarise_add, identity),
)
"""All twelve. Those that turn, shear or move the picture are not among them, as in the reference."""
