"""Read what runs left behind: run folders, and the small records of jobs that ran elsewhere."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal["running", "done", "failed", "interrupted", "unreadable"]
NEEDED = ("metrics", "overrides", "seed", "params", "gmac", "paper_gflops")
"""What results must have to stand in a table."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run: its folder, or the file of its record; how it stands, and its results where it is done."""

    folder: Path
    status: Status
    error: str | None
    results: dict[str, Any]
    sweep: str | None = None
    overrides: tuple[str, ...] = ()
    time: str = ""
    """When it came to stand so."""
    is_record: bool = False
    settings: Mapping[str, str] = field(init=False)
    """Its overrides by key, without the marks of an addition."""

    def __post_init__(self) -> None:
        pairs = (override.lstrip("+").partition("=") for override in self.overrides)
        object.__setattr__(self, "settings", {key: value for key, _, value in pairs})

    @property
    def seed(self) -> int:
        """Of a run that is not done, what its overrides say."""
        return int(self.results["seed"] if self.results else self.settings.get("seed", 1))


def read_runs(logs: Path | None, records: Path | None = None) -> list[RunRecord]:
    """Read every training run below ``logs``, and every record below ``records`` of a job that is not done there.

    Either may be None: records alone need no run folder. Oldest first; what cannot be read is reported as such.
    """
    runs = [_read_folder(folder) for folder in sorted(_run_folders(logs))] if logs else []
    done = {(run.sweep, run.folder.name) for run in runs if run.status == "done"}
    files = sorted(records.glob("*/*.json")) if records else []
    kept = [_read_record(file) for file in files if (file.parent.name, file.stem) not in done]
    return sorted([*kept, *runs], key=lambda run: run.time)


def newest(runs: Iterable[RunRecord]) -> dict[int, RunRecord]:
    """Give one run that is done for every seed: a run folder before a record, then the later one."""
    done = [run for run in runs if run.status == "done"]
    last = {run.seed: run for run in sorted(done, key=lambda run: (not run.is_record, run.time))}
    return dict(sorted(last.items()))


def _run_folders(logs: Path) -> Iterator[Path]:
    for pattern in ("train/runs/*", "train/multiruns/*/*"):
        for folder in logs.glob(pattern):
            if (folder / "status.json").is_file() or (folder / ".hydra").is_dir():
                yield folder


def _read_folder(folder: Path) -> RunRecord:
    sweep = folder.parent.name if folder.parent.parent.name == "multiruns" else None
    overrides = _overrides(folder)
    try:
        status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
        time = str(status.get("time", ""))
        if status["status"] != "done":
            error = " ".join((status["error"] or "").split()) or None  # one line, for cells and notes
            return RunRecord(folder, status["status"], error, {}, sweep, overrides, time)
        results = _checked(json.loads((folder / "results.json").read_text(encoding="utf-8")))
        return RunRecord(folder, "done", None, results, sweep, tuple(results["overrides"]), time)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return RunRecord(folder, "unreadable", f"{type(error).__name__}: {error}", {}, sweep, overrides)


def _read_record(file: Path) -> RunRecord:
    sweep = file.parent.name
    try:
        results = _checked(json.loads(file.read_text(encoding="utf-8")))
        time = str(results.get("finished", ""))
        return RunRecord(file, "done", None, results, sweep, tuple(results["overrides"]), time, is_record=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return RunRecord(file, "unreadable", f"{type(error).__name__}: {error}", {}, sweep, is_record=True)


def _checked(results: dict[str, Any]) -> dict[str, Any]:
    if missing := [key for key in NEEDED if key not in results]:
        raise ValueError(f"the results have no {missing[0]!r}")
    if not isinstance(results["metrics"], dict) or not all(
        isinstance(v, int | float) for v in results["metrics"].values()
    ):
        raise ValueError("the metrics are not numbers")
    return results


def _overrides(folder: Path) -> tuple[str, ...]:
    """Read Hydra's list of overrides: a plain YAML list of strings, one a line."""
    file = folder / ".hydra" / "overrides.yaml"
    if not file.is_file():
        return ()
    lines = (line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    return tuple(line.removeprefix("- ").strip("'\"") for line in lines if line.startswith("- "))
