"""Lists of class names, in the formats in which they are published."""

import csv
import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from vivit.data.storage.remote_path import Folder
from vivit.errors import DataError

UNLABELLED = "in eval.py compute_metrics=false scores videos without labels"
"""What to set where a data set has no labels for a checkpoint's classes."""


def read_class_names(file: Folder, count: int | None = None) -> tuple[str, ...]:
    """Return the names of a class list, in the order of their numbers.

    ``.txt``: a name a line, or ``name,number``; ``.csv``: columns ``id`` and ``key`` (EPIC-Kitchens); ``.json``: a
    mapping of names to numbers, or of numbers to names. Raises ``DataError`` unless the numbers are 0, 1, 2 and so on,
    the names differ, and there are ``count`` of them (None: any number).
    """
    if not file.is_file():
        raise DataError(file, "there is no such file", "put the list of classes there, or set data.dataset.class_file")
    readers = {".txt": _from_lines, ".csv": _from_csv, ".json": _from_json}
    suffix = Path(file.name).suffix
    if suffix not in readers:
        raise DataError(file, "is no list of classes", f"use a file ending in {', '.join(readers)}")
    try:
        numbered = readers[suffix](file)
    except UnicodeDecodeError:
        raise DataError(file, "is not text in UTF-8", "save it as such") from None
    names = tuple(name for name, _ in sorted(numbered, key=lambda pair: pair[1]))
    if sorted(number for _, number in numbered) != list(range(len(numbered))):
        raise DataError(file, f"the class numbers are not 0 to {len(numbered) - 1}, each once")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(file, f"contains the class {repeated[0]!r} twice")
    if count is not None and len(names) != count:
        raise DataError(file, f"contains {len(names)} classes, not {count}")
    return names


def sorted_classes(names: set[str]) -> tuple[str, ...]:
    """Return the classes of a data set without a list of them in order: numbers by size, other names alphabetically."""
    if all(name.isdecimal() for name in names):
        return tuple(sorted(names, key=lambda name: (int(name), name)))  # 1 and 01 are two names
    return tuple(sorted(names))


def fold_name(name: str) -> str:
    """Return a name without blanks and capitals: names that differ by nothing else are one class, misspelt."""
    return "".join(name.split()).casefold()


def rarer_spellings(counts: Mapping[str, int]) -> dict[str, str]:
    """Return the commonest spelling of each name that differs from it by blanks or case only, by how often each is."""
    common: dict[str, str] = {}
    names = sorted(counts, key=lambda name: (-counts[name], name))
    return {name: first for name in names if (first := common.setdefault(fold_name(name), name)) != name}


def describe_spellings(rarer: Mapping[str, str], counts: Mapping[str, int], most: int = 5) -> str:
    """Return what an error says about names in two spellings, and how often each is written."""
    pairs = [f"{name!r} differs from {other!r}" for name, other in rarer.items()]
    rows = [f"({counts[name]} and {counts[other]} rows)" for name, other in rarer.items()]
    text = f"{pairs[0]} by blanks or case only {rows[0]}"
    text += "".join(f", {pair} {of}" for pair, of in zip(pairs[1:most], rows[1:most], strict=True))
    return text + (f" and {len(pairs) - most} more" if len(pairs) > most else "")


def nearest_class(name: str, classes: Iterable[str]) -> str | None:
    """Return the class that a name resembles most, without regard to blanks and case; None where none is alike."""
    folded = {fold_name(known): known for known in classes}
    alike = get_close_matches(fold_name(name), folded, n=1)
    return folded[alike[0]] if alike else None


def describe_nearest(name: str, classes: Iterable[str]) -> str:
    """Return what an error adds about an unknown name: the nearest class; nothing where none is alike."""
    nearest = nearest_class(name, classes)
    return "" if nearest is None else f"the nearest class is {nearest!r}"


def _from_lines(file: Folder) -> list[tuple[str, int]]:
    lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    parts = [line.rpartition(",") for line in lines]
    if lines and all(name and number.strip().isdecimal() for name, _, number in parts):
        return [(name, int(number)) for name, _, number in parts]
    return [(line, number) for number, line in enumerate(lines)]


def _from_csv(file: Folder) -> list[tuple[str, int]]:
    with file.open(newline="", encoding="utf-8-sig") as text:
        reader = csv.DictReader(text)
        if missing := sorted({"id", "key"} - set(reader.fieldnames or ())):
            problem = f"has no column {', '.join(missing)}; its columns are {', '.join(reader.fieldnames or ())}"
            raise DataError(file, problem, row=1, column=missing[0])
        numbered = []
        for row in reader:
            if not (row["id"] or "").strip().isdecimal():
                raise DataError(file, f"{row['id']!r} is not a class number", row=reader.line_num, column="id")
            numbered.append((row["key"], int(row["id"])))
        return numbered


def _from_json(file: Folder) -> list[tuple[str, int]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise DataError(file, str(error)) from None
    if not isinstance(content, Mapping):
        raise DataError(file, "is not a mapping of class names to numbers")
    if all(str(key).isdecimal() and not str(value).isdecimal() for key, value in content.items()):
        content = {value: key for key, value in content.items()}
    if invalid := [value for value in content.values() if not str(value).isdecimal()]:
        raise DataError(file, f"{invalid[0]!r} is not a class number")
    if invalid := [name for name in content if not isinstance(name, str)]:
        raise DataError(file, f"{invalid[0]!r} is not a class name")
    return [(name.strip('"'), int(number)) for name, number in content.items()]
