"""What the paper found and theory says must hold for small networks too: whether it does, by one rule."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import sqrt

from vivit.reporting.paper import MODELS, SWEEPS
from vivit.reporting.sweeps import Answer, Cell
from vivit.reporting.tables import Column, Table, Value, mean, spread

TITLE = "What the paper found, and what we find"
STUDENT = {2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 6: 2.447, 7: 2.365, 8: 2.306}
"""Student's t by degrees of freedom, at 95 % two-sided; beyond the last it is taken for that."""
GUESSING = 100 * sqrt(0.5 * 0.5 / 480)
"""Standard deviation, in per cent, of the share that is right where the direction of all 480 test videos is guessed."""
SHORT, LONG = ("2 frames a tubelet", "8 frames a tubelet")
HOLDS, FAILS, UNKNOWN, SINGLE, MISSING = (
    *("holds", "does not hold", "within the spread: cannot tell", "one seed: cannot tell", "not run yet"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim: row ``a`` of a sweep is better than row ``b``; or, without ``b``, ``a`` is right in one half."""

    claim: str
    sweep: str
    a: str
    b: str | None = None
    printed: tuple[str, str, str] | None = None
    """Where the paper prints both: the sweep, and the labels of its rows."""


FINDINGS = (
    Finding("Pooling single frames does not see the order of time: it guesses", "time_order", "average pooling"),
    Finding(
        "A temporal encoder over the same frames sees it",
        "time_order",
        "factorised encoder",
        "average pooling",
        ("model_variants", "Model 2, factorised encoder", "Model 2, average pooling"),
    ),
    Finding(
        "A tubelet filter is better started as the central frame than at random",
        "input_encoding",
        "tubelets, central frame",
        "tubelets, random",
        ("input_encoding", "tubelets, central frame", "tubelets, random"),
    ),
    *(
        Finding(f"More tokens are better, {label}", "tokens", f"{label}, {SHORT}", f"{label}, {LONG}")
        for label, _ in MODELS
    ),
)
COLUMNS = (
    *(Column("claim", "finding"), Column("verdict", "verdict"), Column("a", "A"), Column("b", "B")),
    *(Column("paper_a", "paper: A, %", 1, by_paper=True), Column("paper_b", "paper: B, %", 1, by_paper=True)),
    *(Column("top1_a", "A, %", 1, spread="spread_a"), Column("top1_b", "B, %", 1, spread="spread_b")),
    Column("difference", "A - B, points", 1, spread="error"),
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


def findings_table(answers: Mapping[str, Answer]) -> Table:
    """Judge every finding; ``answers`` are those of the sweeps as they are, on a laptop, by name."""
    lines = tuple(_line(finding, answers[finding.sweep]) for finding in FINDINGS)
    short = dict.fromkeys(
        finding.sweep for finding, line in zip(FINDINGS, lines, strict=True) if line["verdict"] in (MISSING, SINGLE)
    )
    commands = [f"to be run: {answers[name].command}" for name in short]
    return Table("findings", TITLE, CAPTION, COLUMNS, lines, (*RULES, *commands))


def summary(table: Table) -> str:
    """Count the verdicts."""
    verdicts = [line["verdict"] for line in table.lines]
    counts = {said: verdicts.count(said) for said in (HOLDS, FAILS)}
    counts["open"] = len(verdicts) - sum(counts.values())
    return ", ".join(f"{said}: {count}" for said, count in counts.items() if count)


def _line(finding: Finding, answer: Answer) -> dict[str, Value]:
    a, b = _apart(finding.a, finding.b or "one half")
    line: dict[str, Value] = {"claim": finding.claim, "a": a, "b": b}
    if finding.printed:
        sweep, *labels = finding.printed
        line |= dict(zip(("paper_a", "paper_b"), _printed(sweep, labels), strict=True))
    sides = {"a": _cell(answer, finding.a).accuracies}
    if finding.b:
        sides["b"] = _cell(answer, finding.b).accuracies
    for side, found in sides.items():
        line |= {f"top1_{side}": mean(found), f"spread_{side}": spread(found), f"seeds_{side}": len(found)}
    if not finding.b:
        line["top1_b"] = 50.0
    return line | _judged(list(sides.values()))


def _judged(sides: list[list[float]]) -> dict[str, Value]:
    """Compare two rows, or one with one half."""
    if not all(sides):
        return {"verdict": MISSING}
    first, second = (sum(found) / len(found) for found in (*sides, [50.0])[:2])
    difference = first - second
    if min(map(len, sides)) == 1:
        return {"difference": difference, "verdict": SINGLE}
    if len(sides) == 1:
        near = abs(difference) <= 1.96 * GUESSING
        return {"difference": difference, "error": GUESSING, "verdict": HOLDS if near else FAILS}
    error = sqrt(sum((spread(found) or 0.0) ** 2 / len(found) for found in sides))
    least = error * STUDENT[min(sum(map(len, sides)) - 2, max(STUDENT))]
    verdict = HOLDS if difference > least else FAILS if difference < -least else UNKNOWN
    return {"difference": difference, "error": error, "verdict": verdict}


def _apart(a: str, b: str) -> tuple[str, str]:
    """Leave out of two labels what they begin with alike."""
    parts, others = a.split(", "), b.split(", ")
    while parts[0] == others[0]:
        parts, others = parts[1:], others[1:]
    return ", ".join(parts), ", ".join(others)


def _cell(answer: Answer, label: str) -> Cell:
    return next(cell for cell in answer.cells if cell.row.label == label)


def _printed(sweep: str, labels: list[str]) -> Iterator[float]:
    rows = {row.label: row.paper for of in SWEEPS if of.name == sweep for row in of.rows}
    return (rows[label]["k400"] for label in labels)
