"""Draws the README's figures from the records in docs/results: `python docs/pictures/draw_figures.py`.

In an ink that reads on light and on dark pages alike.
"""

from pathlib import Path

from vivit.reporting.drawing import drawn
from vivit.reporting.figures import pictures
from vivit.reporting.paper import SWEEPS
from vivit.reporting.runs import read_runs
from vivit.reporting.sweeps import answers

INK = "#77818c"
SHOWN = ("accuracy_flops", "tokens", "precision")
HERE = Path(__file__).parent


def figures() -> dict[str, bytes]:
    """Content of every file."""
    runs = read_runs(None, HERE.parent / "results")
    own = {answer.sweep.name: answer for sweep in SWEEPS for answer in answers(sweep, runs) if answer.is_own}
    return {f"{of.name}.svg": drawn(of.draw, INK, "svg") for of in pictures(own) if of.name in SHOWN}


if __name__ == "__main__":
    for name, content in figures().items():
        (HERE / name).write_bytes(content)
