"""Lists of class names, in the forms in which they are published."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path


def class_names(file: Path, count: int | None = None) -> tuple[str, ...]:
    """Read the names of a class list, in the order of their numbers.

    ``.txt``: a name a line, or ``name,number``; ``.csv``: columns ``id`` and ``key`` (EPIC-Kitchens); ``.json``: a
    mapping of names to numbers, or of numbers to names. Raises unless the numbers are 0, 1, 2 and so on, the names
    differ, and there are ``count`` of them where that is given.
    """
    if not file.is_file():
        raise FileNotFoundError(f"{file} is missing; it holds the names of the classes")
    readers = {".txt": _from_lines, ".csv": _from_csv, ".json": _from_json}
    if file.suffix not in readers:
        raise ValueError(f"{file}: a list of classes is a file ending in {', '.join(readers)}")
    numbered = readers[file.suffix](file)
    names = tuple(name for name, _ in sorted(numbered, key=lambda pair: pair[1]))
    if sorted(number for _, number in numbered) != list(range(len(numbered))):
        raise ValueError(f"{file}: the class numbers are not 0 to {len(numbered) - 1}, each once")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{file} names the class {twice[0]!r} twice")
    if count is not None and len(names) != count:
        raise ValueError(f"{file} names {len(names)} classes, and {count} are wanted")
    return names


def in_order(names: set[str]) -> tuple[str, ...]:
    """Order the class names of a data set that has no list of them: numbers by size, other names alphabetically."""
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))  # 1 and 01 are two names
    return tuple(sorted(names))


def _from_lines(file: Path) -> list[tuple[str, int]]:
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    parts = [line.rpartition(",") for line in lines]
    if lines and all(name and number.strip().isdecimal() for name, _, number in parts):
        return [(name, int(number)) for name, _, number in parts]
    return [(line, number) for number, line in enumerate(lines)]


def _from_csv(file: Path) -> list[tuple[str, int]]:
    with file.open(newline="", encoding="utf-8-sig") as text:
        reader = csv.DictReader(text)
        if missing := {"id", "key"} - set(reader.fieldnames or ()):
            raise ValueError(f"{file}: line 1 lacks the columns {sorted(missing)}; it has {reader.fieldnames}")
        try:
            return [(row["key"], int(row["id"])) for row in reader]
        except (TypeError, ValueError):
            raise ValueError(f"{file}, line {reader.line_num}, column id: a whole number is wanted") from None


def _from_json(file: Path) -> list[tuple[str, int]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    if not isinstance(content, Mapping):
        raise ValueError(f"{file} is not a mapping of class names to numbers")
    if all(str(key).isdecimal() and not str(value).isdecimal() for key, value in content.items()):
        content = {value: key for key, value in content.items()}
    if strange := [value for value in content.values() if not str(value).isdecimal()]:
        raise ValueError(f"{file}: {strange[0]!r} is not a class number")
    return [(name.strip('"'), int(number)) for name, number in content.items()]
