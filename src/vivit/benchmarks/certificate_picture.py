"""The certificate as a table in Markdown and as a picture."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from vivit.plotting import LETTERS, WIDTH, picture_style

COLUMNS = {"train_loss": "training loss", "val_loss": "validation loss", "weights": "weights"}
MARKS = {"train_loss": ("o", "tab:blue"), "val_loss": ("s", "tab:orange"), "weights": ("D", "tab:green")}
INK = "#77818c"
"""Of letters and lines, which is read on light and on dark pages."""
PAGE = """# The certificate

`make certificate` trains one network in {ways} ways with the training command, and writes this page. All ways have
the same clips in each step. Each line says how far a run is from the first.

![Largest differences to a run on one rank, by way](certificate.svg)

{table}
*Training loss* and *validation loss* are the largest differences of any step, and of any validation. *Weights* is
that of any weight at the end. A *part* is one of the batches that a step adds up
(`trainer.accumulate_grad_batches`). *Shards* are `trainer=fsdp`. Runs that were *killed* ended by SIGKILL within
a later epoch than the first. Then they went on from their last checkpoint, some on another number of ranks.

Workers and kills change no bit. Other ranks, parts and shards add up the same gradients in another order. They
promise to stay within 1e-5, the dashed line. For scale: the training loss of the first run falls from {first:.2f} to
{last:.2f}, means of the first and of the last tenth of its {steps} steps.

Dropout and mixup are off, because each part has its own; stochastic depth is on. The optimizer is SGD at a low
rate. AdamW divides a gradient by its size. So it blows up the rounding of gradients that are zero, such as those of
the bias of attention's keys. The numbers are in `certificate.json`, with the settings.
"""
NOTHING = 1e-10
"""Where the logarithmic axis has zero."""


def table_of_rows(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as a table in Markdown."""
    head = ["", *COLUMNS.values(), "promise", "holds", "continued at step"]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        numbers = ["0" if row[name] == 0 else f"{row[name]:.1e}" for name in COLUMNS]
        promise = "bit for bit" if row["promise"] == 0 else f"{row['promise']:g}"
        resumed = "" if row["resumed"] is None else f"{row['resumed']} of {row['steps']}"
        lines.append([row["case"], *numbers, promise, "yes" if row["holds"] else "**no**", resumed])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page_of_rows(rows: Sequence[Mapping[str, Any]], loss_fall: Sequence[float]) -> str:
    """Return the page about the rows in Markdown; ``loss_fall`` is the first run's training loss, at begin and end."""
    first, last = loss_fall
    return PAGE.format(ways=len(rows), table=table_of_rows(rows), first=first, last=last, steps=rows[0]["steps"])


def draw_certificate(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Return the picture: a line for each way, its differences on a logarithmic axis that begins with zero."""
    with picture_style(COLUMNS.values(), [row["case"] for row in rows]):
        figure = Figure(figsize=(WIDTH, 0.42 * len(rows) + 2.2), layout="constrained")
        axes = figure.subplots()
        for name, (marker, color) in MARKS.items():
            differences = [max(row[name], NOTHING) for row in rows]
            axes.plot(
                differences, range(len(rows)), marker, color=color, label=COLUMNS[name], alpha=0.85, clip_on=False
            )
        axes.axvline(1e-5, color=INK, linestyle="--", linewidth=1)
        axes.set_xscale("log")
        axes.set_xlim(NOTHING / 1.5, 1e-4)
        axes.set_xticks([NOTHING, 1e-8, 1e-7, 1e-6, 1e-5], ["0", "1e-8", "1e-7", "1e-6", "1e-5"])
        axes.minorticks_off()
        axes.set_yticks(range(len(rows)), [row["case"] for row in rows])
        axes.invert_yaxis()
        axes.set_xlabel("largest difference to 1 rank", color=INK)
        axes.tick_params(colors=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
        axes.grid(alpha=0.3)
        figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=LETTERS - 1, labelcolor=INK,
                      handletextpad=0.2, columnspacing=0.8)  # fmt: skip
    return figure


def plot_certificate(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the picture as SVG."""
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "vivit"}):
        draw_certificate(rows).savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue()
