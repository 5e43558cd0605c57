"""The report of a data set before the first step: a table, what looks wrong, and what keeps a run from starting."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from vivit.data.datasets import Split, VideoDataset
from vivit.data.overview import ClipPlan, Finding, VideoFacts, data_table, list_findings, load_facts
from vivit.data.overview.advice import advised_views
from vivit.data.overview.page import describe
from vivit.errors import UserError
from vivit.launch import Job
from vivit.ranks import is_rank_zero
from vivit.tasks.data_refusals import UNUSABLE, training_refusals, unreadable_error

log = logging.getLogger(__name__)

RUN_FILE = "data.txt"
"""What a run folder says of the data set."""
LOOK = 8.0
"""Seconds in which the headers of files are looked at that no index has; the table says of how many it knows less."""
LOGGED_ELSEWHERE = ("no_test", "rate_above_file")
"""Findings that a training logs by itself, also where no index tells them."""


def report_training_data(cfg: DictConfig, job: Job, dataset: VideoDataset) -> str | None:
    """Return the views that suit the videos, as ``4x1``; log what a data set holds and what is wrong with it.

    The first rank does, and writes both into the run folder; others, and where no length is known, return None. Raises
    ``UserError`` for what no training can be right with: a single class, a video with two labels, and videos that
    cannot be read, all of them at once.
    """
    if not is_rank_zero():
        return None
    plan = clip_plan(cfg)
    facts, findings = _examine(dataset, list(readable_splits(dataset)), plan)
    if facts is None:
        return None
    _report_and_raise(job, facts, findings, training_refusals(cfg, dataset, facts, findings), LOGGED_ELSEWHERE)
    return advised_views(facts, findings, plan)


def report_scored_data(job: Job, dataset: VideoDataset, split: Split, plan: ClipPlan, skip_unreadable: bool) -> None:
    """Do the same for the split that a checkpoint is scored on, of which nothing but unreadable videos is refused."""
    if not is_rank_zero():
        return
    facts, findings = _examine(dataset, [split], plan)
    if facts is not None:
        refusal = unreadable_error(dataset, facts, [split], "skip_unreadable", skip_unreadable)
        _report_and_raise(job, facts, findings, [] if refusal is None else [(UNUSABLE, refusal)])


def _report_and_raise(
    job: Job,
    facts: VideoFacts,
    findings: Sequence[Finding],
    refusals: Sequence[tuple[str, UserError]],
    skip: Sequence[str] = (),
) -> None:
    """Report, then raise the first of the errors, each of which stands for the finding of a kind."""
    log_report(job.folder, facts, findings, [*skip, *(kind for kind, _ in refusals)])
    for _, error in refusals:
        raise error


def report_listed_data(
    cfg: DictConfig, job: Job, dataset: VideoDataset, splits: Sequence[Split], plan: ClipPlan
) -> list[Finding]:
    """Do the same for the lists of splits, all by default, before their files are examined; return the findings."""
    names = [split for split in readable_splits(dataset) if split in (splits or dataset.splits)]
    if not names:
        return []
    facts = load_facts(dataset, names)
    findings = findings_before_training(cfg, dataset, facts, plan)
    log_report(job.folder, facts, findings)
    return findings


def findings_before_training(
    cfg: DictConfig, dataset: VideoDataset, facts: VideoFacts, plan: ClipPlan
) -> list[Finding]:
    """Return the findings about a data set; those that will end a training say so, and what to do about them."""
    findings = list_findings(facts, plan)
    refusals = training_refusals(cfg, dataset, facts, findings)
    return [
        replace(finding, remedy=f"training will stop: {'; and '.join(errors)}") if errors else finding
        for finding in findings
        for errors in [[str(error) for kind, error in refusals if kind == finding.kind]]
    ]


def log_report(
    folder: Path,
    facts: VideoFacts,
    findings: Sequence[Finding],
    skip: Sequence[str] = (),
    logged: Sequence[Finding] | None = None,
) -> None:
    """Log the table of a data set and the findings about it; write all of it into a folder.

    Findings of the kinds ``skip`` are written and not logged. Nor is, in a second report, what stands in the first one,
    whose findings are ``logged``.
    """
    table, file = f"{describe(facts)}\n{data_table(facts)}", folder / RUN_FILE
    if logged is None or not _is_written(file, table):
        log.info("%s", table)
    for finding in findings:
        if finding.kind not in skip and finding not in (logged or ()):
            log.log(logging.WARNING if finding.is_warning else logging.INFO, "%s", finding)
    lines = [table, *(f"{'Warning' if finding.is_warning else 'Note'}: {finding}" for finding in findings)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8", errors="surrogateescape")


def _is_written(file: Path, table: str) -> bool:
    return file.is_file() and file.read_text("utf-8", "surrogateescape").startswith(f"{table}\n")


def readable_splits(dataset: VideoDataset) -> Iterator[Split]:
    """Yield the splits whose lists can be read; a run that needs another says what is wrong with it."""
    for split in dataset.splits:
        with suppress(UserError):
            dataset.arrow_table(split)
            yield split


def clip_plan(cfg: DictConfig) -> ClipPlan:
    """Return how the configuration of a run cuts clips and draws classes."""
    data, loss = cfg.data, cfg.get("loss") or {}
    return ClipPlan(
        frames=data.frames,
        stride=data.get("stride"),
        fps=data.get("fps"),
        resize=data.resize,
        crop=(data.crop[0], data.crop[1]),
        spatial_views=(cfg.get("views") or {}).get("spatial", 1),
        reads_copies=data.dataset.get("copies") is not None,
        balance=data.get("balance") or 0.0,
        weighted=bool(loss.get("class_weights") or loss.get("logit_adjustment")),
        whole_network=bool(cfg.get("weights") and cfg.model.get("frozen") is None),
    )


def _examine(dataset: VideoDataset, splits: Sequence[Split], plan: ClipPlan) -> tuple[VideoFacts | None, list[Finding]]:
    """Return facts and findings; none where a list cannot be read, which a run that needs it raises by itself."""
    if not splits:
        return None, []
    reads_sources = not plan.reads_copies and not dataset.generated
    try:
        facts = load_facts(dataset, splits, look_on_disk=reads_sources, look_seconds=LOOK if reads_sources else 0.0)
        return facts, list_findings(facts, plan)
    except UserError as error:  # of alike.csv, which no run needs, among others
        log.warning("%s", error)
        return None, []
