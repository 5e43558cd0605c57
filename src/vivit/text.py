"""Names, paths, counts and times as text: on one line of a terminal, a page or a figure."""

import unicodedata
from collections.abc import Iterable

ESCAPED = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories that break a line, control a terminal or cannot be encoded: controls, surrogates, separators."""

LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"


def one_line(text: str) -> str:
    """Return text with tabs, line breaks and other control characters escaped as in a Python string."""
    return "".join(
        character.encode("unicode_escape").decode() if unicodedata.category(character) in ESCAPED else character
        for character in text
    )


def beside_numbers(text: str) -> str:
    """Return text that may stand beside numbers in a line that is read from left to right.

    Arabic and Hebrew have marks around them, without which the numbers behind them would be drawn before them.
    """
    if not any(unicodedata.bidirectional(character) in ("R", "AL") for character in text):
        return text
    return f"{LEFT_TO_RIGHT}{text}{LEFT_TO_RIGHT}"


def name_some(names: Iterable[str], most: int = 3) -> str:
    """Return the first few names, and the number of the others, as text."""
    names = [one_line(name) for name in names]
    first = ", ".join(names[:most])
    return first + (f" and {len(names) - most} more" if len(names) > most else "")


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: "1 video", "1,200 videos"."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def format_duration(seconds: int | float) -> str:
    """Return a time as text, in the unit that it has at least two of."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 1 else "less than 1 s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
