"""What a run prints at its end: its epochs as a table, what chance would reach, and what may be typed next."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from vivit.data.datasets import Split
from vivit.entry_points import typed
from vivit.text import one_line

MOST_EPOCHS = 12
"""Rows up to which every epoch has one; of more epochs some are shown, the first, the best and the last among them."""
ADVICE = "What to try: docs/finetuning.md, when it does not learn"
SHARES = ("acc_top1", "map")
NAMES = {"loss": "loss", "acc_top1": "accuracy, %", "map": "mAP, %"}


def print_epochs(epochs: Sequence[Mapping[str, int | float]], monitor: str | None = None, mode: str = "max") -> None:
    """Print loss and accuracy of the epochs of a run, the best by ``monitor`` marked; nothing for fewer than two."""
    if len(epochs) < 2:
        return
    keys = [key for split in ("train", "val") for name in NAMES if any((key := f"{split}/{name}") in e for e in epochs)]
    best = best_epoch(epochs, monitor, mode)
    table = Table(Column("epoch", justify="right"), *(Column(_title(key), justify="right") for key in keys))
    for row in selected_epochs(len(epochs), best):
        values = epochs[row]
        mark = " *" if row == best else ""
        table.add_row(f"{values['epoch']:.0f}{mark}", *(_format(key, values.get(key)) for key in keys))
    table.caption = None if best is None else "*: the best validation, of which best.ckpt is"
    Console(markup=False, emoji=False).print(table)


def best_epoch(epochs: Sequence[Mapping[str, int | float]], monitor: str | None, mode: str = "max") -> int | None:
    """Return the row of the first epoch whose ``monitor`` is the best; None where no epoch has it."""
    sign = 1 if mode == "max" else -1
    scores = [(sign * values[monitor], -row) for row, values in enumerate(epochs) if monitor and monitor in values]
    return -max(scores)[1] if scores else None


def selected_epochs(count: int, best: int | None) -> list[int]:
    """Return the rows of a table of epochs: all of a few; of many evenly spaced ones, and the best."""
    if count <= MOST_EPOCHS:
        return list(range(count))
    even = {round(step * (count - 1) / (MOST_EPOCHS - 2)) for step in range(MOST_EPOCHS - 1)}
    return sorted(even | ({best} if best is not None else set()))


def _title(key: str) -> str:
    split, _, name = key.partition("/")
    return f"{split} {NAMES[name]}"


def _format(key: str, value: int | float | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.1f}" if key.partition("/")[2] in SHARES else f"{value:.4f}"


def print_beside_majority(results: Mapping[str, Any]) -> None:
    """Print the accuracies that are not shown to be better than one answer for every video."""
    for sentence in compare_to_majority(results):
        print(f"\n{sentence}")


def compare_to_majority(results: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each head whose 95 % interval of top-1 holds the share of the commonest class, or less."""
    split, heads = results.get("scored_split", "test"), results.get("classes") or {}
    for head, rows in heads.items():
        several = f"{split}/{head}_acc_top1"
        name = several if several in results["metrics"] else f"{split}/acc_top1"
        low, high = results.get("confidence_95", {}).get(name, (1, 1))
        commonest = max(rows, key=lambda row: row["videos"])
        share = commonest["videos"] / max(1, sum(row["videos"] for row in rows))
        if low <= share:
            answer, accuracy = one_line(commonest["class"]), 100 * results["metrics"][name]
            yield (
                f'Not shown to be better than chance: the answer "{answer}" for every video is right for '
                f"{100 * share:.1f} %, and {name} is {accuracy:.1f} % [{100 * low:.1f}, {100 * high:.1f}]. {ADVICE}"
            )


def print_next(folder: Path, logs: Path, video: str | None, views: str | None = None, split: Split = "test") -> None:
    """Print the commands that may follow a training run, with the paths of its checkpoint and of a video to try."""
    lines = list(next_commands(folder, logs, video, views, split))
    print("\nNext:" if lines else "", *lines, sep="\n  ")


def next_commands(
    folder: Path, logs: Path, video: str | None, views: str | None = None, split: Split = "test"
) -> Iterator[str]:
    """Yield commands: to score a split, to predict a video, and to put all runs into a report.

    ``views`` are those that the videos want, as ``4x1``; None: the run's.
    """
    checkpoint = next(
        (file for name in ("best", "last") if (file := folder / "checkpoints" / f"{name}.ckpt").is_file()), None
    )
    if checkpoint is not None:
        path = shorter_path(checkpoint)
        scored = "" if split == "test" else f" split={split}"
        yield f"{typed('eval')} {_override('ckpt_path', path)}{scored}" + (f" views={views}" if views else "")
        if video is not None:
            yield f"{typed('predict')} {_override('ckpt_path', path)} {_override('video', shorter_path(Path(video)))}"
    logs = logs if folder.absolute().is_relative_to(logs.absolute() / "train") else folder.parent
    elsewhere = "" if logs.absolute() == Path("logs").absolute() else f" {_override('logs', shorter_path(logs))}"
    yield f"{typed('report')}{elsewhere}"


def shorter_path(path: Path) -> str:
    """Return a path as one would type it from here: relative where it lies below this folder."""
    absolute = path.absolute()
    return os.path.relpath(absolute) if absolute.is_relative_to(Path.cwd()) else str(absolute)


def _override(key: str, path: str) -> str:
    """Return an override of a path as it is typed: in quotes of the shell where it needs them."""
    return one_line(shlex.quote(f"{key}={path}"))
