"""The documentation: it builds without a warning, generated pages are current, and links lead somewhere."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from prose import REPOSITORY, ease_table, reading_ease, sentences, syllables, written_pages

DOCS = REPOSITORY / "docs"
PAGES = sorted([*REPOSITORY.glob("*.md"), *DOCS.glob("*.md"), *DOCS.glob("*/*.md")])


@pytest.mark.slow
def test_it_builds_without_a_warning(tmp_path: Path) -> None:
    """Every page stands in a table of contents, references resolve, docstrings are legible."""
    command = (sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going")
    built = subprocess.run(
        [*command, "-d", tmp_path / "doctrees", DOCS, tmp_path / "html"], capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    reference = (tmp_path / "html" / "api" / "index.html").read_text(encoding="utf-8")
    assert "create_model" in reference
    assert "VideoReader" in reference


@pytest.mark.parametrize(
    ("script", "write"), [("write_tree.py", "tree"), ("write_configuration.py", "page"), ("write_claims.py", "page")]
)
def test_generated_pages_are_current(script: str, write: str) -> None:
    module = runpy.run_path(str(DOCS / script))
    assert module["TARGET"].read_text(encoding="utf-8") == module[write](), f"run python docs/{script}"


def test_every_option_of_a_group_says_what_it_is() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert not re.findall(r"^\| \**`[^|]*`\** *\|  \|$", page, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


def test_every_page_is_linked_from_another() -> None:
    """A reader on a forge has no table of contents beside the page."""
    texts = {page: page.read_text(encoding="utf-8") for page in PAGES}
    pages = [page for page in DOCS.glob("*.md") if "{include}" not in texts[page]]
    assert not [page.name for page in pages if not any(page.name in text for of, text in texts.items() if of != page)]


def test_the_readme_quotes_verdicts_that_the_records_have() -> None:
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8").partition("| claim of the paper")[2]
    rows = re.findall(r"^\| ([^|]+) \|[^|]*\| (\S+ \[\S+ \S+\]) \| (.+) \|$", readme.partition("\n\n")[0], re.MULTILINE)
    assert len(rows) >= 5
    claims = (DOCS / "claims.md").read_text(encoding="utf-8")
    for claim, numbers, verdict in rows:
        (line,) = (line for line in claims.splitlines() if f"| {numbers} |" in line)
        assert line.lower().startswith(f"| {claim.lower()} |")
        assert line.rstrip(" |").endswith(verdict) or f"| {verdict}" in line, claim


def test_syllables_are_counted() -> None:
    counts = {"video": 2, "transformer": 3, "used": 1, "decoded": 3, "frame": 1, "table": 2, "accuracy": 4}
    assert {word: syllables(word) for word in counts} == counts


@pytest.mark.parametrize("page", written_pages(), ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_prose_is_plain_and_sentences_are_short(page: Path) -> None:
    """Reading ease of 60 is plain English; no sentence has 40 words."""
    text = page.read_text(encoding="utf-8")
    assert [" ".join(words) for words in sentences(text) if len(words) >= 40] == []
    assert reading_ease(text) >= 60


def test_the_table_of_reading_ease_has_every_page_and_the_hardest_first() -> None:
    """``python tests/prose.py`` prints it."""
    rows = [line.split() for line in ease_table().splitlines()[1:]]
    assert {row[3] for row in rows} == {page.relative_to(REPOSITORY).as_posix() for page in written_pages()}
    assert [float(row[0]) for row in rows] == sorted(float(row[0]) for row in rows)
