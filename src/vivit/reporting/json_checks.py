"""Strict reading of results and status: one odd file makes its own run unreadable, and never ends the report."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vivit import run_folder

REQUIRED = ("metrics", "overrides", "seed", "params", "gmac", "paper_gflops")
"""Keys that results need to be a row of a table."""
STATES = ("running", "done", "failed", "interrupted")


def read_results(file: Path) -> dict[str, Any]:
    """Return a checked ``results.json`` or a record of one. Raises ValueError, or OSError, with the reason."""
    results = read_object(file)
    if missing := [key for key in REQUIRED if key not in results]:
        raise ValueError(f"the results have no {missing[0]!r}")
    for key, (kind, is_valid) in KINDS.items():
        if key in results and not is_valid(results[key]):
            raise ValueError(f"the {key} are not {kind}" if kind == "numbers" else f"{key} is not {kind}")
    return results


def read_status(folder: Path) -> tuple[str, str | None, str]:
    """Return the status of a run, its error on one line, and the time; a run that was killed is failed.

    Raises ValueError, or OSError, with the reason.
    """
    status = read_object(folder / "status.json")
    if status.get("status") == "running" and isinstance(status.get("process"), dict):
        status = run_folder.read_status(folder)
    state, error, time = (status.get(key) for key in ("status", "error", "time"))
    if state not in STATES or not all(isinstance(text, str | None) for text in (error, time)):
        raise ValueError(
            f"status.json has status={state!r}, which is none of {', '.join(STATES)}, or no text beside it"
        )
    return state, " ".join((error or "").split()) or None, time or ""


def read_job(folder: Path) -> dict[str, Any]:
    """Return ``job.json`` of a run folder: row, scale, seed, what was typed beside them; empty for a run of no row."""
    file = folder / run_folder.JOB_FILE
    if not file.is_file():
        return {}
    job = read_object(file)
    for key, (kind, is_valid) in JOB_KINDS.items():
        if not is_valid(job.get(key)):
            raise ValueError(f"{file.name}: {key} is not {kind}")
    return job


def read_object(file: Path) -> dict[str, Any]:
    """Return an object of JSON without NaN or infinity. Raises ValueError, or OSError, with the reason."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"), parse_constant=_no_number)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(content, dict):
        raise ValueError(f"it contains a {type(content).__name__}, not an object")
    if not _finite(content):
        raise ValueError("it contains a number beyond all floats")
    return content


def _no_number(word: str) -> None:
    raise ValueError(f"it contains {word}, which is no number")


def _finite(value: Any) -> bool:
    if isinstance(value, dict | list):
        return all(map(_finite, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_number, value.values()))


def _or_none(is_valid: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_valid(value)


def _strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _epochs(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(epoch, dict) and _number(epoch.get("epoch")) and all(map(_or_none(_number), epoch.values()))
        for epoch in value
    )


def _views(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_numbers, value.values()))


def _bins(value: Any) -> bool:
    """Whether accuracy over numbers of the videos is by name a list of parts, with counts by head."""
    return isinstance(value, dict) and all(
        isinstance(parts, list)
        and all(
            isinstance(part, dict)
            and all(_number(part.get(key)) for key in ("low", "high", "videos"))
            and _numbers(part.get("correct"))
            and _or_none(_views)(part.get("correct_by_views"))
            for part in parts
        )
        for parts in value.values()
    )


def _class_rows(value: Any) -> bool:
    """Whether rows of classes by head are lists of texts, numbers and nulls by name."""
    return isinstance(value, dict) and all(
        isinstance(rows, list)
        and all(
            isinstance(row, dict)
            and "f1" in row
            and all(isinstance(cell, int | float | str | None) for cell in row.values())
            for row in rows
        )
        for rows in value.values()
    )


def _versions(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(word, str) for word in value.values())


def _recipe(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(part, int | float | str | list | None) for part in value.values())


KINDS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "seed": ("a whole number", lambda value: type(value) is int),
    "metrics": ("numbers", _numbers),
    "overrides": ("a list of strings", _strings),
    "videos": ("a whole number", _or_none(lambda value: type(value) is int)),
    **dict.fromkeys(("params", "gmac", "paper_gflops"), ("a number", _number)),
    **dict.fromkeys(
        ("train_seconds", "test_seconds", "step_seconds", "peak_mb", "model_tflops", "matrix_share"),
        ("a number", _or_none(_number)),
    ),
    **dict.fromkeys(
        ("model", "size", "tokeniser", "data", "experiment", "views", "scale", "row", "commit", "finished"),
        ("a string", _or_none(lambda value: isinstance(value, str))),
    ),
    "extra": ("a list of strings", _or_none(_strings)),
    "data_format": ("a whole number", _or_none(lambda value: type(value) is int)),
    "recipe": ("values by name", _or_none(_recipe)),
    "metrics_by_views": ("numbers by name, by views", _or_none(_views)),
    "classes": ("rows of classes by head", _or_none(_class_rows)),
    "by": ("parts of ranges by name", _or_none(_bins)),
    "epochs": ("a list of numbers by name", _or_none(_epochs)),
    "versions": ("strings by name", _or_none(_versions)),
}
"""Keys of results that are read, with what each must be."""
JOB_KINDS = {key: KINDS[key] for key in ("row", "scale", "extra", "data_format")}
