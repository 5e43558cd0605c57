"""Moments in Time: three-second videos, one label each; 339 classes in version 1, 305 in version 2."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.datasets.base import Split, VideoDataset
from vivit.data.datasets.class_names import read_class_names
from vivit.data.datasets.csv_reader import CsvTable
from vivit.data.datasets.registry import register_dataset
from vivit.data.datasets.video_table import format_paths, make_table
from vivit.data.transforms.flip import Flip


@register_dataset("moments")
@dataclass(kw_only=True)
class Moments(VideoDataset):
    """Videos of the official lists, which have no header; their first column is ``<class>/<name>.mp4``.

    ``annotation_files`` are files below the root and ``folders`` the folders of their videos; ``class_file`` is the
    official list of ``num_classes`` classes. The labels of the test split were never published, so the validation
    videos are the test. Flips are harmless.
    """

    num_classes: int
    annotation_files: Mapping[str, str]
    folders: Mapping[str, str]
    class_file: str = "moments_categories.txt"
    flip: Flip = "harmless"

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """The one head, ``label``."""
        return {"label": read_class_names(self.root / self.class_file, self.num_classes)}

    def csv_rows(self, split: Split) -> CsvTable:
        """Return the rows of a split's list."""
        return CsvTable(self.root / self.annotation_files[split], header=["path"])

    def table(self, split: Split) -> pa.Table:
        """Return the videos of a split's list."""
        rows = self.csv_rows(split)
        rows.require()
        path = rows.text("path")
        label = pc.fill_null(pc.struct_field(pc.extract_regex(path, "^(?P<label>[^/]+)/"), [0]), "")
        return make_table(
            path=format_paths(self.folders[split] + "/{path}", path=path),
            labels=[rows.class_ids("path", self.heads["label"], label)],
        )
