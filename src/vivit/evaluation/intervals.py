"""How far an accuracy of so many videos may lie from that of all videos of their kind: 95 % intervals.

None has width 0: that 480 of 480 are right says that at least 99.2 % are, not that all are, which is what drawing those
480 anew would say.
"""

import numpy as np
from jaxtyping import Float, Int

Z = 1.959963984540054
"""The standard normal distribution has 95 % between -Z and Z."""
DRAWN = 2.0
"""Videos by which the rate of a class is drawn towards the mean; with fewer, classes of few videos promise too much."""
ROUNDING = 1e-15


def wilson(right: int, videos: int) -> tuple[float, float]:
    """Return the score interval of a share (Wilson 1927): the rates that the videos found do not speak against."""
    share, spread = right / videos, Z**2 / videos
    middle = share + spread / 2
    half = Z * np.sqrt(share * (1 - share) / videos + spread / (4 * videos))
    low, high = (middle - half) / (1 + spread), (middle + half) / (1 + spread)
    return float(low) if right else 0.0, float(high) if right < videos else 1.0  # but for rounding they are these


def of_mean(right: Int[np.ndarray, " k"], videos: Int[np.ndarray, " k"]) -> tuple[float, float]:
    """Return the score interval of a mean of shares, each of videos of its own: of one class after another.

    It holds those means that lie within Z deviations, as large as they would be if that mean were the truth: with the
    most likely rate of every class, as if ``DRAWN`` videos of it more had the mean for theirs, because rates of few
    videos follow these too closely. Of a single class, and where all or none are right in classes of one size, it is
    Wilson's of all videos.
    """
    return _lowest(right, videos), 1 - _lowest(videos - right, videos)


def _lowest(right: Int[np.ndarray, " k"], videos: Int[np.ndarray, " k"]) -> float:
    """Find the lower end along the multiplier that holds the mean down: at 0 it is the mean found, then it falls."""
    if not right.any():
        return 0.0
    found = (right / videos).mean()

    def inside(multiplier: float) -> bool:
        rates = _most_likely(right, videos, multiplier)
        drawn = (videos * rates + DRAWN * rates.mean()) / (videos + DRAWN)
        deviation = np.sqrt((drawn * (1 - drawn) / videos).sum()) / len(videos)
        return bool(found - rates.mean() <= Z * deviation + ROUNDING)

    near, far = 0.0, 1.0
    while inside(far):
        near, far = far, 2 * far
    for _ in range(60):
        middle = (near + far) / 2
        near, far = (middle, far) if inside(middle) else (near, middle)
    return float(_most_likely(right, videos, far).mean())


def _most_likely(
    right: Int[np.ndarray, " k"], videos: Int[np.ndarray, " k"], multiplier: float
) -> Float[np.ndarray, " k"]:
    """Return the rates that make what was found most likely, among those of a mean that Lagrange's multiplier sets."""
    root = np.sqrt((multiplier - videos) ** 2 + 4 * multiplier * (videos - right))
    return 2 * right / (multiplier + videos + root)
