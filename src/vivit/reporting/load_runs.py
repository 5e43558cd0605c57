"""Read training runs: their folders, and the records of jobs that ran elsewhere."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from vivit.overrides import split_override
from vivit.reporting.json_checks import read_job, read_object, read_results, read_status
from vivit.reporting.tables import Value
from vivit.sweeps import SCALES

Status = Literal["running", "done", "failed", "interrupted", "unreadable"]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run: its folder, or the file of its record; its status, and its results where it is done."""

    folder: Path
    status: Status
    error: str | None
    results: dict[str, Any]
    sweep: str | None = None
    overrides: tuple[str, ...] = ()
    time: str = ""
    """Since when it has this status, UTC."""
    is_record: bool = False
    job: Mapping[str, Any] = field(default_factory=dict)
    """Which job of a sweep's row it is, of a run that is not done; results contain it."""
    settings: Mapping[str, str] = field(init=False)
    """Its overrides by key, without the marks of an addition."""

    def __post_init__(self) -> None:
        pairs = map(split_override, self.overrides)
        object.__setattr__(self, "settings", {key: value or "" for key, value in pairs})

    @property
    def row(self) -> str | None:
        """Name of its row; None for what is no row of a sweep."""
        return (self.results or self.job).get("row")

    @property
    def scale(self) -> str:
        """The scale of its sweep."""
        return (self.results or self.job).get("scale") or SCALES[0]

    @property
    def extra(self) -> tuple[str, ...]:
        """Overrides that were typed beside its sweep, and change its result."""
        return tuple((self.results or self.job).get("extra") or ())

    @property
    def data_format(self) -> int | None:
        """Version of the files that its data set draws; None where it draws none."""
        return (self.results or self.job).get("data_format")

    @property
    def seed(self) -> int | str:
        """Its seed; of a run that is not done, the value of its override, be it a number or not."""
        seed: int | str = self.results["seed"] if self.results else self.settings.get("seed", 1)
        return int(seed) if str(seed).isdecimal() else seed


def read_runs(logs: Path | None, records: Path | None = None) -> list[RunRecord]:
    """Return every training run below ``logs``, and every record below ``records`` of a job that is not done there.

    Runs are in ``train`` and, where a run folder was named by hand, directly in ``logs``. Either may be None: records
    alone need no run folder. Oldest first; a run that cannot be read is ``unreadable``.
    """
    runs = [_read_folder(folder) for folder in sorted(_run_folders(logs))] if logs else []
    done = {(run.sweep, run.folder.name) for run in runs if run.status == "done"}
    files = sorted(records.glob("*/*.json")) if records else []
    others = [_read_record(file) for file in files if (file.parent.name, file.stem) not in done]
    return sorted([*others, *runs], key=lambda run: run.time)


def read_multirun(folder: Path) -> list[RunRecord]:
    """Return every job below the folder of a multirun, oldest first; one that cannot be read is ``unreadable``."""
    runs = [_read_folder(job) for job in sorted(folder.glob("*")) if _is_run(job)]
    return sorted(runs, key=lambda run: run.time)


def read_lines(
    logs: Path, command: str, lines_of: Callable[[Mapping[str, Any]], list[dict[str, Value]]]
) -> tuple[list[dict[str, Value]], list[str]]:
    """Return the lines of a table that ``lines_of`` makes of the results of a command's runs, oldest first, and notes.

    A note is about a file that cannot be read, or of which it raises.
    """
    lines: list[dict[str, Value]] = []
    notes = []
    for file in sorted((logs / command).glob("**/results.json")):
        try:
            lines += lines_of(read_object(file))
        except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            notes.append(f"{file.relative_to(logs)}: {' '.join(str(error).split())}")
    return lines, notes


def latest_per_seed(runs: Iterable[RunRecord]) -> dict[int | str, RunRecord]:
    """Return one run that is done for every seed: a run folder before a record, then the later one."""
    done = [run for run in runs if run.status == "done"]
    latest = {run.seed: run for run in sorted(done, key=lambda run: (not run.is_record, run.time))}
    return dict(sorted(latest.items()))


def _run_folders(logs: Path) -> Iterator[Path]:
    for pattern in ("train/runs/*", "train/multiruns/*/*"):
        yield from filter(_is_run, logs.glob(pattern))
    for file in logs.glob("*/run_metadata.json"):  # whose run folder was named
        yield file.parent


def _is_run(folder: Path) -> bool:
    return (folder / "status.json").is_file() or (folder / ".hydra").is_dir()


def _read_folder(folder: Path) -> RunRecord:
    sweep = folder.parent.name if folder.parent.parent.name == "multiruns" else None
    overrides: tuple[str, ...] = ()
    job: dict[str, Any] = {}
    try:
        overrides, job = _overrides(folder), read_job(folder)
        status, error, time = read_status(folder)
        if status != "done":
            return RunRecord(folder, cast(Status, status), error, {}, sweep, overrides, time, job=job)
        results = read_results(folder / "results.json")
        return RunRecord(folder, "done", None, results, sweep, tuple(results["overrides"]), time)
    except (OSError, ValueError) as error:
        return RunRecord(folder, "unreadable", f"{type(error).__name__}: {error}", {}, sweep, overrides, job=job)


def _read_record(file: Path) -> RunRecord:
    sweep = file.parent.name
    try:
        results = read_results(file)
        time = str(results.get("finished") or "")
        return RunRecord(file, "done", None, results, sweep, tuple(results["overrides"]), time, is_record=True)
    except (OSError, ValueError) as error:
        return RunRecord(file, "unreadable", f"{type(error).__name__}: {error}", {}, sweep, is_record=True)


def _overrides(folder: Path) -> tuple[str, ...]:
    """Return Hydra's list of overrides: a plain YAML list of strings, one a line."""
    file = folder / ".hydra" / "overrides.yaml"
    if not file.is_file():
        return ()
    lines = (line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    return tuple(line.removeprefix("- ").strip("'\"") for line in lines if line.startswith("- "))
