"""Throughput of the training command as users run it, loader included, and the time that it waits for data."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vivit.entry_points import start_arguments
from vivit.errors import ConfigError

COLUMNS = ("clips_per_second", "data_wait_share", "step_seconds", "peak_mb")


def train_rows(*, overrides: Sequence[str], num_workers: Sequence[int], folder: str) -> list[dict[str, Any]]:
    """Run ``train.py`` with each number of ``num_workers``, in folders below ``folder``, and return its measurements.

    ``data_wait_share`` is the share of time in which a step waits for its batch, over all steps of all epochs, the
    first ones included; validation is not counted. ``step_seconds`` is the median of a step without its wait. Raises
    ConfigError where the command fails.
    """
    rows = []
    for number in num_workers:
        run = Path(folder) / f"workers_{number}"
        command = [*overrides, f"data.num_workers={number}", "test=false", f"hydra.run.dir={run}"]
        if subprocess.run([sys.executable, *start_arguments("train"), *command], check=False).returncode:
            problem = f"train.py {' '.join(command)} failed"
            raise ConfigError("bench.overrides", list(overrides), problem, "its error is above")
        results = json.loads((run / "results.json").read_text(encoding="utf-8"))
        rows.append({"case": f"{results['model']}, {number} workers"} | {name: results[name] for name in COLUMNS})
    return rows
