"""The embedded data set as a catalogue: drawn on first use, then read from its CSV files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vivit.data import motion
from vivit.data.catalogue.csv_files import CsvFiles


@dataclass(kw_only=True)
class Motion(CsvFiles):
    """``columns`` chooses the heads: ["verb"], or ["noun", "verb"] as EPIC-Kitchens has them."""

    columns: Sequence[str] = ("verb",)
    classes: Mapping[str, Sequence[str]] | None = field(
        default_factory=lambda: {"verb": motion.VERBS, "noun": motion.NOUNS}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := set(self.columns) - {"verb", "noun"}:
            raise ValueError(f"the heads of motion are verb and noun, not {sorted(unknown)}")
        self.mirror_names = {"verb": motion.MIRROR} if "verb" in self.columns else {}

    def prepare(self) -> None:
        """Draw and encode the videos if they are not there."""
        motion.ensure(self.root)
