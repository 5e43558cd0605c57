"""Write docs/tree.md from the first line of every module's docstring; run it after every move of a file."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "tree.md"
HEAD = """# The tree

Every module and the first line of its docstring; `python docs/write_tree.py` writes this page.

```text
configs/  data/  docs/  logs/  notebooks/  tests/
Makefile  pyproject.toml  setup.py  requirements.lock  requirements-bench.lock  environment.yaml
"""


def tree() -> str:
    """Return the page."""
    return f"{HEAD}{chr(10).join(lines(ROOT / 'src', 0))}\n```\n"


def lines(folder: Path, depth: int) -> Iterator[str]:
    """Yield the lines of a folder: its own, its files, and then the folders in it."""
    yield entry(f"{'    ' * depth}{folder.name}/", summary(folder / "__init__.py"))
    for file in sorted(folder.glob("*.py")):
        if file.name != "__init__.py":
            yield entry(f"{'    ' * (depth + 1)}{file.name}", summary(file))
    for below in sorted({path.parent for path in folder.glob("*/*.py")}):
        yield from lines(below, depth + 1)


def entry(name: str, text: str) -> str:
    """Return one line."""
    return f"{name:<38} {text}".rstrip()


def summary(file: Path) -> str:
    """Return the first line of a module's docstring; empty without a file."""
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) if file.is_file() else None
    return (docstring or "").partition("\n")[0].removesuffix(".")


if __name__ == "__main__":
    TARGET.write_text(tree(), encoding="utf-8")
