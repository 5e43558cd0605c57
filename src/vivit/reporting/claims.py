"""Claims of the paper, each with a verdict of our runs by one rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from scipy import stats

from vivit.reporting.row_results import RowResult
from vivit.reporting.sweep_results import SweepResult
from vivit.reporting.tables import Column, Table, Value, mean, stdev
from vivit.sweeps import Claim

TITLE = "What the paper claims, and what we find"
HOLDS, OPPOSITE, UNDECIDED, NOT_RUN = "holds", "opposite", "undecided", "not run"
VERDICTS = {
    HOLDS: "holds",
    OPPOSITE: "the opposite holds",
    UNDECIDED: "too close to call",
    NOT_RUN: "no runs to compare",
}
"""Every verdict, as it is in CSV files and as it is written."""
DIGITS = 6
"""Digits of a difference in points: those behind them are rounding of the accuracies."""
CAPTION = (
    "Differences in points of top-1, unless a claim names another metric: the paper's, where it prints both "
    "accuracies, and ours on the embedded data set, as the mean of the differences between runs of equal seeds, with "
    "its 95 % interval."
)
RULE = (
    "rule: a claim holds, or its opposite does, where all of the interval (Student's t, of the differences seed by "
    "seed) lies on that side of zero; a claim of no difference holds where all of it lies within the margin that is "
    "named beforehand, and its opposite where all of it lies outside; one seed decides nothing"
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A claim with its difference in points, the ends of its 95 % interval, the number of paired seeds, a verdict."""

    claim: Claim
    result: SweepResult
    paper_difference: float | None
    difference: float | None
    interval: tuple[float, float] | None
    seeds: int
    verdict: str

    @property
    def missing(self) -> bool:
        """Whether runs of its rows are missing."""
        rows = _rows(self.claim, self.result)
        return any(seed not in row.done for row in rows for seed in self.result.seeds_of(row))

    def line(self) -> dict[str, Value]:
        """Return it as a line of a table."""
        low, high = self.interval or (None, None)
        return {
            "claim": self.claim.text,
            "sweep": self.result.sweep.name,
            "paper_difference": self.paper_difference,
            **{"difference": self.difference, "low": low, "high": high},
            "seeds": self.seeds,
            "verdict": self.verdict,
        }


def judge_claims(results: Mapping[str, SweepResult]) -> list[Judgement]:
    """Return every claim with its verdict; ``results`` are those of the default setting of each sweep, by name."""
    return [judge(claim, result) for result in results.values() for claim in result.sweep.claims]


def judge(claim: Claim, result: SweepResult) -> Judgement:
    """Return a claim with the verdict of its sweep's runs, which are compared seed by seed."""
    first, *rest = _rows(claim, result)
    accuracies = first.percent_by_seed(claim.metric, claim.views)
    if claim.equals is None:
        others = rest[0].percent_by_seed(claim.metric, claim.other_views)
    else:
        others = dict.fromkeys(accuracies, claim.equals)
    differences = [round(value - others[seed], DIGITS) for seed, value in accuracies.items() if seed in others]
    interval = difference_interval(differences)
    verdict = decide(*interval, claim.margin) if interval else UNDECIDED if differences else NOT_RUN
    return Judgement(
        claim, result, _paper_difference(claim, result), mean(differences), interval, len(differences), verdict
    )


def difference_interval(differences: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of a mean of differences by Student's t; None of fewer than two.

    Of equal differences both ends are their mean.
    """
    middle, deviation = mean(differences), stdev(differences)
    if middle is None or deviation is None:
        return None
    half = float(stats.t.ppf(0.975, len(differences) - 1)) * deviation / sqrt(len(differences))
    return middle - half, middle + half


def decide(low: float, high: float, margin: float | None) -> str:
    """Return the verdict of an interval: whether it is above zero or, with a margin, whether it is no difference."""
    if margin is None:
        return HOLDS if low > 0 else OPPOSITE if high < 0 else UNDECIDED
    return HOLDS if -margin <= low and high <= margin else OPPOSITE if low > margin or high < -margin else UNDECIDED


def claims_table(judgements: Sequence[Judgement]) -> Table:
    """Return the claims as a table, with the rule and what has to be run for those that lack runs."""
    titles = {judgement.result.sweep.name: judgement.result.sweep.title for judgement in judgements}
    columns = (
        *(Column("claim", "claim"), Column("sweep", "table or figure", texts=titles)),
        Column("paper_difference", "paper, points", 1, from_paper=True),
        Column("difference", "ours, points [95 %]", 1, interval=("low", "high")),
        *(Column("seeds", "seeds"), Column("verdict", "verdict", texts=VERDICTS)),
    )
    commands = dict.fromkeys(judgement.result.command for judgement in judgements if judgement.missing)
    notes = (RULE, *(f"to be run: {command}" for command in commands))
    lines = tuple(judgement.line() for judgement in judgements)
    caption = f"{summary(judgements)}. {CAPTION}"
    return Table("claims", TITLE, caption, columns, lines, notes, all_columns=True)


def summary(judgements: Sequence[Judgement]) -> str:
    """Return how many claims are decided, and how, in words."""
    counts = {verdict: sum(judgement.verdict == verdict for judgement in judgements) for verdict in VERDICTS}
    decided = counts[HOLDS] + counts[OPPOSITE]
    text = f"{decided} of {len(judgements)} claims are decided"
    return f"{text}: {counts[HOLDS]} hold, of {counts[OPPOSITE]} the opposite does" if decided else text


def _paper_difference(claim: Claim, result: SweepResult) -> float | None:
    """Return the difference of the paper's accuracies: those of the claim, or those that both rows have."""
    if claim.printed is not None:
        first, second = claim.printed
        return round(first - second, 2)
    rows = _rows(claim, result)
    for data in ("k400", "epic"):
        printed = [row.row.printed[data] for row in rows if data in row.row.printed]
        if len(printed) == 2 and claim.views == claim.other_views:
            return round(printed[0] - printed[1], 2)
    return None


def _rows(claim: Claim, result: SweepResult) -> list[RowResult]:
    """Return the row of a claim and, unless it is compared with a percentage, that of the other side."""
    by_name = {row.row.name: row for row in result.rows}
    return [by_name[name] for name in (claim.row, claim.other) if name is not None]
