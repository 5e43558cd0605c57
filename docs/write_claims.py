"""Write docs/claims.md, what the paper claims and what the records in docs/results say; run it after new records."""

from pathlib import Path

from vivit.reporting.claims import claims_table, judge_claims
from vivit.reporting.load_runs import read_runs
from vivit.reporting.sweep_results import sweep_results
from vivit.reporting.writers import to_markdown
from vivit.sweeps import read_sweeps

HERE = Path(__file__).parent
TARGET = HERE / "claims.md"
HEAD = """# What the paper claims, and what came out

The paper trains on Kinetics-400, for days. These are the same questions, asked of the embedded data set with networks
of 0.2 M parameters, minutes a run: an answer here says what holds at that size, on [these videos](datasets/motion.md),
and nothing about Kinetics. Rules, budgets and claims stood in `configs/sweep/` before any run, and the data's ranges
were set with other seeds.

Read a row so: the difference between two rows of a table in points of accuracy, the paper's beside ours, and whether
the 95 % interval over seeds leaves a doubt. How sweeps run, and all their numbers: [the paper's tables](sweeps.md). Why
some come out the other way: [what did not work](negative_results.md).
"""


def page() -> str:
    """Return the page."""
    runs = read_runs(None, HERE / "results")
    results = [result for sweep in read_sweeps().values() for result in sweep_results(sweep, runs)]
    table = claims_table(judge_claims({result.sweep.name: result for result in results if result.is_default}))
    return f"{HEAD}\n{to_markdown(table).partition(chr(10))[2].strip()}\n"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
