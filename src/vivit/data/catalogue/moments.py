"""Moments in Time: three-second videos, one label each; 339 classes in version 1, 305 in version 2."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.catalogue.annotations import Annotations
from vivit.data.catalogue.catalogue import Catalogue, Split
from vivit.data.catalogue.class_names import class_names
from vivit.data.catalogue.columns import listing
from vivit.data.catalogue.patterns import filled


@dataclass(kw_only=True)
class Moments(Catalogue):
    """Videos of the official lists, which have no header; their first column is ``<class>/<name>.mp4``.

    ``lists`` are files below the root and ``folders`` the folders of their videos; ``classes`` is the official list of
    classes, of which there must be ``count``. The labels of the test split were never published, so the validation
    videos are the test. Mirroring is harmless.
    """

    count: int
    lists: Mapping[str, str]
    folders: Mapping[str, str]
    classes: str = "moments_categories.txt"
    mirror_names: Mapping[str, Mapping[str, str]] | None = field(default_factory=dict)

    @cached_property
    def heads(self) -> Mapping[str, tuple[str, ...]]:
        """The one head, ``label``."""
        return {"label": class_names(self.root / self.classes, self.count)}

    def listed(self, split: Split) -> pa.Table:
        """Read the list of a split."""
        rows = Annotations(self.root / self.lists[split], header=["path"])
        rows.require()
        path = rows.text("path")
        label = pc.fill_null(pc.struct_field(pc.extract_regex(path, "^(?P<label>[^/]+)/"), [0]), "")
        return listing(
            path=filled(self.folders[split] + "/{path}", path=path),
            labels=[rows.classes("path", self.heads["label"], label)],
        )
