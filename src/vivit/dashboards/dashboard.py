"""A sweep's dashboard: what it asks, what the paper found, what its runs show."""

import wandb_workspaces.reports.v2 as wr

from vivit.dashboards import panels
from vivit.reporting.paper import Sweep
from vivit.reporting.sweep_results import sweep_results
from vivit.reporting.tables import Table
from vivit.reporting.writers import to_markdown

PRINTED = {"k400": "top-1 on Kinetics-400", "epic": "top-1 of actions on EPIC-Kitchens-100"}


def dashboard(sweep: Sweep, project: str, entity: str = "") -> wr.Report:
    """Build the report of a sweep; nothing is asked of the service."""
    command = f"Its runs: `python src/train.py sweep={sweep.name} logger=wandb`"
    return wr.Report(
        project=project,
        entity=entity,
        title=f"{sweep.title} (sweep={sweep.name})",
        description=sweep.caption,
        width="fluid",
        blocks=[
            wr.MarkdownBlock(text="\n\n".join(part for part in (sweep.caption, command, answer(sweep)) if part)),
            wr.H2(text="Test accuracy, and every run"),
            panels.results(sweep),
            wr.H2(text="Training and validation"),
            panels.curves(sweep),
            wr.H2(text="Throughput"),
            panels.speed(sweep),
        ],
    )


def answer(sweep: Sweep) -> str:
    """Say what the paper prints, as a sentence a measure and as its rows; nothing where it prints nothing."""
    said = [sentence(sweep, key) for key in PRINTED if any(key in row.paper for row in sweep.rows)]
    return "\n\n".join([*said, printed(sweep)]) if any(row.paper for row in sweep.rows) else ""


def sentence(sweep: Sweep, key: str) -> str:
    """Name the paper's best and worst row."""
    rows = sorted((row for row in sweep.rows if key in row.paper), key=lambda row: row.paper[key])
    low, high = (f"{row.paper[key]:.1f} % ({row.label})" for row in (rows[0], rows[-1]))
    return f"In the paper, {PRINTED[key]} goes from {low} to {high}."


def printed(sweep: Sweep) -> str:
    """The paper's numbers as a table."""
    whole = sweep_results(sweep, [])[0].table()
    columns = tuple(column for column in whole.columns if column.key == "label" or column.from_paper)
    return to_markdown(Table(whole.name, "The paper's numbers", "", columns, whole.lines))
