"""Precision, recall and F1 of every class of a head, with intervals, from the confusion matrix: rows and a CSV file."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from vivit.evaluation.confusion_matrix import write_csv
from vivit.wilson import wilson

COLUMNS = (
    *("class", "videos", "right", "predicted", "precision", "precision_low", "precision_high"),
    *("recall", "recall_low", "recall_high", "f1", "most_confused_with", "times"),
)


def class_scores(counts: Int[np.ndarray, "k k"], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row for every class, by ``COLUMNS``; None where a number is undefined.

    ``videos`` are those of the class, ``predicted`` those that the network takes for it, ``right`` both at once. Recall
    is undefined of a class without videos, precision of one that is never predicted, and F1 where both are. ``_low``
    and ``_high`` are the ends of a 95 % score interval. ``most_confused_with`` is the wrong class that videos of the
    class are most often taken for, ``times`` how often.
    """
    rows = []
    for number, (name, row) in enumerate(zip(names, counts, strict=True)):
        videos, predicted, right = int(row.sum()), int(counts[:, number].sum()), int(row[number])
        wrong = row.copy()
        wrong[number] = 0
        other = int(wrong.argmax()) if wrong.any() else None
        rows.append(
            {"class": name, "videos": videos, "right": right, "predicted": predicted}
            | _share("precision", right, predicted)
            | _share("recall", right, videos)
            | {"f1": 2 * right / (videos + predicted) if videos + predicted else None}
            | {"most_confused_with": None if other is None else names[other]}
            | {"times": None if other is None else int(wrong[other])}
        )
    return rows


def _share(name: str, right: int, of: int) -> dict[str, float | None]:
    """Return a share and the ends of its interval; None for all of them where it is one of nothing."""
    values = (right / of, *wilson(right, of)) if of else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def write_class_rows(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows of ``class_scores`` as CSV; what is undefined is empty."""
    texts = ([_text(row[column]) for column in COLUMNS] for row in rows)
    write_csv(file, [COLUMNS, *texts])


def _text(value: Any) -> Any:
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else value
