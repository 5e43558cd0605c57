"""Draw the documents' figures from the records in docs/results: `python docs/pictures/draw_figures.py`.

In an ink that reads on light and on dark pages alike. ``figures.json`` contains the points of every line, by figure and
axes: a test compares them with the records, so that another version of matplotlib may draw other bytes.
"""

import json
from pathlib import Path

from matplotlib.figure import Figure

from vivit.reporting.figure_files import render
from vivit.reporting.figures import ReportFigure, make_figures
from vivit.reporting.load_runs import read_runs
from vivit.reporting.sweep_results import sweep_results
from vivit.sweeps import read_sweeps

INK = "#77818c"
NAMES = ("accuracy_flops", "tokens", "precision", "speed", "size", "contrast", "moving", "overfitting")
"""Figures of the documents, which are drawn as far as the records have their numbers."""
HERE = Path(__file__).parent
Points = dict[str, list[list[float]]]


def figures() -> list[ReportFigure]:
    """Return the documents' figures, of the sweeps of which no job is missing."""
    runs = read_runs(None, HERE.parent / "results")
    results = [result for sweep in read_sweeps().values() for result in sweep_results(sweep, runs)]
    defaults = {result.sweep.name: result for result in results if result.is_default}
    complete = {name for name, result in defaults.items() if not result.missing}
    return [figure for figure in make_figures(defaults) if figure.name in NAMES and figure.sweep in complete]


def points(figure: Figure) -> list[Points]:
    """Return the points of every line of every axes, x and y, by the line's label."""
    return [
        {str(bars.get_label()): bars.lines[0].get_xydata().tolist() for bars in axes.containers} for axes in figure.axes
    ]


if __name__ == "__main__":
    for figure in figures():
        (HERE / f"{figure.name}.svg").write_bytes(render(figure.draw, INK, "svg"))
    data = {figure.name: points(figure.draw()) for figure in figures()}
    (HERE / "figures.json").write_text(json.dumps(data) + "\n", encoding="utf-8")
