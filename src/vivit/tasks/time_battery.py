"""The task of `eval.py time=true`: the test videos with their time changed, and what is lost by each change."""

import csv
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning import Trainer
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.table import Column, Table

from vivit.data import VideoDataModule
from vivit.data.time_changes import CHANGES, MIRRORED, change_views
from vivit.data.transforms.flip import class_swaps
from vivit.errors import ConfigError
from vivit.evaluation.metrics import compute_metrics
from vivit.evaluation.predictions_reader import PredictionsFile
from vivit.evaluation.time_battery import FORWARD, HeadAnswers, compare_changes, count_turned, needs_of_classes
from vivit.evaluation.time_plot import plot_changes
from vivit.structures import label_columns, single_label_heads
from vivit.tasks.test import prepare_test, run_test
from vivit.training import VideoClassifier

log = logging.getLogger(__name__)

FOLDER = "time"
"""The folder of the predictions of each change, in the run folder."""


def check_time_battery(data: VideoDataModule, *, with_metrics: bool) -> None:
    """Raise ConfigError for videos without labels, and for a data set whose videos have no single class to answer."""
    if not with_metrics:
        raise ConfigError("time", True, "compares accuracies, and these videos have no labels", "set time=false")
    if not single_label_heads(data.heads):
        raise ConfigError("time", True, "compares accuracies, and all heads are multi-label", "set time=false")


def run_time_battery(
    trainer: Trainer, module: VideoClassifier, data: VideoDataModule, forward: PredictionsFile | None, folder: Path
) -> dict[str, Any]:
    """Score the videos with each change; write tables and figures; return the part of ``results.json`` about them.

    ``forward`` are the videos as they are, on the first rank; on the others nothing is returned.
    """
    views, files = data.test_views, {FORWARD: forward}
    mirrored = data.flip_labels.allowed and any(data.flip_labels.swaps)
    try:
        for change in CHANGES:
            if change == MIRRORED and not mirrored:
                continue
            rank_zero_only(log.info)("the same videos, %s", change.replace("_", " "))
            data.test_views = change_views(views, change)
            (target := folder / FOLDER / change).mkdir(parents=True, exist_ok=True)
            files[change], _ = run_test(trainer, module, data, prepare_test(data, by_difficulty=False), target, None)
    finally:
        data.test_views = views
    scored = {change: file for change, file in files.items() if file is not None}
    return write_time_battery(scored, folder) if FORWARD in scored else {}


def write_time_battery(files: Mapping[str, PredictionsFile], folder: Path) -> dict[str, Any]:
    """Write the tables and the figure of each head; return what they hold, by head."""
    metadata = files[FORWARD].metadata
    groups = [
        group or path for part in files[FORWARD].parts() for group, path in zip(part.groups, part.paths, strict=True)
    ]
    results = {change: compute_metrics(file) for change, file in files.items()}
    columns, answer = label_columns(metadata.heads), {}
    swaps = class_swaps(metadata.heads, metadata.backwards, "data.dataset.backwards")
    for swap, (head, names) in zip(swaps, metadata.heads.items(), strict=True):
        if head not in single_label_heads(metadata.heads):
            continue
        at = columns[head].start
        of_head = {
            change: HeadAnswers(result.labels[:, at], result.predicted[:, at]) for change, result in results.items()
        }
        changes, classes = compare_changes(of_head, groups), needs_of_classes(of_head, groups, names)
        turned = {"reversed": np.array([swap.get(label, label) for label in of_head[FORWARD].labels])}
        turned |= {MIRRORED: of_head[MIRRORED].labels} if MIRRORED in of_head else {}
        counted = {change: count_turned(of_head[FORWARD], of_head[change], labels) for change, labels in turned.items()}
        answer[head] = {"changes": changes, "turned": {change: each for change, each in counted.items() if each}}
        _write_csv(folder / f"time_{head}.csv", changes)
        _write_csv(folder / f"time_classes_{head}.csv", classes)
        plot_changes(head, changes, folder / f"time_{head}.png")
        print_changes(head, answer[head])
    return answer


def print_changes(head: str, results: Mapping[str, Any]) -> None:
    """Print what each change makes of the accuracy of a head."""
    columns = (Column(name, justify="right") for name in ("top-1", "difference"))
    table = Table(f"{head}, videos", *columns, title="Does it need time?")
    for row in results["changes"]:
        accuracy = f"{100 * row['accuracy']:.1f} % [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
        ends = (
            f"[{100 * row['difference_low']:+.1f}, {100 * row['difference_high']:+.1f}]" if "difference" in row else ""
        )
        difference = f"{100 * row['difference']:+.1f} {ends}" if ends else ""
        table.add_row(row["change"].replace("_", " "), accuracy, difference)
    Console(markup=False, emoji=False).print(table)
    for change, each in results["turned"].items():
        print(
            f"{change}: {each['turned']} of {each['videos']} right answers turned with the film, "
            f"{100 * each['share']:.1f} % [{100 * each['low']:.1f}, {100 * each['high']:.1f}]"
        )


def _write_csv(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with file.open("w", newline="", encoding="utf-8") as target:
        writer = csv.DictWriter(target, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
