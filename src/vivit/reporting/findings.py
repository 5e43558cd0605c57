"""Findings of the paper that should hold for small networks too, each with a verdict by one rule."""

from collections.abc import Mapping, Sequence
from math import sqrt

from scipy import stats

from vivit.reporting.sweep_results import RowResult, SweepResult
from vivit.reporting.tables import Column, Table, Value, mean, stdev
from vivit.sweeps import Finding

TITLE = "What the paper found, and what we find"
DEFAULT_VIDEOS = 480
"""Test videos of the embedded data set, for results that lack their number."""
HOLDS, FAILS, UNKNOWN, SINGLE, MISSING = (
    *("holds", "does not hold", "within the spread: cannot tell", "one seed: cannot tell", "not run yet"),
)
COLUMNS = (
    *(Column("claim", "finding"), Column("verdict", "verdict"), Column("a", "A"), Column("b", "B")),
    *(Column("paper_a", "paper: A, %", 1, from_paper=True), Column("paper_b", "paper: B, %", 1, from_paper=True)),
    *(Column("top1_a", "A, %", 1, stdev="spread_a"), Column("top1_b", "B, %", 1, stdev="spread_b")),
    Column("difference", "A - B, points", 1, stdev="error"),
    *(Column("seeds_a", "seeds of A"), Column("seeds_b", "seeds of B")),
)
CAPTION = (
    "Findings that should hold for networks of any size, on the embedded data set: A should be better than B or, where "
    "B is a percentage, equal it. Top-1 as mean and sample standard deviation over seeds, A - B with its "
    "standard error. The paper's are top-1 on Kinetics-400, where it prints them; the temporal encoder's are of "
    "tubelets (Table 2), and accuracy over their length is only plotted (Figure 8)."
)
RULES = (
    "holds, or does not hold: A - B is above, or below, zero by more than its standard error times Student's t "
    "of the seeds at 95 %, two-sided (2.8 with three seeds a side); what lies between is within the spread",
    "guessing: to a network without order opposite movements are the same, and it is right in one half of the videos; "
    "that holds within 1.96 times the deviation of guessing the direction of all test videos (2.3 points of 480)",
)


def findings_table(results: Mapping[str, SweepResult]) -> Table:
    """Return every finding with its verdict; ``results`` are those of the default setting of each sweep, by name."""
    pairs = [(result, _line(finding, result)) for result in results.values() for finding in result.sweep.findings]
    short = dict.fromkeys(result.command for result, line in pairs if line["verdict"] in (MISSING, SINGLE))
    lines = tuple(line for _, line in pairs)
    return Table("findings", TITLE, CAPTION, COLUMNS, lines, (*RULES, *(f"to be run: {command}" for command in short)))


def summary(table: Table) -> str:
    """Return the counts of the verdicts, in words."""
    verdicts = [line["verdict"] for line in table.lines]
    counts = {verdict: verdicts.count(verdict) for verdict in (HOLDS, FAILS)}
    counts["open"] = len(verdicts) - sum(counts.values())
    return ", ".join(f"{verdict}: {count}" for verdict, count in counts.items() if count)


def _line(finding: Finding, result: SweepResult) -> dict[str, Value]:
    sides = {"a": _row(result, finding.row)}
    if finding.better_than is not None:
        sides["b"] = _row(result, finding.better_than)
    labels = [side.row.label for side in sides.values()]
    a, b = _distinct_parts(*labels) if "b" in sides else (labels[0], f"{finding.equals:g} %")
    line: dict[str, Value] = {"claim": finding.text, "a": a, "b": b, "top1_b": finding.equals}
    printed = finding.printed or tuple(side.row.printed.get("k400") for side in sides.values())
    line |= {f"paper_{side}": number for side, number in zip(sides, printed, strict=True)}
    for side, row in sides.items():
        line |= {f"top1_{side}": mean(row.accuracies), f"spread_{side}": stdev(row.accuracies)}
        line[f"seeds_{side}"] = len(row.accuracies)
    accuracies = [row.accuracies for row in sides.values()]
    if not all(accuracies):
        return line | {"verdict": MISSING}
    if finding.equals is None:
        return line | _compare_rows(*accuracies)
    (done,) = sides.values()
    videos = min(run.results.get("videos") or DEFAULT_VIDEOS for run in done.done.values())
    return line | _compare_guessing(accuracies[0], finding.equals, videos)


def _compare_rows(first: Sequence[float], second: Sequence[float]) -> dict[str, Value]:
    """Return the difference of the means of two rows, with its standard error and the verdict."""
    difference = sum(first) / len(first) - sum(second) / len(second)
    if min(len(first), len(second)) == 1:
        return {"difference": difference, "verdict": SINGLE}
    error = sqrt(sum((stdev(values) or 0.0) ** 2 / len(values) for values in (first, second)))
    least = error * stats.t.ppf(0.975, len(first) + len(second) - 2)
    verdict = HOLDS if difference > least else FAILS if difference < -least else UNKNOWN
    return {"difference": difference, "error": error, "verdict": verdict}


def _compare_guessing(values: Sequence[float], percent: float, videos: int) -> dict[str, Value]:
    """Return how far a row's mean is from what guessing reaches, with the deviation of guessing, and the verdict."""
    difference = sum(values) / len(values) - percent
    if len(values) == 1:
        return {"difference": difference, "verdict": SINGLE}
    error = sqrt(percent * (100 - percent) / videos)
    return {"difference": difference, "error": error, "verdict": HOLDS if abs(difference) <= 1.96 * error else FAILS}


def _distinct_parts(a: str, b: str) -> tuple[str, str]:
    """Return two labels without the parts that both begin with."""
    parts, others = a.split(", "), b.split(", ")
    while parts[0] == others[0]:
        parts, others = parts[1:], others[1:]
    return ", ".join(parts), ", ".join(others)


def _row(result: SweepResult, name: str) -> RowResult:
    return next(row for row in result.rows if row.row.name == name)
