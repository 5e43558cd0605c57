"""Something-Something v2: what hands do with things, 174 templates."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from vivit.data.datasets.base import Split, VideoDataset
from vivit.data.datasets.class_names import describe_nearest, read_class_names
from vivit.data.datasets.registry import register_dataset
from vivit.data.datasets.video_table import format_paths, make_table
from vivit.data.transforms.flip import Flip
from vivit.errors import DataError

LEFT_RIGHT_PAIRS = (
    ("Pulling something from left to right", "Pulling something from right to left"),
    ("Pushing something from left to right", "Pushing something from right to left"),
    ("Turning the camera left while filming something", "Turning the camera right while filming something"),
)
"""The templates that name left and right. "Upright" and "right out", in four others, are no sides."""


@register_dataset("ssv2")
@dataclass(kw_only=True)
class SomethingSomething(VideoDataset):
    """Videos of the official JSON lists; a class is a template without the brackets round its placeholders.

    The paper and the released code flip half of the clips and do not change their labels, so that three pairs of labels
    contradict the clips. Here a flipped clip has the label of the pair's other template, which leaves the rate of flips
    as published and the labels true; ``swap_labels_on_flip=False`` is the paper's way, and ``augment.hflip_prob=0``
    disables flips.

    ``annotation_files`` and ``class_file`` are files below the root, and ``path_template`` is the template of a video's
    path. The lists of the challenge's test split have no templates; they are refused unless ``allow_unlabelled``, when
    every label is -1.
    """

    annotation_files: Mapping[str, str]
    class_file: str = "labels/labels.json"
    path_template: str = "20bn-something-something-v2/{id}.webm"
    swap_labels_on_flip: bool = True
    allow_unlabelled: bool = False
    flip: Flip = field(init=False, default="harmless")

    def __post_init__(self) -> None:
        super().__post_init__()
        swaps = {a: b for pair in LEFT_RIGHT_PAIRS for a, b in (pair, pair[::-1])}
        self.flip = {"label": swaps} if self.swap_labels_on_flip else "harmless"

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """The one head, ``label``."""
        return {"label": read_class_names(self.root / self.class_file, 174)}

    def table(self, split: Split) -> pa.Table:
        """Return the videos of a split's list."""
        numbers = {name: number for number, name in enumerate(self.heads["label"])}
        entries = self._entries(split)
        labels = [self._label(split, row, entry, numbers) for row, entry in enumerate(entries, 1)]
        ids = pa.chunked_array([pa.array([str(entry["id"]) for entry in entries], pa.string())])
        return make_table(
            path=format_paths(self.path_template, id=ids), labels=[pa.array(labels, pa.int32())], name=ids
        )

    def _entries(self, split: Split) -> list[dict[str, Any]]:
        file = self.root / self.annotation_files[split]
        if not file.is_file():
            raise DataError(file, "there is no such file", f"it lists the {split} videos with id and template")
        try:
            entries = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(file, str(error)) from None
        if not isinstance(entries, list) or not entries:
            raise DataError(file, "is not a list of videos")
        return entries

    def _label(self, split: Split, row: int, entry: dict[str, Any], numbers: Mapping[str, int]) -> int:
        file = self.root / self.annotation_files[split]
        if not isinstance(entry, dict) or not entry.get("id"):
            raise DataError(file, "the entry is missing", row=row, column="id")
        if "template" not in entry:
            if self.allow_unlabelled:
                return -1
            raise DataError(
                file,
                "the entry is missing, so it cannot be scored",
                "set data.dataset.annotation_files to a list with templates, or, to predict, "
                "data.dataset.allow_unlabelled=true",
                row=row,
                column="template",
            )
        template = entry["template"].replace("[", "").replace("]", "")
        if template not in numbers:
            problem = f"{entry['template']!r} is not a known class"
            raise DataError(file, problem, describe_nearest(template, numbers), row=row, column="template")
        return numbers[template]
