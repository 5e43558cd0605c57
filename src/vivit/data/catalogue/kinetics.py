"""Kinetics-400, 600 and 700: ten-second clips, one label each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.catalogue.annotations import Annotations
from vivit.data.catalogue.catalogue import Catalogue, Split
from vivit.data.catalogue.class_names import class_names, in_order
from vivit.data.catalogue.columns import listing, unlabelled
from vivit.data.catalogue.patterns import filled


@dataclass(kw_only=True)
class Kinetics(Catalogue):
    """Videos of the official lists, whose columns are ``label,youtube_id,time_start,time_end,split``.

    ``lists`` are files below the root. ``files`` says where a video lies below it; it may use
    ``youtube_id``, ``time_start``, ``time_end``, ``label``, ``folder`` (the label with ``_`` for spaces) and ``list``
    (the name of the list's file without its suffix). A class's number is its
    label's place in alphabetical order, over ``count`` labels of the training list, or its place in the file
    ``classes``. Lists of the test split were published without labels; they are refused unless ``unlabelled``, and
    then every label is -1. Mirroring is harmless.
    """

    count: int
    lists: Mapping[str, str]
    files: str = "{list}/{folder}/{youtube_id}_{time_start:06}_{time_end:06}.mp4"
    classes: str | None = None
    unlabelled: bool = False
    mirror_names: Mapping[str, Mapping[str, str]] | None = field(default_factory=dict)

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """The one head, ``label``."""
        if self.classes is not None:
            return {"label": class_names(self.root / self.classes, self.count)}
        rows = Annotations(self.root / self.lists["train"])
        rows.require("label")
        names = in_order(set(pc.unique(rows.text("label")).to_pylist()))
        if len(names) != self.count:
            raise ValueError(f"{rows.file} names {len(names)} classes, and {self.count} are wanted")
        return {"label": names}

    def listed(self, split: Split) -> pa.Table:
        """Read the list of a split."""
        rows = Annotations(self.root / self.lists[split])
        rows.require("youtube_id", "time_start", "time_end")
        columns = {"youtube_id": rows.text("youtube_id")}
        columns |= {c: rows.numbers(c, pa.int32(), needed=True) for c in ("time_start", "time_end")}
        columns["list"] = pa.chunked_array([pa.repeat(rows.file.stem, len(rows.table))])
        if "label" in rows.columns:
            labels = rows.classes("label", self.heads["label"])
            columns |= {"label": rows.table["label"], "folder": pc.replace_substring(rows.table["label"], " ", "_")}
        else:
            labels = unlabelled(rows, allowed=self.unlabelled)
        return listing(path=filled(self.files, **columns), labels=[labels], name=columns["youtube_id"])
