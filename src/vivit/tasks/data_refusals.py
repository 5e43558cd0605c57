"""What of a data set ends a training or a test before its first step: the errors, all of a kind at once."""

from collections.abc import Sequence
from contextlib import suppress
from math import ceil
from typing import cast

import pandas as pd
from omegaconf import DictConfig

from vivit.data.datasets import Split, VideoDataset, VideoFolder
from vivit.data.datasets.folder_layout import describe_list_beside
from vivit.data.datasets.split_stats import MISSING, SplitStats, too_many_error
from vivit.data.overview import Finding, VideoFacts
from vivit.entry_points import typed
from vivit.errors import ConfigError, DataError, UserError
from vivit.structures import label_columns, single_label_heads
from vivit.text import count, name_some, one_line

UNUSABLE = "unusable"
"""The finding about videos that cannot be used."""
MOST_NAMED = 20
"""Videos that an error names."""


def training_refusals(
    cfg: DictConfig, dataset: VideoDataset, facts: VideoFacts, findings: Sequence[Finding]
) -> list[tuple[str, UserError]]:
    """Return the errors that end a training with this configuration, each with the kind of finding that it is about."""
    test = ["test" if "test" in facts.splits else "val"] if cfg.get("test", True) else []
    skips, max_bad_share = cfg.data.get("skip_unreadable", False), cfg.data.get("max_bad_share", 0.0)
    errors = [
        ("one_class", _one_class(cfg, dataset, findings)),
        ("contradicting_labels", _contradiction(dataset, facts)),
        *((UNUSABLE, _missing(dataset, facts, split)) for split in dict.fromkeys(("train", "val", *test))),
        (UNUSABLE, unreadable_error(dataset, facts, ["val", *test], "data.skip_unreadable", skips)),
        (UNUSABLE, _unreadable_training(dataset, facts, max_bad_share)),
    ]
    return [(kind, error) for kind, error in errors if error is not None]


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


def _missing(dataset: VideoDataset, facts: VideoFacts, split: str) -> UserError | None:
    """Return the error about more files of a split that are not there than the data set leaves out."""
    videos = facts.videos[facts.videos["split"] == split]
    missing = videos[(videos["problem"] == MISSING) & ~videos["indexed"]]
    may_be_missing = dataset.max_missing[cast("Split", split)]
    if len(missing) <= may_be_missing * len(videos):
        return None
    stats = SplitStats(len(videos), len(missing), dict.fromkeys(missing["path"], MISSING))
    return too_many_error(dataset.root, split, may_be_missing, stats)


def _bad_videos(dataset: VideoDataset, facts: VideoFacts, split: str) -> pd.DataFrame:
    """Return the videos of a split that are there, or were when they were indexed, and cannot be read.

    Without those that the index tells, where they are so few that the data set leaves them out.
    """
    videos = facts.videos[(facts.videos["split"] == split) & facts.videos["problem"].notna()].drop_duplicates("path")
    bad = videos[(videos["problem"] != MISSING) | videos["indexed"]]
    by_index = bad["indexed"] & (bad["problem"] != MISSING)
    may_be_bad = dataset.max_missing[cast("Split", split)] * (facts.videos["split"] == split).sum()
    return bad[~by_index] if len(videos[videos["problem"] != MISSING]) <= may_be_bad else bad


def unreadable_error(
    dataset: VideoDataset, facts: VideoFacts, splits: Sequence[str], key: str, skips: bool
) -> UserError | None:
    """Return the error about a key unless all videos of some splits can be read, or bad ones are skipped."""
    bad = pd.concat([_bad_videos(dataset, facts, split) for split in dict.fromkeys(splits)])
    if skips or bad.empty:
        return None
    where = " and ".join(dict.fromkeys(bad["split"]))
    problem = f"{count(len(bad), f'{where} video')} cannot be read: {_named(bad)}"
    remedy = f"mend them or take them out, or set {key}=true, which leaves them out of the scores"
    return ConfigError(key, False, problem, remedy + _examine_others(facts))


def _unreadable_training(dataset: VideoDataset, facts: VideoFacts, max_bad_share: int | float) -> UserError | None:
    """Return the error about more training videos that cannot be read than an epoch may skip."""
    bad, listed = _bad_videos(dataset, facts, "train"), int((facts.videos["split"] == "train").sum())
    if len(bad) <= max_bad_share * listed:
        return None
    problem = f"{len(bad)} of {listed} training videos cannot be read: {_named(bad)}"
    remedy = f"mend them or take them out, or set a larger share, as {ceil(100 * len(bad) / listed) / 100:g}"
    return ConfigError("data.max_bad_share", max_bad_share, problem, remedy + _examine_others(facts))


def _examine_others(facts: VideoFacts) -> str:
    """Return what finds other bad videos; nothing where all are in the index."""
    return "" if facts.videos["indexed"].all() else f"; {typed('prepare')} examines every file"


def _named(bad: pd.DataFrame) -> str:
    reasons = bad["problem"].str.partition("; ")[0]
    return name_some([f"{path} ({why})" for path, why in zip(bad["path"], reasons, strict=True)], MOST_NAMED)
