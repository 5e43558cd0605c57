"""Read what runs left behind."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run folder: how it stands, and its results where it is done."""

    folder: Path
    status: Literal["running", "done", "failed", "interrupted", "unreadable"]
    error: str | None
    results: dict[str, Any]


def read_runs(logs: Path) -> list[RunRecord]:
    """Read every training run below ``logs``, oldest first; a folder that cannot be read is reported as such."""
    return [_read(file.parent) for file in sorted(_status_files(logs), key=lambda file: file.stat().st_mtime)]


def _status_files(logs: Path) -> Iterator[Path]:
    yield from logs.glob("train/runs/*/status.json")
    yield from logs.glob("train/multiruns/*/*/status.json")


def _read(folder: Path) -> RunRecord:
    try:
        status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
        done = status["status"] == "done"
        results = json.loads((folder / "results.json").read_text(encoding="utf-8")) if done else {}
        if done and not isinstance(results["metrics"], dict):
            raise ValueError("results.json has no metrics")
        return RunRecord(folder, status["status"], status["error"], results)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return RunRecord(folder, "unreadable", f"{type(error).__name__}: {error}", {})
