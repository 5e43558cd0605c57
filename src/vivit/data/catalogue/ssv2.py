"""Something-Something v2: what hands do with things, 174 templates."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

from vivit.data.catalogue.catalogue import Catalogue, Split
from vivit.data.catalogue.class_names import class_names
from vivit.data.catalogue.columns import listing
from vivit.data.catalogue.patterns import filled

MIRRORED = (
    ("Pulling something from left to right", "Pulling something from right to left"),
    ("Pushing something from left to right", "Pushing something from right to left"),
    ("Turning the camera left while filming something", "Turning the camera right while filming something"),
)
"""The templates that name left and right. "Upright" and "right out", in four others, are no sides."""


@dataclass(kw_only=True)
class SomethingSomething(Catalogue):
    """Videos of the official JSON lists; a class is a template without the brackets round its placeholders.

    The paper and the released code mirror half of the clips and keep their labels, three pairs of which then say the
    opposite of what is seen. Here a mirrored clip takes the label of the pair's other template, which leaves the rate
    of mirroring as published and the labels true; ``swap_labels=False`` is the paper's way, and ``augment.flip=0``
    that of those who do not mirror at all.

    ``lists`` and ``classes`` are files below the root, and ``files`` says where a video lies. The lists of the
    challenge's test split have no templates; they are refused unless ``unlabelled``, when every label is -1.
    """

    lists: Mapping[str, str]
    classes: str = "labels/labels.json"
    files: str = "20bn-something-something-v2/{id}.webm"
    swap_labels: bool = True
    unlabelled: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        both = {a: b for pair in MIRRORED for a, b in (pair, pair[::-1])}
        self.mirror_names = {"label": both} if self.swap_labels else {}

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """The one head, ``label``."""
        return {"label": class_names(self.root / self.classes, 174)}

    def listed(self, split: Split) -> pa.Table:
        """Read the list of a split."""
        numbers = {name: number for number, name in enumerate(self.heads["label"])}
        entries = self._entries(split)
        labels = [self._label(split, at, entry, numbers) for at, entry in enumerate(entries, 1)]
        ids = pa.chunked_array([pa.array([str(entry["id"]) for entry in entries], pa.string())])
        return listing(path=filled(self.files, id=ids), labels=[pa.array(labels, pa.int32())], name=ids)

    def _entries(self, split: Split) -> list[dict[str, Any]]:
        file = self.root / self.lists[split]
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing; it lists the {split} videos with id and template")
        try:
            entries = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from None
        if not isinstance(entries, list) or not entries:
            raise ValueError(f"{file} is not a list of videos")
        return entries

    def _label(self, split: Split, at: int, entry: dict[str, Any], numbers: Mapping[str, int]) -> int:
        where = f"{self.root / self.lists[split]}, entry {at}"
        if not isinstance(entry, dict) or not entry.get("id"):
            raise ValueError(f"{where}, id: the entry is missing")
        if "template" not in entry:
            if self.unlabelled:
                return -1
            raise ValueError(
                f"{where}, template: the entry is missing, so it cannot be scored; set data.catalogue.lists to a "
                "list with templates, or data.catalogue.unlabelled=true to predict without"
            )
        template = entry["template"].replace("[", "").replace("]", "")
        if template not in numbers:
            raise ValueError(f"{where}, template: {entry['template']!r} is not a known class")
        return numbers[template]
