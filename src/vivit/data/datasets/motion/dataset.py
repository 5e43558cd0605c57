"""The embedded data set: generated on first use, then read from its CSV files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vivit.data.datasets.csv import CsvDataset
from vivit.data.datasets.motion.generation import generate_if_missing
from vivit.data.datasets.motion.scenes import FORMAT, MIRROR, REVERSE, VERBS
from vivit.data.datasets.motion.shapes import NOUNS
from vivit.data.datasets.registry import register_dataset
from vivit.data.transforms.flip import ClassNameMap, Flip
from vivit.errors import ConfigError


@register_dataset("motion")
@dataclass(kw_only=True)
class Motion(CsvDataset):
    """The embedded data set. ``label_columns`` are its heads: ["verb"], or ["noun", "verb"] as in EPIC-Kitchens.

    ``format`` is the version of how its videos are drawn, for results to be compared by; this code draws one.
    """

    label_columns: Sequence[str] = ("verb",)
    format: int = FORMAT
    classes: Mapping[str, Sequence[str]] | None = field(default_factory=lambda: {"verb": VERBS, "noun": NOUNS})
    flip: Flip = field(init=False, default="harmless")
    backwards: ClassNameMap = field(default_factory=lambda: {"verb": REVERSE})
    generated = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format != FORMAT:
            raise ConfigError("data.dataset.format", self.format, f"this code draws format {FORMAT}", "leave it out")
        if unknown := sorted(set(self.label_columns) - {"verb", "noun"}):
            raise ConfigError(
                "data.dataset.label_columns",
                list(self.label_columns),
                f"motion has no label {', '.join(unknown)}",
                "choose from verb and noun",
            )
        has_verb = "verb" in self.label_columns
        self.flip = {"verb": MIRROR} if has_verb else "harmless"
        self.backwards = self.backwards if has_verb else {}

    def prepare(self) -> None:
        """Generate the videos if they are missing."""
        if not isinstance(self.root, Path):
            problem = "the videos of this data set are drawn into a folder of a local disk"
            raise ConfigError("data.root", str(self.root), problem, "set one")
        generate_if_missing(self.root)
