"""User text, such as class names and paths, on one line of a terminal, a page or a figure."""

import unicodedata

ESCAPED = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories that break a line, control a terminal or cannot be encoded: controls, surrogates, separators."""


def one_line(text: str) -> str:
    """Return text with tabs, line breaks and other control characters escaped as in a Python string."""
    return "".join(
        character.encode("unicode_escape").decode() if unicodedata.category(character) in ESCAPED else character
        for character in text
    )
