"""The embedded data set: generated on first use, then read from its CSV files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vivit.data.datasets.csv import CsvDataset
from vivit.data.datasets.motion.drawing import MIRROR, NOUNS, VERBS
from vivit.data.datasets.motion.generation import generate_if_missing
from vivit.errors import ConfigError


@dataclass(kw_only=True)
class Motion(CsvDataset):
    """The embedded data set. ``columns`` are its heads: ["verb"], or ["noun", "verb"] as EPIC-Kitchens has them."""

    columns: Sequence[str] = ("verb",)
    classes: Mapping[str, Sequence[str]] | None = field(default_factory=lambda: {"verb": VERBS, "noun": NOUNS})

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := sorted(set(self.columns) - {"verb", "noun"}):
            raise ConfigError(
                "data.catalogue.columns",
                list(self.columns),
                f"motion has no label {', '.join(unknown)}",
                "choose from verb and noun",
            )
        self.mirror_names = {"verb": MIRROR} if "verb" in self.columns else {}

    def prepare(self) -> None:
        """Generate the videos if they are missing."""
        generate_if_missing(self.root)
