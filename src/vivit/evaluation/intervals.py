"""95 % confidence intervals of accuracies: how far one may lie from that of all videos of the same kind.

None has width 0: 480 right of 480 mean that at least 99.2 % are, not that all are, which is what a bootstrap of those
480 would return.
"""

import numpy as np
from jaxtyping import Float, Int

Z = 1.959963984540054
"""The standard normal distribution has 95 % between -Z and Z."""
SHRINKAGE = 2.0
"""Videos at the mean rate that are added to every class; with fewer, intervals of small classes are too narrow."""
ROUNDING = 1e-15


def mean_rate_interval(correct: Int[np.ndarray, " k"], videos: Int[np.ndarray, " k"]) -> tuple[float, float]:
    """Return the score interval of a mean over classes of their shares.

    It holds those means from which the observed one lies within Z standard deviations, as large as they would be if
    that mean were true: with the most likely rate of every class, as if it had ``SHRINKAGE`` more videos at the mean,
    because rates of few videos follow these too closely. Of a single class, and where all or none are right in classes
    of one size, it is Wilson's of all videos.
    """
    return _lower_end(correct, videos), 1 - _lower_end(videos - correct, videos)


def _lower_end(correct: Int[np.ndarray, " k"], videos: Int[np.ndarray, " k"]) -> float:
    """Return the lower end, by bisection of the Lagrange multiplier: at 0 the mean is the observed one."""
    if not correct.any():
        return 0.0
    observed = (correct / videos).mean()

    def inside(multiplier: float) -> bool:
        rates = _most_likely_rates(correct, videos, multiplier)
        shrunk = (videos * rates + SHRINKAGE * rates.mean()) / (videos + SHRINKAGE)
        deviation = np.sqrt((shrunk * (1 - shrunk) / videos).sum()) / len(videos)
        return bool(observed - rates.mean() <= Z * deviation + ROUNDING)

    near, far = 0.0, 1.0
    while inside(far):
        near, far = far, 2 * far
    for _ in range(60):
        middle = (near + far) / 2
        near, far = (middle, far) if inside(middle) else (near, middle)
    return float(_most_likely_rates(correct, videos, far).mean())


def _most_likely_rates(
    correct: Int[np.ndarray, " k"], videos: Int[np.ndarray, " k"], multiplier: float
) -> Float[np.ndarray, " k"]:
    """Return the most likely rates of the classes, among those of a mean that Lagrange's multiplier sets."""
    root = np.sqrt((multiplier - videos) ** 2 + 4 * multiplier * (videos - correct))
    return 2 * correct / (multiplier + videos + root)
