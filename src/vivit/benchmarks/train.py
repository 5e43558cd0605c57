"""The training loop as a user runs it, loader included: how fast, and how long it waits for data."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).parents[2] / "train.py"
MEASURED = ("clips_per_second", "data_wait_share", "step_seconds", "peak_mb")


def train_rows(*, overrides: Sequence[str], workers: Sequence[int], folder: str) -> list[dict[str, Any]]:
    """Train in a process of its own with each number of ``workers``, in run folders below ``folder``.

    ``data_wait_share`` is the share of time in which a step waited for its batch, over all steps of all epochs, first
    ones included; validation is left out. ``step_seconds`` is the median of a step without its wait.
    """
    rows = []
    for number in workers:
        run = Path(folder) / f"workers_{number}"
        words = [*overrides, f"data.num_workers={number}", "test=false", f"hydra.run.dir={run}"]
        if subprocess.run([sys.executable, SCRIPT, *words], check=False).returncode:
            raise RuntimeError(f"train.py {' '.join(words)} failed; it says above why")
        results = json.loads((run / "results.json").read_text(encoding="utf-8"))
        rows.append({"case": f"{results['model']}, {number} workers"} | {name: results[name] for name in MEASURED})
    return rows
