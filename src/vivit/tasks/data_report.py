"""The report of a data set before the first step: a table, what looks wrong, and what keeps a run from starting."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from vivit.data.datasets import Split, VideoDataset, VideoFolder
from vivit.data.datasets.folder_layout import describe_list_beside
from vivit.data.overview import ClipPlan, Finding, VideoFacts, data_table, list_findings, load_facts
from vivit.data.overview.page import describe
from vivit.entry_points import typed
from vivit.errors import ConfigError, DataError, UserError
from vivit.launch import Job
from vivit.ranks import is_rank_zero
from vivit.structures import label_columns, single_label_heads
from vivit.text import count, name_some, one_line

log = logging.getLogger(__name__)

RUN_FILE = "data.txt"
"""What a run folder says of the data set."""
LOOK = 8.0
"""Seconds in which the headers of files are looked at that no index has; the table says of how many it knows less."""
LOGGED_ELSEWHERE = ("no_test", "rate_above_file")
"""Findings that a training logs by itself, also where no index tells them."""
MOST_NAMED = 20
"""Videos that an error names."""


def report_training_data(cfg: DictConfig, job: Job, dataset: VideoDataset) -> None:
    """Log what a data set holds and what is wrong with it, write both into the run folder; the first rank does.

    Raises ``UserError`` for what no training can be right with: a single class, a video with two labels, and videos
    that cannot be read, all of them at once.
    """
    if not is_rank_zero():
        return
    facts, findings = _examine(dataset, list(readable_splits(dataset)), clip_plan(cfg))
    if facts is None:
        return
    test = ["test" if "test" in facts.splits else "val"] if cfg.test else []
    refusals = (
        ("one_class", _one_class(cfg, dataset, findings)),
        ("contradicting_labels", _contradiction(dataset, facts)),
        ("unusable", unreadable(facts, ["val", *test], "data.skip_unreadable", cfg.data.skip_unreadable)),
        ("unusable", _unreadable_training(facts, cfg.data.max_bad_share)),
    )
    _report_and_raise(job, facts, findings, refusals, LOGGED_ELSEWHERE)


def report_scored_data(job: Job, dataset: VideoDataset, split: Split, plan: ClipPlan, skip_unreadable: bool) -> None:
    """Do the same for the split that a checkpoint is scored on, of which nothing but unreadable videos is refused."""
    if not is_rank_zero():
        return
    facts, findings = _examine(dataset, [split], plan)
    if facts is not None:
        refusal = unreadable(facts, [split], "skip_unreadable", skip_unreadable)
        _report_and_raise(job, facts, findings, [("unusable", refusal)])


def _report_and_raise(
    job: Job,
    facts: VideoFacts,
    findings: Sequence[Finding],
    refusals: Sequence[tuple[str, UserError | None]],
    skip: Sequence[str] = (),
) -> None:
    """Report, then raise the first of the errors, each of which stands for the finding of a kind."""
    log_report(job.folder, facts, findings, [*skip, *(kind for kind, error in refusals if error is not None)])
    for _, error in refusals:
        if error is not None:
            raise error


def report_listed_data(job: Job, dataset: VideoDataset, splits: Sequence[Split], plan: ClipPlan) -> list[Finding]:
    """Do the same for the lists of splits, all by default, before their files are examined; return the findings."""
    names = [split for split in readable_splits(dataset) if split in (splits or dataset.splits)]
    if not names:
        return []
    facts = load_facts(dataset, names)
    findings = list_findings(facts, plan)
    log_report(job.folder, facts, findings)
    return findings


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


def _one_class(cfg: DictConfig, dataset: VideoDataset, findings: Sequence[Finding]) -> UserError | None:
    """Return the error about a single class, which may be the folder of videos beside a list."""
    single = next((finding for finding in findings if finding.kind == "one_class"), None)
    if single is None:
        return None
    remedy = isinstance(dataset, VideoFolder) and describe_list_beside(dataset.root)
    return ConfigError("data.root", cfg.data.root, single.text, remedy or single.remedy)


def _contradiction(dataset: VideoDataset, facts: VideoFacts) -> UserError | None:
    """Return the error about the first video that a split lists with two labels, with both of its rows."""
    for head, names in single_label_heads(facts.heads).items():
        files = facts.videos[["split", "path"]][~facts.is_segment].reset_index()
        files["label"] = facts.labels[files["index"], label_columns(facts.heads)[head].start]
        labels_of = files.groupby(["split", "path"], sort=False)["label"].nunique()
        several = labels_of[labels_of > 1]
        if several.empty:
            continue
        split, path = several.index[0]
        rows = files[(files["split"] == split) & (files["path"] == path)].drop_duplicates("label").head(2)
        first = int((facts.videos["split"] == split).to_numpy().argmax())
        lines = _lines(dataset, split, [int(row) - first for row in rows["index"]])
        labels = " and ".join(f"{names[label]!r}{where}" for label, where in zip(rows["label"], lines, strict=True))
        others = f", and {len(several) - 1} other videos have two" if len(several) > 1 else ""
        remedy = "leave one of them out; for several labels a video set data.dataset.separator"
        return DataError(dataset.root, f"{one_line(str(path))} has two labels: {labels}{others}", remedy)
    return None


def _lines(dataset: VideoDataset, split: Split, rows: Sequence[int]) -> list[str]:
    """Return where rows of a split's table stand in its CSV file, as text; nothing of other lists."""
    listed = None
    with suppress(UserError):
        listed = dataset.csv_rows(split)
    if listed is None or dataset.holds_out:
        return [""] * len(rows)
    return [f" ({listed.file.name}, row {listed.line(row)})" for row in rows]


def _bad_videos(facts: VideoFacts, splits: Sequence[str]) -> pd.DataFrame:
    """Return the videos that cannot be read, except those that the index or its absence tells."""
    videos = facts.videos[facts.videos["split"].isin(splits) & facts.videos["problem"].notna()]
    return videos[videos["indexed"] == (videos["problem"] == "missing")].drop_duplicates(["split", "path"])


def unreadable(facts: VideoFacts, splits: Sequence[str], key: str, skips: bool) -> UserError | None:
    """Return the error about a key unless all videos of some splits can be read, or bad ones are skipped."""
    bad = _bad_videos(facts, splits)
    if skips or bad.empty:
        return None
    where = " and ".join(dict.fromkeys(bad["split"]))
    problem = f"{count(len(bad), f'{where} video')} cannot be read: {_named(bad)}"
    remedy = f"mend them or take them out, or set {key}=true, which leaves them out of the scores; "
    return ConfigError(key, False, problem, f"{remedy}{typed('prepare')} examines every file")


def _unreadable_training(facts: VideoFacts, max_bad_share: int | float) -> UserError | None:
    """Return the error about more training videos that cannot be read than an epoch may skip."""
    bad, listed = _bad_videos(facts, ["train"]), int((facts.videos["split"] == "train").sum())
    if len(bad) <= max_bad_share * listed:
        return None
    problem = f"{len(bad)} of {listed} training videos cannot be read: {_named(bad)}"
    remedy = f"mend them or take them out, or set a larger share; {typed('prepare')} examines every file"
    return ConfigError("data.max_bad_share", max_bad_share, problem, remedy)


def _named(bad: pd.DataFrame) -> str:
    reasons = bad["problem"].str.partition("; ")[0]
    return name_some([f"{path} ({why})" for path, why in zip(bad["path"], reasons, strict=True)], MOST_NAMED)
