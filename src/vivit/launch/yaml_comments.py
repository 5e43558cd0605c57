"""Comments of YAML files: what a key means stands beside or above it, what a file is at its top."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml


def read_comments(file: Path) -> dict[str, str]:
    """Return the comment of every key of a YAML file that has one, by its dotted key; that of the file itself by "".

    A comment stands behind a key, and may go on below itself, or on the lines above the key, below any empty line.
    """
    text = file.read_text(encoding="utf-8")
    behind, alone = _comment_lines(text)
    lines = text.splitlines()
    head = _head(lines, alone)
    comments = {"": " ".join(alone[number][1] for number in range(head) if not alone[number][1].startswith("@package"))}
    for key, line in _keys(yaml.compose(text, yaml.SafeLoader), ""):
        if line in behind:
            column, comment = behind[line]
            below = line + 1
            while below in alone and alone[below][0] == column:
                comment += f" {alone[below][1]}"
                below += 1
            comments.setdefault(key, comment)
            continue
        above = line
        indent = len(lines[line]) - len(lines[line].lstrip())
        while above - 1 >= head and above - 1 in alone and alone[above - 1][0] == indent:
            above -= 1
        if above < line:
            comments.setdefault(key, " ".join(alone[number][1] for number in range(above, line)))
    return comments


def first_sentence(text: str) -> str:
    """Return a text up to the end of its first sentence."""
    for place in range(len(text) - 1):
        if text[place] in ".:" and text[place + 1] == " " and (place + 2 >= len(text) or not text[place + 2].islower()):
            return text[: place + (text[place] == ".")]
    return text


def _head(lines: list[str], alone: dict[int, tuple[int, str]]) -> int:
    """Return how many lines at the top of a file are its own comment."""
    head = 0
    while head < len(lines) and head in alone:
        head += 1
    return head


def _comment_lines(text: str) -> tuple[dict[int, tuple[int, str]], dict[int, tuple[int, str]]]:
    """Return the comments behind something and those alone on a line: column and comment, by line."""
    scalars: dict[int, list[tuple[int, int]]] = {}
    for token in yaml.scan(text, yaml.SafeLoader):
        if isinstance(token, yaml.ScalarToken):
            for line in range(token.start_mark.line, token.end_mark.line + 1):
                start = token.start_mark.column if line == token.start_mark.line else 0
                end = token.end_mark.column if line == token.end_mark.line else 10**6
                scalars.setdefault(line, []).append((start, end))
    behind: dict[int, tuple[int, str]] = {}
    alone: dict[int, tuple[int, str]] = {}
    for number, content in enumerate(text.splitlines()):
        for place, letter in enumerate(content):
            inside = any(start <= place < end for start, end in scalars.get(number, ()))
            if letter == "#" and not inside and (place == 0 or content[place - 1] == " "):
                target = behind if content[:place].strip() else alone
                target[number] = (place, content[place + 1 :].strip())
                break
    return behind, alone


def _keys(node: Any, prefix: str) -> Iterator[tuple[str, int]]:
    """Yield every key of a node with its line, but for those of a mapping that shares its line with its own key."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        name = f"{prefix}{key.value}"
        yield name, key.start_mark.line
        yield from _keys(value, f"{name}.")
