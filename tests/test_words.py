"""The field's words: banned identifiers, and docstrings that begin with what is returned or done."""

import ast
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
        "is_user_error",
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
BANNED_NAMES = {"found", "whole", "own", "given", "there", "instead", "chosen"}
"""Whole identifiers that say nothing; as parts of others they may."""
BANNED_STARTS = ("Say", "Tell", "Give", "Ask", "Let", "Name the", "Show")
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
    documented = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module))
    texts = {getattr(node, "name", "module"): ast.get_docstring(node) or "" for node in documented}
    assert not {name: text for name, text in texts.items() if text.split(" ")[0].rstrip("s.,") in BANNED_STARTS}
