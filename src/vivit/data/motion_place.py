"""Where the object of the embedded data set is."""

import numpy as np
from jaxtyping import Bool

from vivit.data.motion import SIDE, Scene, trajectory

REACH = 1.15
"""Radii from the centre within which every outline lies, however the shape is tilted."""


def around_object(s: Scene) -> Bool[np.ndarray, "f h w"]:
    """Mark the square around the object at every frame, on the torus as the object is."""
    row, column, radius = trajectory(s)

    def near(centre: np.ndarray) -> np.ndarray:
        ahead = (np.arange(SIDE) - centre[:, None]) % SIDE
        return np.minimum(ahead, SIDE - ahead) <= REACH * radius[:, None] + 0.5

    return near(row)[:, :, None] & near(column)[:, None, :]
