"""EPIC-KITCHENS-100: segments of long kitchen videos, each a noun and a verb."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from vivit.data.catalogue.annotations import Annotations, Column
from vivit.data.catalogue.catalogue import Catalogue, Split
from vivit.data.catalogue.class_names import class_names
from vivit.data.catalogue.columns import listing, unlabelled
from vivit.data.catalogue.patterns import filled

TAILS = {"noun": "annotations/EPIC_100_tail_nouns.csv", "verb": "annotations/EPIC_100_tail_verbs.csv"}
UNSEEN = dict.fromkeys(("val", "test"), "annotations/EPIC_100_unseen_participant_ids_validation.csv")
"""Those of the validation list, which is also what is tested on unless the lists say otherwise."""


@dataclass(kw_only=True)
class EpicKitchens(Catalogue):
    """What videos and pictures have in common. Heads are noun (300), then verb (97), as in the released code.

    A segment's noun is its main noun (``noun_class``), and its name the ``narration_id`` that submissions ask for.
    ``lists`` are CSV files below the root; the list of the challenge's test split has no labels, and is refused unless
    ``unlabelled``, when both are -1. ``files`` may use ``participant_id`` and ``video_id``. No class names left or
    right, so mirroring is harmless. ``tails`` are lists of rare classes and ``unseen`` of participants who are in no
    training video, for the official scores; None leaves these scores out.
    """

    lists: Mapping[str, str]
    files: str
    nouns: str = "annotations/EPIC_100_noun_classes.csv"
    verbs: str = "annotations/EPIC_100_verb_classes.csv"
    unlabelled: bool = False
    tails: Mapping[str, str] | None = field(default_factory=lambda: dict(TAILS))
    unseen: Mapping[str, str | None] | None = field(default_factory=lambda: dict(UNSEEN))
    mirror_names: Mapping[str, Mapping[str, str]] | None = field(default_factory=dict)

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """Nouns, then verbs, by their numbers."""
        return {"noun": class_names(self.root / self.nouns, 300), "verb": class_names(self.root / self.verbs, 97)}

    def listed(self, split: Split) -> pa.Table:
        """Read the list of a split."""
        rows = Annotations(self.root / self.lists[split])
        rows.require("narration_id", "participant_id", "video_id")
        names = {column: rows.text(column) for column in ("participant_id", "video_id")}
        if "noun_class" in rows.columns:
            labels = [rows.below(f"{head}_class", len(classes)) for head, classes in self.heads.items()]
        else:
            labels = [unlabelled(rows, allowed=self.unlabelled)] * 2
        path, name = filled(self.files, **names), rows.text("narration_id")
        return listing(path=path, labels=labels, name=name, **self._extent(rows))

    def official(self, split: Split) -> Mapping[str, Any]:
        """Tell the numbers of each head's tail classes, and the participants whom nobody has trained with."""
        tail = (
            None
            if self.tails is None
            else {
                head: self._list(self.tails[head], head).below(head, len(classes)).to_pylist()
                for head, classes in self.heads.items()
            }
        )
        file = None if self.unseen is None else self.unseen.get(split)
        unseen = None if file is None else self._list(file, "participant_id").text("participant_id").to_pylist()
        return {"tail": tail, "unseen": unseen}

    def _list(self, file: str, column: str) -> Annotations:
        if not (self.root / file).is_file():
            raise FileNotFoundError(
                f"{self.root / file} is missing; the official scores need it. It lies beside the annotations in "
                "epic-kitchens/epic-kitchens-100-annotations; data.catalogue.tails=null data.catalogue.unseen=null "
                "does without"
            )
        rows = Annotations(self.root / file)
        rows.require(column)
        return rows

    @abstractmethod
    def _extent(self, rows: Annotations) -> dict[str, Column]:
        """Columns that say where a segment begins and ends."""


@dataclass(kw_only=True)
class EpicVideos(EpicKitchens):
    """The videos, cut by timestamp: they keep their cameras' frame rates, which the frame numbers do not follow."""

    files: str = "{participant_id}/videos/{video_id}.MP4"

    def _extent(self, rows: Annotations) -> dict[str, Column]:
        rows.require("start_timestamp", "stop_timestamp")
        start, end = rows.seconds("start_timestamp"), rows.seconds("stop_timestamp")
        rows.behind("stop_timestamp", start, end)
        return {"start": start, "end": end}


@dataclass(kw_only=True)
class EpicPictures(EpicKitchens):
    """The released JPEG pictures, ``frame_0000000001.jpg`` and so on, cut by their numbers.

    By its publishers' erratum the released pictures of P01_109 and P27_103 do not fit their annotations.
    """

    files: str = "{participant_id}/rgb_frames/{video_id}"

    def _extent(self, rows: Annotations) -> dict[str, Column]:
        rows.require("start_frame", "stop_frame")
        first, last = (rows.numbers(column, pa.int32(), needed=True) for column in ("start_frame", "stop_frame"))
        rows.behind("stop_frame", first, last, equal=True)
        return {"first": first, "last": last}
