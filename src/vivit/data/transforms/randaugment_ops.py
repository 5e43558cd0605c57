"""The twelve operations of RandAugment as the reference runs them on video: on one tall picture of all frames.

Each takes the clip, the magnitude (10 is the scale's end, the paper goes beyond) and a generator, and returns a new
clip. Products are float32 and truncated to whole grey levels, as in the reference. Most operations map one value at a
time and are lookup tables.
torchvision's Invert, Posterize and Solarize compute the same, a line each here; its Equalize, AutoContrast, Contrast
and Sharpness take each picture for itself, and round.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

Bytes = UInt8[np.ndarray, "f h w 3"]
Operation = Callable[[Bytes, float, np.random.Generator], Bytes]
LEVELS = np.arange(256)
ROWS = 128
"""Rows of the tall picture that are processed at once, so that they stay in the processor's cache."""
CHUNK = 1 << 15
"""Pairs looked up at once, so that NumPy's intermediate results stay in the processor's cache."""


def identity(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Return the clip unchanged."""
    return clip


def autocontrast(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Stretch each channel, so that the whole clip reaches from 0 to 255."""
    rows = clip.reshape(-1, clip.shape[2] * 3)
    lows, highs = (extreme(rows, axis=0).reshape(-1, 3) for extreme in (np.min, np.max))
    return apply_lut(clip, *map(contrast_lut, lows.min(0), highs.max(0)))


def contrast_lut(low: np.integer, high: np.integer) -> UInt8[np.ndarray, "256"]:
    """Return the table that maps ``low`` to 0 and ``high`` to 255; a channel of one value stays."""
    if low == high:
        return LEVELS.astype(np.uint8)
    scale = np.float32(255) / np.float32(high - low)
    return to_uint8(LEVELS.astype(np.float32) * scale - np.float32(low) * scale)


def equalize(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Equalize the histogram of each channel over the clip."""
    frames, height, width, _ = clip.shape
    tall = Image.frombuffer("RGB", (width, frames * height), np.ascontiguousarray(clip), "raw", "RGB", 0, 1)
    return apply_lut(clip, *map(equalize_lut, np.reshape(tall.histogram(), (3, 256))))


def equalize_lut(histogram: np.ndarray) -> UInt8[np.ndarray, "256"]:
    """Return the table of a histogram: the share of values below each, in steps that exclude the highest level."""
    step = (histogram.sum() - histogram[histogram.nonzero()[0][-1]]) // 255
    if step == 0:
        return LEVELS.astype(np.uint8)
    below = np.cumsum(histogram) - histogram
    table = np.minimum((below + step // 2) // step, 255)
    return table.astype(np.uint8)


def invert(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Return the negative."""
    return ~clip


def posterize(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Keep the first int(M / 10 * 4) bits, at most all eight."""
    bits = min(int(magnitude / 10 * 4), 8)
    return clip & np.uint8(256 - (1 << (8 - bits)) & 255)


def solarize(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Invert the values from the threshold on: int(M / 10 * 256), which the reference wraps into a byte.

    So magnitude 15 means 128 and not 384, and magnitude 20 means 0, the full negative.
    """
    threshold = int(magnitude / 10 * 256) % 256
    return apply_lut(clip, np.where(threshold > LEVELS, LEVELS, 255 - LEVELS).astype(np.uint8))


def solarize_add(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Add int(M / 10 * 110) to the darker half of the levels."""
    brighter = np.minimum(LEVELS + int(magnitude / 10 * 110), 255)
    return apply_lut(clip, np.where(LEVELS < 128, brighter, LEVELS).astype(np.uint8))


def brightness(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Blend with black."""
    return apply_lut(clip, blend(np.float32(0), LEVELS.astype(np.float32), magnitude))


def contrast(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Blend with the mean, which the reference takes for pixels / 256, at most 255: white, except for tiny clips."""
    grey = np.float32(min(clip.size // 3 // 256, 255))
    return apply_lut(clip, blend(grey, LEVELS.astype(np.float32), magnitude))


def color(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Blend with the grey picture."""
    result = np.empty_like(clip)
    for frame, target in zip(clip, result, strict=True):
        channels = [np.ascontiguousarray(frame[..., c]).astype(np.float32) for c in range(3)]
        red, green, blue = channels
        grey = np.float32(0.2989) * red + np.float32(0.587) * green + np.float32(0.114) * blue
        grey = np.floor(grey * np.float32(255.5 / 255))  # TensorFlow's way from [0, 1] back to bytes
        for c in range(3):
            target[..., c] = blend(grey, channels[c], magnitude)
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
        result[begin : begin + len(middle), 3:-3] = blend(
            smooth.astype(np.float32), middle.astype(np.float32), magnitude
        )
    return result.reshape(clip.shape)


def cutout(clip: Bytes, magnitude: float, rng: np.random.Generator) -> Bytes:
    """Fill a box of twice int(M / 10 * 40) pixels with 128, at one position for all frames, clipped at the border."""
    half = int(magnitude / 10 * 40)
    row, column = (int(rng.integers(side)) for side in clip.shape[1:3])
    result = clip.copy()
    result[:, max(row - half, 0) : row + half, max(column - half, 0) : column + half] = 128
    return result


def blend(
    other: Float[np.ndarray, "*a"] | np.float32, values: Float[np.ndarray, "*a"], magnitude: float
) -> UInt8[np.ndarray, "*a"]:
    """Return values blended with, or extrapolated from, ``other``: the factor of magnitude M is M / 10 * 1.8 + 0.1."""
    mixed = values - other
    mixed *= np.float32(magnitude / 10 * 1.8 + 0.1)
    mixed += other
    return to_uint8(mixed)


def to_uint8(values: Float[np.ndarray, "*a"]) -> UInt8[np.ndarray, "*a"]:
    """Return values clipped to [0, 255] and truncated to whole levels."""
    np.maximum(values, 0, out=values)
    np.minimum(values, 255, out=values)
    return values.astype(np.uint8)


def apply_lut(clip: UInt8[np.ndarray, "f h w 3"], *tables: UInt8[np.ndarray, "256"]) -> UInt8[np.ndarray, "f h w 3"]:
    """Map every value through a table: one table for all channels, or one for each.

    Two neighbouring bytes are looked up together in a table of all 65,536 pairs. The channels of the pairs repeat
    after two pixels: red green, blue red, green blue.
    """
    flat = np.ascontiguousarray(clip).reshape(-1)
    result = np.empty_like(flat)
    even = flat.size // 6 * 6
    pairs, targets = (values[:even].view("<u2").reshape(-1, len(tables)) for values in (flat, result))
    for k in range(len(tables)):
        both = pair_lut(tables[2 * k % len(tables)], tables[(2 * k + 1) % len(tables)])
        for begin in range(0, len(pairs), CHUNK):
            targets[begin : begin + CHUNK, k] = both.take(pairs[begin : begin + CHUNK, k], mode="clip")
    for at in range(even, flat.size):
        result[at] = tables[at % len(tables)][flat[at]]
    return result.reshape(clip.shape)


def pair_lut(first: UInt8[np.ndarray, "256"], second: UInt8[np.ndarray, "256"]) -> np.ndarray:
    """Return the table of two neighbouring bytes, read as one little-endian number."""
    both = np.empty((256, 256, 2), np.uint8)
    both[..., 0], both[..., 1] = first, second[:, None]
    return both.view("<u2").reshape(-1)


OPERATIONS: tuple[Operation, ...] = (
    *(autocontrast, equalize, invert, posterize, solarize, color, contrast, brightness, sharpness, cutout),
    *(solarize_add, identity),
)
"""All twelve. None rotates, shears or translates the picture, as in the reference."""
