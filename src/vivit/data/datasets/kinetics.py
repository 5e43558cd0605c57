"""Kinetics-400, 600 and 700: ten-second clips, one label each."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.datasets.base import Split, VideoDataset
from vivit.data.datasets.class_names import read_class_names, sorted_classes
from vivit.data.datasets.csv_reader import CsvTable
from vivit.data.datasets.registry import register_dataset
from vivit.data.datasets.video_table import format_paths, make_table, missing_labels
from vivit.data.transforms.flip import Flip
from vivit.errors import DataError


@register_dataset("kinetics")
@dataclass(kw_only=True)
class Kinetics(VideoDataset):
    """Videos of the official lists, whose columns are ``label,youtube_id,time_start,time_end,split``.

    ``annotation_files`` are files below the root. ``path_template`` is the template of a video's path below it, with
    the fields ``youtube_id``, ``time_start``, ``time_end``, ``label``, ``folder`` (the label with ``_`` for spaces) and
    ``list`` (the name of the list's file without its suffix). A class's number is its label's position in alphabetical
    order, over ``num_classes`` labels of the training list, or its position in the file ``class_file``. Lists of the
    test split were published without labels; they are refused unless ``allow_unlabelled``, and then every label is -1.
    Flips are harmless.
    """

    num_classes: int
    annotation_files: Mapping[str, str]
    path_template: str = "{list}/{folder}/{youtube_id}_{time_start:06}_{time_end:06}.mp4"
    class_file: str | None = None
    allow_unlabelled: bool = False
    flip: Flip = "harmless"

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """The one head, ``label``."""
        if self.class_file is not None:
            return {"label": read_class_names(self.root / self.class_file, self.num_classes)}
        rows = CsvTable(self.root / self.annotation_files["train"])
        rows.require("label")
        names = sorted_classes(set(pc.unique(rows.text("label")).to_pylist()))
        if len(names) != self.num_classes:
            raise DataError(rows.file, f"contains {len(names)} classes, not {self.num_classes}", column="label")
        return {"label": names}

    def csv_rows(self, split: Split) -> CsvTable:
        """Return the rows of a split's list."""
        return CsvTable(self.root / self.annotation_files[split])

    def table(self, split: Split) -> pa.Table:
        """Return the videos of a split's list."""
        rows = self.csv_rows(split)
        rows.require("youtube_id", "time_start", "time_end")
        columns = {"youtube_id": rows.text("youtube_id")}
        columns |= {c: rows.numbers(c, pa.int32(), needed=True) for c in ("time_start", "time_end")}
        columns["list"] = pa.chunked_array([pa.repeat(Path(rows.file.name).stem, len(rows.table))])
        if "label" in rows.columns:
            labels = rows.class_ids("label", self.heads["label"])
            columns |= {"label": rows.table["label"], "folder": pc.replace_substring(rows.table["label"], " ", "_")}
        else:
            labels = missing_labels(rows, allowed=self.allow_unlabelled)
        return make_table(path=format_paths(self.path_template, **columns), labels=[labels], name=columns["youtube_id"])
