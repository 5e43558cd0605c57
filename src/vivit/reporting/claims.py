"""Claims of the paper that should hold for small networks too, each with a verdict by one rule."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt

from scipy import stats

from vivit.reporting.paper import MODELS, SWEEPS
from vivit.reporting.sweep_results import RowResult, SweepResult
from vivit.reporting.tables import Column, Table, Value, mean, stdev

TITLE = "What the paper found, and what we find"
GUESSING = 100 * sqrt(0.5 * 0.5 / 480)
"""Standard deviation, in points, of the accuracy where the direction of all 480 test videos is guessed."""
SHORT, LONG = ("2 frames a tubelet", "8 frames a tubelet")
HOLDS, FAILS, UNKNOWN, SINGLE, MISSING = (
    *("holds", "does not hold", "within the spread: cannot tell", "one seed: cannot tell", "not run yet"),
)


@dataclass(frozen=True, slots=True)
class Claim:
    """Row ``a`` of a sweep is better than row ``b``; or, without ``b``, ``a`` is right in one half of the videos."""

    text: str
    sweep: str
    a: str
    b: str | None = None
    printed: tuple[str, str, str] | None = None
    """Where the paper prints both: the sweep, and the labels of its rows."""


CLAIMS = (
    Claim("Pooling single frames does not see the order of time: it guesses", "time_order", "average pooling"),
    Claim(
        "A temporal encoder over the same frames sees it",
        "time_order",
        "factorised encoder",
        "average pooling",
        ("model_variants", "Model 2, factorised encoder", "Model 2, average pooling"),
    ),
    Claim(
        "A tubelet filter is better started as the central frame than at random",
        "input_encoding",
        "tubelets, central frame",
        "tubelets, random",
        ("input_encoding", "tubelets, central frame", "tubelets, random"),
    ),
    *(
        Claim(f"More tokens are better, {label}", "tokens", f"{label}, {SHORT}", f"{label}, {LONG}")
        for label, _ in MODELS
    ),
)
COLUMNS = (
    *(Column("claim", "finding"), Column("verdict", "verdict"), Column("a", "A"), Column("b", "B")),
    *(Column("paper_a", "paper: A, %", 1, from_paper=True), Column("paper_b", "paper: B, %", 1, from_paper=True)),
    *(Column("top1_a", "A, %", 1, stdev="spread_a"), Column("top1_b", "B, %", 1, stdev="spread_b")),
    Column("difference", "A - B, points", 1, stdev="error"),
    *(Column("seeds_a", "seeds of A"), Column("seeds_b", "seeds of B")),
)
CAPTION = (
    "Three findings that should hold for networks of any size, on the embedded data set: A should be better than B, in "
    "the first row no better than guessing. Top-1 as mean and sample standard deviation over seeds, A - B with its "
    "standard error. The paper's are top-1 on Kinetics-400, where it prints them; the temporal encoder's are of "
    "tubelets (Table 2), and accuracy over their length is only plotted (Figure 8)."
)
RULES = (
    "holds, or does not hold: A - B is above, or below, zero by more than its standard error times Student's t "
    "of the seeds at 95 %, two-sided (2.8 with three seeds a side); what lies between is within the spread",
    "guessing: to a network without order opposite movements are the same, and it is right in one half of the videos; "
    f"that holds within 1.96 times {GUESSING:.1f} points, the deviation of guessing the direction of 480 videos",
)


def claims_table(results: Mapping[str, SweepResult]) -> Table:
    """Return every claim with its verdict; ``results`` are those of the default setting of each sweep, by name."""
    lines = tuple(_line(claim, results[claim.sweep]) for claim in CLAIMS)
    short = dict.fromkeys(
        claim.sweep for claim, line in zip(CLAIMS, lines, strict=True) if line["verdict"] in (MISSING, SINGLE)
    )
    commands = [f"to be run: {results[name].command}" for name in short]
    return Table("findings", TITLE, CAPTION, COLUMNS, lines, (*RULES, *commands))


def summary(table: Table) -> str:
    """Return the counts of the verdicts, in words."""
    verdicts = [line["verdict"] for line in table.lines]
    counts = {verdict: verdicts.count(verdict) for verdict in (HOLDS, FAILS)}
    counts["open"] = len(verdicts) - sum(counts.values())
    return ", ".join(f"{verdict}: {count}" for verdict, count in counts.items() if count)


def _line(claim: Claim, result: SweepResult) -> dict[str, Value]:
    a, b = _distinct_parts(claim.a, claim.b or "one half")
    line: dict[str, Value] = {"claim": claim.text, "a": a, "b": b}
    if claim.printed:
        sweep, *labels = claim.printed
        line |= dict(zip(("paper_a", "paper_b"), _printed(sweep, labels), strict=True))
    sides = {"a": _row(result, claim.a).accuracies}
    if claim.b:
        sides["b"] = _row(result, claim.b).accuracies
    for side, accuracies in sides.items():
        line |= {f"top1_{side}": mean(accuracies), f"spread_{side}": stdev(accuracies)}
        line[f"seeds_{side}"] = len(accuracies)
    if not claim.b:
        line["top1_b"] = 50.0
    return line | _verdict(list(sides.values()))


def _verdict(sides: list[list[float]]) -> dict[str, Value]:
    """Return the difference of two rows, or of one and one half, with its standard error and the verdict."""
    if not all(sides):
        return {"verdict": MISSING}
    first, second = (sum(values) / len(values) for values in (*sides, [50.0])[:2])
    difference = first - second
    if min(map(len, sides)) == 1:
        return {"difference": difference, "verdict": SINGLE}
    if len(sides) == 1:
        near = abs(difference) <= 1.96 * GUESSING
        return {"difference": difference, "error": GUESSING, "verdict": HOLDS if near else FAILS}
    error = sqrt(sum((stdev(values) or 0.0) ** 2 / len(values) for values in sides))
    least = error * stats.t.ppf(0.975, sum(map(len, sides)) - 2)
    verdict = HOLDS if difference > least else FAILS if difference < -least else UNKNOWN
    return {"difference": difference, "error": error, "verdict": verdict}


def _distinct_parts(a: str, b: str) -> tuple[str, str]:
    """Return two labels without the parts that both begin with."""
    parts, others = a.split(", "), b.split(", ")
    while parts[0] == others[0]:
        parts, others = parts[1:], others[1:]
    return ", ".join(parts), ", ".join(others)


def _row(result: SweepResult, label: str) -> RowResult:
    return next(row for row in result.rows if row.row.label == label)


def _printed(sweep: str, labels: list[str]) -> Iterator[float]:
    rows = {row.label: row.paper for of in SWEEPS if of.name == sweep for row in of.rows}
    return (rows[label]["k400"] for label in labels)
