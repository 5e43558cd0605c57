"""EPIC-KITCHENS-100: segments of long kitchen videos, each a noun and a verb."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from vivit.data.datasets.base import Split, VideoDataset
from vivit.data.datasets.class_names import read_class_names
from vivit.data.datasets.csv_reader import Column, CsvTable
from vivit.data.datasets.registry import register_dataset
from vivit.data.datasets.video_table import format_paths, make_table, missing_labels
from vivit.data.transforms.flip import Flip
from vivit.errors import ConfigError

TAILS = {"noun": "annotations/EPIC_100_tail_nouns.csv", "verb": "annotations/EPIC_100_tail_verbs.csv"}
UNSEEN = dict.fromkeys(("val", "test"), "annotations/EPIC_100_unseen_participant_ids_validation.csv")
"""Those of the validation list, which is also the default list of the test split."""


@dataclass(kw_only=True)
class EpicKitchens(VideoDataset):
    """What videos and frames have in common. Heads are noun (300), then verb (97), as in the released code.

    A segment's noun is its main noun (``noun_class``), and its name the ``narration_id`` that submissions need.
    ``annotation_files`` are CSV files below the root; the list of the challenge's test split has no labels, and is
    refused unless ``allow_unlabelled``, when both are -1. ``path_template`` is the template of a video's path, with the
    fields ``participant_id`` and ``video_id``. No class names left or right, so flips are harmless. ``tail_classes``
    are lists of rare classes and ``unseen_participants`` of participants who are in no training video, for the official
    metrics; None omits these metrics.
    """

    annotation_files: Mapping[str, str]
    path_template: str
    nouns: str = "annotations/EPIC_100_noun_classes.csv"
    verbs: str = "annotations/EPIC_100_verb_classes.csv"
    allow_unlabelled: bool = False
    tail_classes: Mapping[str, str] | None = field(default_factory=lambda: dict(TAILS))
    unseen_participants: Mapping[str, str | None] | None = field(default_factory=lambda: dict(UNSEEN))
    flip: Flip = "harmless"

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """Nouns, then verbs, by their numbers."""
        files = {"noun": (self.nouns, 300), "verb": (self.verbs, 97)}
        return {head: read_class_names(self.root / file, count) for head, (file, count) in files.items()}

    def csv_rows(self, split: Split) -> CsvTable:
        """Return the rows of a split's list."""
        return CsvTable(self.root / self.annotation_files[split])

    def table(self, split: Split) -> pa.Table:
        """Return the segments of a split's list."""
        rows = self.csv_rows(split)
        rows.require("narration_id", "participant_id", "video_id")
        fields = {column: rows.text(column) for column in ("participant_id", "video_id")}
        if "noun_class" in rows.columns:
            labels = [rows.class_numbers(f"{head}_class", len(classes)) for head, classes in self.heads.items()]
        else:
            labels = [missing_labels(rows, allowed=self.allow_unlabelled)] * 2
        path, name = format_paths(self.path_template, **fields), rows.text("narration_id")
        return make_table(path=path, labels=labels, name=name, **self._segments(rows))

    def official(self, split: Split) -> Mapping[str, Any]:
        """Return the numbers of each head's tail classes, and the participants who are in no training video."""
        tail = (
            None
            if self.tail_classes is None
            else {
                head: self._read(f"tail_classes.{head}", self.tail_classes[head], head)
                .class_numbers(head, len(classes))
                .to_pylist()
                for head, classes in self.heads.items()
            }
        )
        file = None if self.unseen_participants is None else self.unseen_participants.get(split)
        if file is None:
            return {"tail": tail, "unseen": None}
        participants = (
            self._read(f"unseen_participants.{split}", file, "participant_id").text("participant_id").to_pylist()
        )
        return {"tail": tail, "unseen": participants}

    def _read(self, key: str, file: str, column: str) -> CsvTable:
        if not (self.root / file).is_file():
            raise ConfigError(
                f"data.dataset.{key}",
                file,
                f"there is no such file in {self.root}, and the official metrics need it",
                "copy it from the annotations in epic-kitchens/epic-kitchens-100-annotations, or do without: "
                "data.dataset.tail_classes=null data.dataset.unseen_participants=null",
            )
        rows = CsvTable(self.root / file)
        rows.require(column)
        return rows

    @abstractmethod
    def _segments(self, rows: CsvTable) -> dict[str, Column]:
        """Return the columns of where a segment begins and ends."""


@register_dataset("epic_kitchens")
@dataclass(kw_only=True)
class EpicKitchensVideos(EpicKitchens):
    """The videos, cut by timestamp: they have their cameras' frame rates, which the frame numbers do not follow."""

    path_template: str = "{participant_id}/videos/{video_id}.MP4"

    def _segments(self, rows: CsvTable) -> dict[str, Column]:
        rows.require("start_timestamp", "stop_timestamp")
        start, end = rows.seconds("start_timestamp"), rows.seconds("stop_timestamp")
        rows.check_interval("stop_timestamp", start, end)
        return {"start": start, "end": end}


@register_dataset("epic_kitchens_frames")
@dataclass(kw_only=True)
class EpicKitchensFrames(EpicKitchens):
    """The released JPEG frames, ``frame_0000000001.jpg`` and so on, cut by their numbers.

    By its publishers' erratum the released frames of P01_109 and P27_103 do not fit their annotations.
    """

    path_template: str = "{participant_id}/rgb_frames/{video_id}"

    def _segments(self, rows: CsvTable) -> dict[str, Column]:
        rows.require("start_frame", "stop_frame")
        first, last = (rows.numbers(column, pa.int32(), needed=True) for column in ("start_frame", "stop_frame"))
        rows.check_interval("stop_frame", first, last, allow_equal=True)
        return {"first": first, "last": last}
