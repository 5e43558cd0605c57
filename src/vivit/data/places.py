"""Places of temporal views in a video, apart from its length: so many parts of so many, (1, 3) a third. Their name."""


def spread(count: int) -> list[tuple[int, int]]:
    """Spread ``count`` places over a video, from its beginning to its end; a single one is in the middle.

    Two places are the same only where they are the same frame of every video in spite of rounding: 2 parts of 4 are 1
    of 2, because halving is exact, but 3 of 9 need not be 1 of 3.
    """
    return [_halved(part, count - 1) for part in range(count)] if count > 1 else [(1, 2)]


def _halved(part: int, whole: int) -> tuple[int, int]:
    if part in (0, whole):
        return part // whole, 1
    while part % 2 == whole % 2 == 0:
        part, whole = part // 2, whole // 2
    return part, whole


def views_name(temporal: int, spatial: int) -> str:
    """Name so many temporal views with so many crops each as the paper does, such as 4x3."""
    return f"{temporal}x{spatial}"
