"""The 95 % confidence interval of a share: how far an accuracy may lie from that of all videos of the same kind."""


def wilson(correct: int, videos: int) -> tuple[float, float]:
    """Return the score interval of a share (Wilson 1927): the rates that the observed videos do not reject."""
    from scipy.stats import binomtest  # 0.7 s to import, which most commands do not need

    interval = binomtest(correct, videos).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)
