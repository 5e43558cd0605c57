"""The table of a data set as text: split, class, videos, seconds; of many classes the commonest and the rarest."""

import io

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from vivit.data.overview.videos import VideoFacts
from vivit.structures import label_columns, single_label_heads
from vivit.text import one_line

MOST_CLASSES = 8
"""Classes of a head up to which each has a row."""
EDGE = 3
"""Of more of them, how many of the commonest and of the rarest have one."""


def data_table(facts: VideoFacts) -> str:
    """Return a table of the videos of every split and class, and of their seconds where these are known.

    ``~`` precedes seconds that are estimated, for some of the videos have no known length; ``?`` stands for none.
    """
    table = Table(box=None, pad_edge=False, header_style="")
    table.add_column("split")
    table.add_column("class", overflow="fold")
    for name in ("videos", "seconds"):
        table.add_column(name, justify="right")
    for split in facts.splits:
        of_split = (facts.videos["split"] == split).to_numpy()
        for head in facts.heads:
            for name, rows in _class_rows(facts, head, of_split):
                table.add_row(split, one_line(name), f"{len(rows):,}", _seconds(rows))
    text = io.StringIO()
    Console(file=text, width=120, markup=False, emoji=False, color_system=None).print(table)
    return "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines())


def _class_rows(facts: VideoFacts, head: str, of_split: np.ndarray) -> list[tuple[str, pd.DataFrame]]:
    """Return names and videos of the rows of a head in a split: a class each, or the rest."""
    columns, single = label_columns(facts.heads)[head], head in single_label_heads(facts.heads)
    labels = facts.labels[:, columns]
    prefix = f"{head}: " if len(facts.heads) > 1 else ""
    classes = []
    for number, name in enumerate(facts.heads[head]):
        has = (labels[:, 0] == number if single else labels[:, number] == 1) & of_split
        classes.append((f"{prefix}{name}", has))
    unlabelled = (labels[:, 0] < 0) & of_split if single else np.zeros(len(of_split), bool)
    if len(classes) > MOST_CLASSES:
        classes.sort(key=lambda row: -int(row[1].sum()))
        rest = classes[EDGE:-EDGE]
        others = f"{prefix}{len(rest):,} other classes"
        classes = [*classes[:EDGE], (others, np.any([has for _, has in rest], 0)), *classes[-EDGE:]]
    classes += [(f"{prefix}(no label)", unlabelled)] * bool(unlabelled.any())
    return [(name, facts.videos[has]) for name, has in classes]


def _seconds(videos: pd.DataFrame) -> str:
    """Return the seconds of the usable videos as text: about so many where the mean of some stands for the others."""
    lengths = videos.loc[videos["problem"].isna(), "length"].clip(lower=0)
    if not lengths.notna().any():
        return "?" if len(lengths) else "0"
    total = lengths.mean() * len(lengths)
    return f"{'~ ' * bool(lengths.isna().any())}{total:,.{int(total < 100)}f}"
