"""The prose of a page of Markdown, its sentences, and how easily they are read.

    python tests/prose.py

prints a table of all pages that people write, the hardest first.
"""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
GENERATED = {"tree.md", "configuration.md", "claims.md", "CHANGELOG.md"}
SYLLABLE = re.compile(r"[aeiouy]+")


def written_pages() -> list[Path]:
    """Return the pages that people write: not those that a script generates, and not those that include another."""
    documents = REPOSITORY / "docs"
    pages = sorted([*REPOSITORY.glob("*.md"), *documents.glob("*.md"), *documents.glob("*/*.md")])
    pages = [page for page in pages if page.name not in GENERATED and page.parent.name != "api"]
    return [page for page in pages if "```{include}" not in page.read_text(encoding="utf-8")]


def paragraphs(markdown: str) -> list[str]:
    """Return the paragraphs and list entries of a page, without code, tables, pictures and headings."""
    text = re.sub(r"```.*?```", "", markdown, flags=re.DOTALL)
    found: list[list[str]] = [[]]
    for line in text.splitlines():
        if not line.strip() or line.startswith(("    ", "|", "!", "#", "<")):
            found.append([])
            continue
        if entry := re.match(r"\s*(?:[*-]|\d+\.) ", line):
            found.append([])
            line = line[entry.end() :]
        found[-1].append(line.strip())
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(lines)) for lines in found if lines)
    return [re.sub(r"[*_~]+", "", re.sub(r"`[^`]*`|\$[^$]*\$", "code", text)) for text in plain]


def sentences(markdown: str) -> list[list[str]]:
    """Return the words of every sentence of a page; numbers are no words."""
    split = (part for text in paragraphs(markdown) for part in re.split(r"(?<=[.!?])\s+", text))
    words = ([word for word in re.findall(r"[A-Za-z0-9'-]+", part) if re.search("[A-Za-z]", word)] for part in split)
    return [sentence for sentence in words if sentence]


def syllables(word: str) -> int:
    """Return the number of syllables of an English word, by its vowels."""
    letters = re.sub("[^a-z]", "", word.lower())
    count = len(SYLLABLE.findall(letters))
    silent = letters.endswith("e") and not letters.endswith(("le", "ee"))
    silent |= letters.endswith("ed") and not letters.endswith(("ted", "ded"))
    return max(1, count - silent)


def reading_ease(markdown: str) -> float:
    """Return the reading ease of a page (Flesch 1948): 0 is hard, 60 plain English, 100 very easy."""
    found = sentences(markdown)
    words = [word for sentence in found for word in sentence]
    return 206.835 - 1.015 * len(words) / len(found) - 84.6 * sum(map(syllables, words)) / len(words)


def ease_table() -> str:
    """Return one line a page: reading ease, words of the longest sentence, mean words of a sentence, path."""
    rows = []
    for page in written_pages():
        text = page.read_text(encoding="utf-8")
        lengths = [len(sentence) for sentence in sentences(text)]
        name = page.relative_to(REPOSITORY).as_posix()
        rows.append((reading_ease(text), max(lengths), sum(lengths) / len(lengths), name))
    lines = [f"{ease:5.1f} {longest:8d} {mean:5.1f}  {name}" for ease, longest, mean, name in sorted(rows)]
    return "\n".join([" ease  longest  mean  page", *lines])


if __name__ == "__main__":
    print(ease_table())
