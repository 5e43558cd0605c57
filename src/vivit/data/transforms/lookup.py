"""Operations that look at one byte at a time, as tables."""

import numpy as np
from jaxtyping import UInt8

CHUNK = 1 << 15
"""Pairs looked up at once, so that what NumPy makes of them meanwhile stays in the processor's cache."""


def looked_up(clip: UInt8[np.ndarray, "f h w 3"], *tables: UInt8[np.ndarray, "256"]) -> UInt8[np.ndarray, "f h w 3"]:
    """Replace every value by what a table says: one table for all channels, or one for each.

    Two neighbouring bytes are looked up together in a table of all 65,536 pairs. The channels of the pairs repeat
    after two pixels: red green, blue red, green blue.
    """
    flat = np.ascontiguousarray(clip).reshape(-1)
    result = np.empty_like(flat)
    even = flat.size // 6 * 6
    pairs, places = (values[:even].view("<u2").reshape(-1, len(tables)) for values in (flat, result))
    for k in range(len(tables)):
        both = of_pairs(tables[2 * k % len(tables)], tables[(2 * k + 1) % len(tables)])
        for begin in range(0, len(pairs), CHUNK):
            places[begin : begin + CHUNK, k] = both.take(pairs[begin : begin + CHUNK, k], mode="clip")
    for at in range(even, flat.size):
        result[at] = tables[at % len(tables)][flat[at]]
    return result.reshape(clip.shape)


def of_pairs(first: UInt8[np.ndarray, "256"], second: UInt8[np.ndarray, "256"]) -> np.ndarray:
    """Table of two neighbouring bytes, read as one little-endian number."""
    both = np.empty((256, 256, 2), np.uint8)
    both[..., 0], both[..., 1] = first, second[:, None]
    return both.view("<u2").reshape(-1)
