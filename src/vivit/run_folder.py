"""What a run folder holds: status, results, versions, the table at the end; read and written here, without torch."""

import json
import os
import platform
import socket
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Column, Table

from vivit.config_folder import INSTALLED
from vivit.io import write_json
from vivit.processor import processor_name
from vivit.text import one_line

State = Literal["running", "done", "failed", "interrupted"]
JOB_FILE = "job.json"
"""Which job of a sweep's row a folder holds: row, scale, seed, what was typed beside them, and its configuration."""
RANK_ERROR = "error_of_another_rank.txt"
"""Written by a rank that fails alone, because it may end the first one with it."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PACKAGES = ("torch", "torchvision", "lightning", "hydra-core", "torchmetrics", "av", "numpy")


def write_status(folder: Path, state: State, error: str | None = None) -> dict[str, Any]:
    """Write ``status.json``: the state of a run, since when, what stopped it, and which process wrote it; return it."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    status = {"status": state, "time": now, "error": error, "process": this_process()}
    write_json(folder / "status.json", status)
    return status


def read_status(folder: Path) -> dict[str, Any]:
    """Return the content of ``status.json``; empty where there is none.

    A run whose process is gone without an end of its own, because it was killed, is read as failed. On another machine
    that cannot be seen: such a run is still read as running.
    """
    status = read_stored_status(folder)
    if status.get("status") == "running" and status.get("process") and not is_alive(status["process"]):
        return status | {"status": "failed", "error": error_of_killed(folder)}
    return status


def read_stored_status(folder: Path) -> dict[str, Any]:
    """Return ``status.json`` as it was written; empty where there is none, or something else."""
    try:
        status = json.loads((folder / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return status if isinstance(status, dict) else {}


def write_rank_error(folder: Path, error: str) -> None:
    """Write the error of a rank that is not the first, for readers of the status of a run that it ends.

    Nothing is written where the folder is on another machine.
    """
    with suppress(OSError):
        (folder / RANK_ERROR).write_text(error, encoding="utf-8")


def error_of_killed(folder: Path) -> str:
    """Return the error of a run whose process was killed: that of another rank, or advice."""
    with suppress(OSError):
        return f"in another rank: {(folder / RANK_ERROR).read_text('utf-8')}"
    if (folder / "checkpoints" / "last.ckpt").is_file():
        return (
            "a process of this run was killed, often because memory ran out; the last checkpoint is good. Lower "
            f"data.batch_size or data.num_workers, or go on as it was with resume={folder}"
        )
    return "a process of this run was killed, often because memory ran out; start it again, with fewer workers"


def this_process() -> dict[str, Any]:
    """Return what identifies this process: machine, container, number, and the moment at which it started."""
    identity = {"host": socket.gethostname(), "namespace": _pid_namespace()}
    return identity | {"pid": os.getpid(), "started": start_of_process(os.getpid())}


def is_alive(process: Any) -> bool:
    """Whether a process may still be at work, by what ``this_process`` returned in it.

    On another machine or in another container that cannot be seen, so the answer is yes there.
    """
    if not isinstance(process, Mapping) or not isinstance(process.get("pid"), int):
        return False
    here = _pid_namespace()
    if process.get("host") != socket.gethostname() or process.get("namespace", here) != here:
        return True
    return process.get("started") is not None and start_of_process(process["pid"]) == process["started"]


def _pid_namespace() -> str | None:
    """Return the name of what numbers the processes here, which differs between containers; None where unknown."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None


def start_of_process(pid: int) -> str | None:
    """Return the moment at which a process started, which no later one of the same number has; None: no such."""
    if BOOT_ID.is_file():
        with suppress(OSError):  # there is no such process
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return None if stat[0] == "Z" else f"{BOOT_ID.read_text().strip()} {stat[19]}"
        return None
    ps = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return ps.stdout.strip() or None


def read_finished_results(folder: Path) -> dict[str, Any] | None:
    """Return ``results.json`` of a run that is done; None where there is none."""
    try:
        if read_status(folder).get("status") != "done":
            return None
        return json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def top1_name(results: Mapping[str, Any]) -> str:
    """Return the name of a run's top-1 accuracy: of the test, or of validation where no test videos are listed."""
    return f"{results.get('scored_split', 'test')}/acc_top1"


def provenance() -> dict[str, Any]:
    """Return the versions of what computes a result, and the commit of this code."""
    versions = {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}
    return {"versions": versions, "commit": git_commit()}


def git_commit() -> str | None:
    """Return the commit of this code, with "-dirty" where files were changed; None without git or a clone."""
    if INSTALLED:
        return None  # a repository around it is another's
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        output = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return output.stdout.strip() or None


def print_results(results: Mapping[str, Any], folder: Path) -> None:
    """Print the results of a run as a table on the terminal."""
    options = [results[key] for key in ("model", "size", "tokeniser", "data") if results.get(key)]
    if not options and results.get("ckpt_path"):
        print(f"Checkpoint: {one_line(str(results['ckpt_path']))}")  # a path is too long for a title
    title = one_line(" / ".join(options)) or None
    table = Table("measure", Column("value", justify="right"), title=title)
    intervals, split = results.get("confidence_95", {}), results.get("scored_split", "test")
    for name, value in sorted(results["metrics"].items()):
        if name.startswith(f"{split}/") and not name.endswith("/loss"):
            low, high = (f"{100 * edge:.1f}" for edge in intervals.get(name, (value, value)))
            interval = f" [{low}, {high}]" if name in intervals else ""
            table.add_row(one_line(f"{name}, {results['views']} views"), f"{100 * value:.1f} %{interval}")
    for views, metrics in results.get("metrics_by_views", {}).items():
        name = top1_name(results)
        name = name if name in metrics else f"{split}/map"  # where all heads are multi-label
        table.add_row(f"{name}, {views} views alone", f"{100 * metrics[name]:.1f} %")
    for name, value in results.get("epic_kitchens", {}).items():
        table.add_row(f"EPIC {name}", f"{value:.1f} %")
    if "params" in results:
        trained = results.get("trained_params", results["params"])
        of_them = "" if trained == results["params"] else f", {trained / 1e6:.2f} M of them trained"
        table.add_row("parameters", f"{results['params'] / 1e6:.2f} M{of_them}")
        table.add_row("multiply-adds a clip", f"{results['gmac']:.3f} G")
    if "train_seconds" in results:
        table.add_row("training, validation included", f"{results['train_seconds'] / 60:.1f} min")
        if results["step_seconds"] is not None:  # a run that was resumed behind its last step has made none
            table.add_row("median step", f"{results['step_seconds']:.3f} s")
        if results.get("matrix_share") is not None:
            rate = f"{results['model_tflops']:.3g} TFLOP/s"
            table.add_row("of the device's matrix rate", f"{100 * results['matrix_share']:.0f} %, {rate}")
        table.add_row("peak memory", f"{results['peak_mb']:,.0f} MB")
    Console(markup=False, emoji=False).print(table)  # names are what they are
    print(f"Run folder: {folder}")


def hardware_info() -> dict[str, Any]:
    """Return what a measurement was made on."""
    return {"system": platform.platform(), "processor": processor_name(), "cores": os.cpu_count()}


def print_rows(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Print rows of equal keys as a table on the terminal: what all rows share in its title, no lists."""
    shared = {key: value for key, value in rows[0].items() if all(row[key] == value for row in rows[1:])}
    shared = shared if len(rows) > 1 else {}
    keys = [key for key, value in rows[0].items() if key not in shared and not isinstance(value, list)]
    title = ", ".join(f"{key} {_format(value)}" for key, value in shared.items())
    text_keys = ("case", "name", "model")
    columns = (Column(key, justify="left" if key in text_keys else "right", overflow="fold") for key in keys)
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*(_format(row[key]) for key in keys))
    console = Console(markup=False, emoji=False)
    (console if console.is_terminal else Console(width=160, markup=False, emoji=False)).print(table)
    print(f"Run folder: {folder}")


def _format(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
