"""What a run leaves behind for people and for ``report.py``: ``status.json`` and ``results.json``."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Column, Table

from vivit.io import write_json
from vivit.one_line import one_line

State = Literal["running", "done", "failed", "interrupted"]
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
"""The variables by which torch, Lightning and SLURM number processes that work on one run."""
PACKAGES = ("torch", "torchvision", "lightning", "hydra-core", "torchmetrics", "av", "numpy")


def write_status(folder: Path, state: State, error: str | None = None) -> dict[str, Any]:
    """Say in ``status.json`` how the run stands, since when, and what stopped it; give what was said."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    status = {"status": state, "time": now, "error": error}
    write_json(folder / "status.json", status)
    return status


def read_status(folder: Path) -> dict[str, Any]:
    """Read how a run stands; nothing where nobody knows. A killed run of one process still says that it is running."""
    try:
        return dict(json.loads((folder / "status.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def leads() -> bool:
    """Whether this process is the first of those that work on a run; the others leave the folder alone."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


def finished(folder: Path) -> dict[str, Any] | None:
    """Read the results of a run that is done; None where there is none."""
    try:
        if read_status(folder).get("status") != "done":
            return None
        return json.loads((folder / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def provenance() -> dict[str, Any]:
    """Versions of what computed a result, and the commit of this code."""
    versions = {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}
    return {"versions": versions, "commit": commit()}


def commit() -> str | None:
    """Name the commit of this code, with "-dirty" where files were changed; None where there is no git, or no clone."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        described = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return described.stdout.strip() or None


def print_results(results: Mapping[str, Any], folder: Path) -> None:
    """Show the end of a run as a table on the terminal."""
    what = [results[key] for key in ("model", "size", "tokeniser", "data") if results.get(key)]
    title = one_line(" / ".join(what) or str(results.get("ckpt_path") or "")) or None
    table = Table("measure", Column("value", justify="right"), title=title)
    intervals = results.get("confidence_95", {})
    for name, value in sorted(results["metrics"].items()):
        if name.startswith("test/"):
            low, high = (f"{100 * edge:.1f}" for edge in intervals.get(name, (value, value)))
            spread = f" [{low}, {high}]" if name in intervals else ""
            table.add_row(one_line(f"{name}, {results['views']} views"), f"{100 * value:.1f} %{spread}")
    for views, metrics in results.get("by_views", {}).items():
        table.add_row(f"test/acc_top1, {views} views alone", f"{100 * metrics['test/acc_top1']:.1f} %")
    for name, value in results.get("epic_kitchens", {}).items():
        table.add_row(f"EPIC {name}", f"{value:.1f} %")
    if "params" in results:
        table.add_row("parameters", f"{results['params'] / 1e6:.2f} M")
        table.add_row("multiply-adds a clip", f"{results['gmac']:.3f} G")
    if "train_seconds" in results:
        table.add_row("training, validation included", f"{results['train_seconds'] / 60:.1f} min")
        if results["step_seconds"] is not None:  # a run that was resumed behind its last step has made none
            table.add_row("median step", f"{results['step_seconds']:.3f} s")
        table.add_row("peak memory", f"{results['peak_mb']:,.0f} MB")
    Console(markup=False, emoji=False).print(table)  # names are what they are
    print(f"Run folder: {folder}")


def machine() -> dict[str, Any]:
    """Say what a measurement was made on."""
    return {"system": platform.platform(), "processor": platform.machine(), "cores": os.cpu_count()}


def print_rows(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Show rows of equal keys as a table on the terminal: what all rows share as its title, lists not at all."""
    shared = {key: value for key, value in rows[0].items() if all(row[key] == value for row in rows[1:])}
    shared = shared if len(rows) > 1 else {}
    keys = [key for key, value in rows[0].items() if key not in shared and not isinstance(value, list)]
    title = ", ".join(f"{key} {_shown(value)}" for key, value in shared.items())
    left = ("case", "name", "model")
    columns = (Column(key, justify="left" if key in left else "right", overflow="fold") for key in keys)
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*(_shown(row[key]) for key in keys))
    console = Console(markup=False, emoji=False)
    (console if console.is_terminal else Console(width=160, markup=False, emoji=False)).print(table)
    print(f"Run folder: {folder}")


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)
