"""Text that people wrote, such as names of classes and paths, on one line of a terminal, a page or a picture."""

import unicodedata

ESCAPED = ("Cc", "Cs", "Zl", "Zp")
"""Categories of Unicode that would break a line, steer a terminal, or fit into no file: controls, halves of letters."""


def one_line(text: str) -> str:
    """Return text with tabs, line breaks and other controls written as in a string of Python; the rest as it is."""
    return "".join(
        letter.encode("unicode_escape").decode() if unicodedata.category(letter) in ESCAPED else letter
        for letter in text
    )
