"""What results must be to stand in a table: read strictly, so that one odd file costs its own run and no report."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

NEEDED = ("metrics", "overrides", "seed", "params", "gmac", "paper_gflops")
"""What results must have to stand in a table."""
STATES = ("running", "done", "failed", "interrupted")


def read_results(file: Path) -> dict[str, Any]:
    """Read and check a ``results.json`` or a record of one. Raises ValueError, or OSError, with the reason."""
    results = read_map(file)
    if missing := [key for key in NEEDED if key not in results]:
        raise ValueError(f"the results have no {missing[0]!r}")
    for key, (kind, fits) in KINDS.items():
        if key in results and not fits(results[key]):
            raise ValueError(f"the {key} are not {kind}" if kind == "numbers" else f"{key} is not {kind}")
    return results


def read_status(file: Path) -> tuple[str, str | None, str]:
    """Read how a run stands: state, error on one line, and time. Raises ValueError, or OSError, with the reason."""
    found = read_map(file)
    state, error, time = (found.get(key) for key in ("status", "error", "time"))
    if state not in STATES or not all(isinstance(said, str | None) for said in (error, time)):
        raise ValueError(
            f"status.json says status={state!r}, which is none of {', '.join(STATES)}, or no words beside it"
        )
    return state, " ".join((error or "").split()) or None, time or ""


def read_map(file: Path) -> dict[str, Any]:
    """Read a map from JSON without NaN or infinity. Raises ValueError, or OSError, with the reason."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"), parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__}, not a map")
    if not _finite(found):
        raise ValueError("it holds a number beyond all floats")
    return found


def _no_number(word: str) -> None:
    raise ValueError(f"it holds {word}, which is no number")


def _finite(value: Any) -> bool:
    if isinstance(value, dict | list):
        return all(map(_finite, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_number, value.values()))


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _epochs(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(epoch, dict) and _number(epoch.get("epoch")) and all(map(_or_none(_number), epoch.values()))
        for epoch in value
    )


def _views(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_numbers, value.values()))


def _versions(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(word, str) for word in value.values())


def _recipe(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(part, int | float | str | list | None) for part in value.values())


KINDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "seed": ("a whole number", lambda value: type(value) is int),
    "metrics": ("numbers", _numbers),
    "overrides": ("a list of words", _words),
    **dict.fromkeys(("params", "gmac", "paper_gflops"), ("a number", _number)),
    **dict.fromkeys(("train_seconds", "step_seconds", "peak_mb"), ("a number", _or_none(_number))),
    **dict.fromkeys(
        ("model", "size", "tokeniser", "data", "experiment", "views", "scale", "commit", "finished"),
        ("a word", _or_none(lambda value: isinstance(value, str))),
    ),
    "recipe": ("values by name", _or_none(_recipe)),
    "by_views": ("numbers by name, by views", _or_none(_views)),
    "epochs": ("a list of numbers by name", _or_none(_epochs)),
    "versions": ("words by name", _or_none(_versions)),
}
"""What is read of results, and what it must be."""
