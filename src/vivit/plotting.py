"""User text in matplotlib figures: taken literally, in installed fonts that have its characters."""

import logging
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import accumulate
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.ft2font import FT2Font

from vivit.text import one_line

log = logging.getLogger(__name__)

BASE = "DejaVu Sans"
"""Default font; it comes with matplotlib."""
PREFERRED = ("Noto Sans CJK SC", "Noto Sans CJK", "Noto Sans", "WenQuanYi", "Droid Sans")
"""Prefixes of the names of fonts that are tried first, in this order, for characters that the default font lacks."""
PLACEHOLDER_FONT = "Last Resort"
"""A font with a box for every code point; it is not used."""
INVISIBLE = ("Cf", "Mn")
"""Unicode categories of characters that only change others; they are dropped where no font has them."""
REMEDY = "Debian's fonts-noto-core, fonts-noto-cjk and, for emoji, fonts-symbola have nearly all"
"""What to install where characters are missing; matplotlib draws outlines alone, and so no coloured emoji."""
WIDTH, DPI, LETTERS = 6.4, 120, 13
"""Inches across, dots an inch and points of letters of pictures: a letter is 22 of 768 pixels, and 11 of 390."""
WARNED: list[str] = []
"""Characters that no font has; the log warns of the first."""


class Font(NamedTuple):
    """An installed font: family name, file, and index of the face in it."""

    name: str
    file: str
    face: int


@contextmanager
def use_fonts_for(*texts: Iterable[str]) -> Iterator[None]:
    """Draw text within this context literally, not as mathematics, in fonts that have the characters of ``texts``."""
    family = font_families(text for group in texts for text in group)
    with mpl.rc_context({"text.parse_math": False, "text.usetex": False, "font.family": family}):
        yield


@contextmanager
def picture_style(*texts: Iterable[str]) -> Iterator[None]:
    """Draw within this context as ``use_fonts_for``, with letters that are legible where a picture is 390 pixels wide.

    Pictures are ``WIDTH`` inches wide, and saved with ``DPI`` dots an inch.
    """
    with use_fonts_for(*texts), mpl.rc_context({"font.size": LETTERS, "savefig.dpi": DPI, "figure.dpi": DPI}):
        yield


def font_families(texts: Iterable[str]) -> list[str]:
    """Return the fonts that together have all characters of some texts, the default font first."""
    characters = sorted({character for text in texts for character in drawable_text(text)})
    fonts = (find_font(character) for character in characters)
    return list(dict.fromkeys([BASE, *(font for font in fonts if font is not None)]))


def add_legend(axes: Axes, names: Sequence[str] | None = None, **options: Any) -> None:
    """Add a legend with literal text: ``names``, or the labels of the lines. ``options`` are those of ``Axes.legend``.

    By itself matplotlib leaves out labels that begin with an underscore, and typesets what is between dollar signs.
    """
    texts = axes.legend(**options).get_texts()
    labels = [drawable_text(name) for name in names or [text.get_text() for text in texts]]
    for text, label in zip(texts, labels, strict=True):
        text.set_parse_math(False)
        text.set_fontfamily(font_families([label]))
        text.set_text(label)


def drawable_text(text: str) -> str:
    """Return text with codes for what cannot be drawn: characters that no font has, line breaks, tabs."""
    characters = one_line(text)
    return "".join(character if find_font(character) is not None else _code(character) for character in characters)


def shorten(text: str, longest: int, end: int = 0) -> str:
    """Return drawable text no wider than ``longest`` Latin characters; a wider one has an ellipsis before its ``end``.

    ``end`` is a number of characters of the text, 0 for none.
    """
    text = drawable_text(text)
    if text_width(text) <= longest:
        return text
    last = text[len(text) - end :]
    widths = accumulate(map(text_width, text))
    return f"{text[: sum(width < longest - text_width(last) for width in widths)]}…{last}"


def break_name(text: str, longest: int) -> str:
    """Return drawable text in one line or, between words, in two, each no wider than ``longest`` Latin characters."""
    parts = drawable_text(text).split(" ")
    widths = accumulate(1 + text_width(part) for part in parts)
    first = sum(width - 1 <= longest for width in widths)
    if first in (0, len(parts)):
        return shorten(text, longest)
    return "\n".join(shorten(" ".join(line), longest) for line in (parts[:first], parts[first:]))


def text_width(text: str) -> int:
    """Return the width of a text in Latin characters; Chinese, Japanese and Korean ones, and emoji, count as two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


@cache
def find_font(character: str) -> str | None:
    """Return the name of a font that has a character; None where no font does."""
    if ord(character) in _codes(Font(BASE, font_manager.findfont(BASE), 0)):
        return BASE
    return next((font.name for font in _fonts() if ord(character) in _codes(font)), None)


def _code(character: str) -> str:
    if unicodedata.category(character) in INVISIBLE:
        return ""
    code = f"U+{ord(character):04X}"
    if not WARNED:
        log.warning(
            "no installed font has the character %s; it and others like it are drawn as their codes (%s)", code, REMEDY
        )
    WARNED.append(character)
    return code


@cache
def _fonts() -> tuple[Font, ...]:
    """Return the upright scalable fonts of regular weight, the preferred ones first.

    matplotlib caches the list of installed fonts; those that were installed later are added here.
    """
    cached = {entry.fname for entry in font_manager.fontManager.ttflist}
    for file in sorted(set(font_manager.findSystemFonts()) - cached):
        try:
            font_manager.fontManager.addfont(file)
        except (OSError, RuntimeError, ValueError):
            continue  # damaged, or in a format that cannot be drawn
    regular = [
        Font(entry.name, entry.fname, entry.index)
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal" and entry.weight in (400, "normal", "regular") and entry.size == "scalable"
    ]
    usable = [font for font in regular if not font.name.startswith(PLACEHOLDER_FONT) and "Mono" not in font.name]
    return tuple(sorted(dict.fromkeys(usable), key=lambda font: (_rank(font.name), font)))


def _rank(name: str) -> int:
    return next((rank for rank, prefix in enumerate(PREFERRED) if name.startswith(prefix)), len(PREFERRED))


@cache
def _codes(font: Font) -> frozenset[int]:
    try:
        face = FT2Font(font.file, face_index=font.face)
    except (OSError, RuntimeError, ValueError):
        return frozenset()
    return frozenset(face.get_charmap()) if face.scalable else frozenset()
