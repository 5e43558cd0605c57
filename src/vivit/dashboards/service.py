"""Dashboards into files, or to Weights & Biases."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import wandb
import wandb_workspaces.reports.v2 as wr

from vivit.dashboards.dashboard import dashboard
from vivit.reporting.paper import BY_NAME, Sweep


def make_dashboards(
    sweeps: Sequence[str] | None, folder: Path, *, project: str, entity: str | None = None, push: bool = False
) -> Iterator[str]:
    """Write the dashboard of each sweep (of all, where none is named) into ``folder``, or save it; say where it is."""
    chosen = named(sweeps)
    if push:
        yield from pushed(chosen, project, entity)
        return
    for sweep in chosen:
        file = folder / f"{sweep.name}.json"
        file.write_text(as_json(dashboard(sweep, project, entity or "")) + "\n", encoding="utf-8")
        yield str(file)


def named(sweeps: Sequence[str] | None) -> list[Sweep]:
    """Find sweeps by their names."""
    sweeps = [sweeps] if isinstance(sweeps, str) else sweeps
    if unknown := sorted(set(sweeps or ()) - BY_NAME.keys()):
        raise SystemExit(f"error: sweeps has {unknown[0]!r}, which is none of {', '.join(BY_NAME)}")
    return [BY_NAME[name] for name in sweeps or BY_NAME]


def as_json(report: wr.Report) -> str:
    """Write what is sent to the service."""
    return report._to_model().model_dump_json(by_alias=True, exclude_none=True)


def pushed(sweeps: Sequence[Sweep], project: str, entity: str | None) -> Iterator[str]:
    """Save each dashboard, in the place of one with the same title; give their addresses."""
    owner = entity or default_entity()
    there = saved(owner, project)
    for sweep in sweeps:
        report = dashboard(sweep, project, owner)
        report.id = there.get(report.title, "")
        report.save()
        yield report.url


def default_entity() -> str:
    """Ask who is logged in."""
    return str(_service().default_entity)


def saved(entity: str, project: str) -> dict[str, str]:
    """Ids of a project's reports by title; none of a project that is not there yet, which saving makes."""
    api = _service()
    if project not in [known.name for known in api.projects(entity)]:
        return {}
    return {str(report.display_name): report.id for report in api.reports(f"{entity}/{project}")}


def _service() -> wandb.Api:
    try:
        return wandb.Api()
    except wandb.errors.UsageError:
        raise SystemExit(
            "error: push=true needs an account: nobody is logged in to Weights & Biases; `wandb login` or set "
            "WANDB_API_KEY, or leave push=false to write files"
        ) from None
