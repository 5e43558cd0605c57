"""Throughput of the training command as users run it, loader included, and the time that it waits for data."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from vivit.benchmarks.checks import check_list, check_positive
from vivit.entry_points import start_arguments
from vivit.errors import ConfigError

COLUMNS = ("clips_per_second", "data_wait_share", "step_seconds", "peak_mb")


def train_rows(
    *,
    overrides: Sequence[str],
    num_workers: Sequence[int],
    folder: str,
    caches: Sequence[str] = ("none",),
    repeats: int = 1,
) -> list[dict[str, Any]]:
    """Run ``train.py`` with each number of ``num_workers`` and each of ``caches``; return what it measures.

    Runs lie in folders below ``folder``. All cases take turns, ``repeats`` times, and a row has the medians of a case:
    so others that use the machine slow no case alone. ``data_wait_share`` is the share of time in which the loader
    is waited for, over all steps of all epochs, the first ones included; validation is not counted. ``step_seconds`` is
    the median of a step without its wait. ``speedup`` compares clips a second with the first cache and as many workers.
    Raises ConfigError where the command fails.
    """
    check_list("num_workers", num_workers)
    check_list("caches", caches)
    check_positive(repeats=repeats)
    cases = list(product(num_workers, caches))
    results: dict[tuple[int, str], list[dict[str, Any]]] = {case: [] for case in cases}
    for repeat, (number, cache) in product(range(repeats), cases):
        run = Path(folder) / f"workers_{number}" / cache / str(repeat)
        settings = [f"data.num_workers={number}", f"data.cache={cache}"]
        results[number, cache].append(run_training([*overrides, *settings], overrides, run))
    rows = []
    for (number, cache), runs in results.items():
        label = f"{runs[0]['model']}, {number} workers" + (f", cache={cache}" if len(caches) > 1 else "")
        medians = {name: statistics.median(run[name] for run in runs) for name in COLUMNS}
        speedup = {}
        if len(caches) > 1:
            first = statistics.median(run["clips_per_second"] for run in results[number, caches[0]])
            speedup = {"speedup": medians["clips_per_second"] / first}
        rows.append({"case": label} | medians | speedup)
    return rows


def run_training(settings: Sequence[str], overrides: Sequence[str], run: Path) -> dict[str, Any]:
    """Run ``train.py`` with ``settings`` in a folder, and return its results; raise ConfigError where it fails."""
    command = [*settings, "test=false", f"hydra.run.dir={run}"]
    if subprocess.run([sys.executable, *start_arguments("train"), *command], check=False).returncode:
        problem = f"train.py {' '.join(command)} failed"
        raise ConfigError("bench.overrides", list(overrides), problem, "its error is above")
    results: dict[str, Any] = json.loads((run / "results.json").read_text(encoding="utf-8"))
    return results
