"""The nouns of the embedded data set: twelve outlines, each its own mirror image, as signed distances."""

import numpy as np
from jaxtyping import Float

NOUNS = (
    *("circle", "square", "triangle", "star", "cross", "ring"),
    *("bar", "crescent", "heart", "arrow", "hourglass", "frame"),
)

REACH = 1.15
"""Distance from the centre, in radii, within which every outline lies at any tilt."""

Distances = Float[np.ndarray, "..."]


def signed_distance(noun: str, y: Distances, x: Distances) -> Distances:
    """Return about the distance to the outline of a shape of radius 1, rows growing downwards; negative inside."""
    side = np.abs(x)
    match noun:
        case "circle":
            return np.hypot(x, y) - 0.9
        case "square":
            return _box(y, x, 0.8, 0.8)
        case "triangle":
            return np.maximum(0.866 * side - 0.5 * y, y) - 0.55
        case "star":
            return np.hypot(x, y) - 0.72 - 0.33 * np.cos(5 * np.arctan2(x, y))
        case "cross":
            return np.minimum(_box(y, x, 1.0, 0.32), _box(y, x, 0.32, 1.0))
        case "ring":
            return np.abs(np.hypot(x, y) - 0.75) - 0.22
        case "bar":
            return _box(y, x, 1.05, 0.36)
        case "crescent":
            return np.maximum(np.hypot(x, y) - 1.0, 0.75 - np.hypot(x, y + 0.5))
        case "heart":
            lobes = np.hypot(side - 0.45, y + 0.35) - 0.55
            return np.minimum(lobes, np.maximum(0.707 * (side + y) - 0.62, -0.1 - y))
        case "arrow":
            head = np.maximum(0.8 * side - 0.6 * y - 0.6, y)
            return np.minimum(head, _box(y - 0.45, x, 0.55, 0.25))
        case "hourglass":
            return np.maximum(0.8 * side - 0.6 * np.abs(y) - 0.1, np.abs(y) - 0.85)
        case _:
            return np.abs(np.maximum(side, np.abs(y)) - 0.62) - 0.18


def _box(y: Distances, x: Distances, height: float, width: float) -> Distances:
    """Return the distance to a rectangle of half ``height`` and half ``width``."""
    return np.maximum(np.abs(y) - height, np.abs(x) - width)
