"""Text that people wrote, in pictures: letter by letter as it is, in whatever fonts there are that have the letters."""

import logging
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.ft2font import FT2Font

from vivit.text import one_line

log = logging.getLogger(__name__)

BASE = "DejaVu Sans"
"""Comes with matplotlib."""
PREFERRED = ("Noto Sans CJK SC", "Noto Sans CJK", "Noto Sans", "WenQuanYi", "Droid Sans")
"""How the names of fonts start that are asked first, in this order, for letters that the base lacks."""
NO_LETTERS = "Last Resort"
"""Has a box for every code there is."""
INVISIBLE = ("Cf", "Mn")
"""Categories of what changes other letters and is nothing to be seen itself; left out where no font has it."""
WARNED: list[str] = []
"""Letters that no font has, of which the first is warned of."""


class Font(NamedTuple):
    """A font of this machine."""

    name: str
    file: str
    face: int


@contextmanager
def lettered(*texts: Iterable[str]) -> Iterator[None]:
    """Have what is drawn within taken as it is, not as mathematics, in fonts that have the letters of all ``texts``."""
    family = families(text for group in texts for text in group)
    with mpl.rc_context({"text.parse_math": False, "text.usetex": False, "font.family": family}):
        yield


def families(texts: Iterable[str]) -> list[str]:
    """Return the fonts that together have all letters of some texts, the base first."""
    letters = sorted({letter for text in texts for letter in legible(text)})
    return list(dict.fromkeys([BASE, *(font for letter in letters if (font := font_of(letter)) is not None)]))


def add_legend(axes: Axes, names: Sequence[str] | None = None, **how: Any) -> None:
    """Add a legend whose words are taken as they are; with ``names`` in the place of the lines' own labels.

    matplotlib itself leaves out what begins with an underscore, and sets what stands between dollars.
    """
    texts = axes.legend(**how).get_texts()
    words = [legible(name) for name in names or [text.get_text() for text in texts]]
    for text, word in zip(texts, words, strict=True):
        text.set_parse_math(False)
        text.set_fontfamily(families([word]))
        text.set_text(word)


def legible(text: str) -> str:
    """Return text with what cannot be drawn written as its code: a letter that no font has, a line break, a tab."""
    return "".join(letter if font_of(letter) is not None else _code(letter) for letter in one_line(text))


def shortened(text: str, longest: int) -> str:
    """Return text legibly in at most so many letters, with an ellipsis for the last where there are more."""
    text = legible(text)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def width_of(text: str) -> int:
    """Return how wide a text is, in letters of Latin; those of Chinese, Japanese and Korean count as two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


@cache
def font_of(letter: str) -> str | None:
    """Return the name of a font that has a letter; None where none does."""
    if ord(letter) in _codes(Font(BASE, font_manager.findfont(BASE), 0)):
        return BASE
    return next((font.name for font in _fonts() if ord(letter) in _codes(font)), None)


def _code(letter: str) -> str:
    if unicodedata.category(letter) in INVISIBLE:
        return ""
    code = f"U+{ord(letter):04X}"
    if not WARNED:
        log.warning("no font here has the letter %s, so it and others like it are drawn as their codes", code)
    WARNED.append(letter)
    return code


@cache
def _fonts() -> tuple[Font, ...]:
    """List upright fonts of plain weight whose letters are outlines, the preferred ones first.

    matplotlib remembers the fonts that it once found; those that were installed later are added here.
    """
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for file in sorted(set(font_manager.findSystemFonts()) - known):
        try:
            font_manager.fontManager.addfont(file)
        except (OSError, RuntimeError, ValueError):
            continue  # damaged, or of a kind that cannot be drawn
    plain = [
        Font(entry.name, entry.fname, entry.index)
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal" and entry.weight in (400, "normal", "regular") and entry.size == "scalable"
    ]
    fit = [font for font in plain if not font.name.startswith(NO_LETTERS) and "Mono" not in font.name]
    return tuple(sorted(dict.fromkeys(fit), key=lambda font: (_rank(font.name), font)))


def _rank(name: str) -> int:
    return next((at for at, start in enumerate(PREFERRED) if name.startswith(start)), len(PREFERRED))


@cache
def _codes(font: Font) -> frozenset[int]:
    try:
        face = FT2Font(font.file, face_index=font.face)
    except (OSError, RuntimeError, ValueError):
        return frozenset()
    return frozenset(face.get_charmap()) if face.scalable else frozenset()
