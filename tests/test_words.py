"""The field's words: banned identifiers, and docstrings that begin with what is returned or done."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
FILES = sorted(SOURCE.rglob("*.py"))
BANNED = {
    *(
        "said",
        "told",
        "telling",
        "whom",
        "apart",
        "mendable",
        "ours",
        "theirs",
        "looks",
        "mine",
        "words",
        "wanted",
    ),
    *("brief", "spared", "distrusted", "promised", "shown", "kept"),
}
"""Parts of identifiers between underscores that say nothing to an engineer of the field."""
BANNED_NAMES = {"found", "whole", "own", "given", "there", "instead", "config_groups"}
"""Whole identifiers that say nothing; as parts of others they may."""
BANNED_START = re.compile(r"(Say|Tell|Give|Ask|Let|Show|Name(?=s? the\b))s?\b")
"""First words of docstrings; a function returns, loads, writes, raises."""


def identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and name of everything that a file defines or assigns."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(SOURCE).as_posix())
def test_identifiers_are_words_of_the_field(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    banned = [
        f"line {line}: {name}"
        for line, name in identifiers(tree)
        if name in BANNED_NAMES or set(name.lower().split("_")) & BANNED
    ]
    assert not banned


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(SOURCE).as_posix())
def test_docstrings_begin_with_what_is_returned_or_done(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module
    texts = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]
    assert not [text for text in texts if BANNED_START.match(text)]


@pytest.mark.parametrize("start", ["Say", "Says", "Tell", "Name the", "Names the", "Shows"])
def test_banned_start_is_recognised(start: str) -> None:
    assert BANNED_START.match(f"{start} file of a video.")
