"""Weights & Biases reports of sweeps, as JSON files or saved with the service; needs the extra ``dashboards``."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import wandb

from vivit.errors import ConfigError, UserError
from vivit.sweeps import Sweep, read_sweeps

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report


def make_dashboards(
    sweeps: str | Sequence[str] | None, folder: Path, *, project: str, entity: str | None = None, push: bool = False
) -> Iterator[str]:
    """Write the report of each sweep into ``folder``, or save it with the service, and yield its path or URL.

    ``sweeps`` are names; None selects all. Raises ConfigError for an unknown sweep and for ``push`` without an account,
    and UserError where wandb-workspaces is not installed: when it is called, before anything is written.
    """
    selected = select_sweeps(sweeps)
    try:
        from vivit.reporting.wandb_reports import build_report
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("wandb_workspaces"):
            raise
        raise UserError(
            "dashboards need wandb-workspaces, which is not installed; `make install`, or pip install it"
        ) from None
    owner = (entity or default_entity()) if push else entity or ""
    reports = {sweep.name: build_report(sweep, project, owner) for sweep in selected}
    return save_reports(reports.values(), report_ids(owner, project)) if push else write_reports(reports, folder)


def select_sweeps(names: str | Sequence[str] | None) -> list[Sweep]:
    """Return the named sweeps, or all. Raises ConfigError for an unknown name."""
    names = [names] if isinstance(names, str) else names
    sweeps = read_sweeps()
    if unknown := sorted(set(names or ()) - sweeps.keys()):
        raise ConfigError("sweeps", unknown[0], "there is no such sweep", f"choose from {', '.join(sweeps)}")
    return [sweeps[name] for name in names or sweeps]


def write_reports(reports: Mapping[str, "Report"], folder: Path) -> Iterator[str]:
    """Write each report to ``<name>.json`` in a folder, and yield its path."""
    for name, report in reports.items():
        file = folder / f"{name}.json"
        file.write_text(to_json(report) + "\n", encoding="utf-8")
        yield str(file)


def to_json(report: "Report") -> str:
    """Return the JSON that the service receives."""
    return report._to_model().model_dump_json(by_alias=True, exclude_none=True)


def save_reports(reports: Iterable["Report"], ids: Mapping[str, str]) -> Iterator[str]:
    """Save each report with the service, and yield its URL; ``ids`` are those of reports to replace, by title."""
    for report in reports:
        report.id = ids.get(report.title, "")
        report.save()
        yield report.url


def default_entity() -> str:
    """Return the account that is logged in. Raises ConfigError where there is none."""
    return str(_connect().default_entity)


def report_ids(entity: str, project: str) -> dict[str, str]:
    """Return the ids of a project's reports by title; empty for a new project, which saving makes."""
    api = _connect()
    if project not in [existing.name for existing in api.projects(entity)]:
        return {}
    return {str(report.display_name): report.id for report in api.reports(f"{entity}/{project}")}


def _connect() -> wandb.Api:
    try:
        return wandb.Api()
    except wandb.errors.UsageError:
        remedy = "run `wandb login` or set WANDB_API_KEY, or leave push=false to write files"
        raise ConfigError("push", True, "nobody is logged in to Weights & Biases", remedy) from None
