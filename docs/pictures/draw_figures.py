"""Draws the README's figures from the records in docs/results: `python docs/pictures/draw_figures.py`.

In an ink that reads on light and on dark pages alike.
"""

from pathlib import Path

from vivit.reporting.figure_files import render
from vivit.reporting.figures import make_figures
from vivit.reporting.load_runs import read_runs
from vivit.reporting.paper import SWEEPS
from vivit.reporting.sweep_results import sweep_results

INK = "#77818c"
SHOWN = ("accuracy_flops", "tokens", "precision")
HERE = Path(__file__).parent


def figures() -> dict[str, bytes]:
    """Return the content of every file."""
    runs = read_runs(None, HERE.parent / "results")
    results = [result for sweep in SWEEPS for result in sweep_results(sweep, runs)]
    defaults = {result.sweep.name: result for result in results if result.is_default}
    return {f"{of.name}.svg": render(of.draw, INK, "svg") for of in make_figures(defaults) if of.name in SHOWN}


if __name__ == "__main__":
    for name, content in figures().items():
        (HERE / name).write_bytes(content)
