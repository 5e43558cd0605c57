"""Names of splits as people write them: ``Train``, ``validation``."""

from collections.abc import Iterable, Mapping

SYNONYMS = {
    "train": ("training",),
    "val": ("validation", "valid", "validate", "dev"),
    "test": ("testing",),
}
"""Other names of each split, in any case of letters."""
_SPLIT_OF = {name: split for split, others in SYNONYMS.items() for name in (split, *others)}


def split_of(name: str) -> str:
    """Return the split that a name means, or the name itself where it means none."""
    return _SPLIT_OF.get(name.strip().casefold(), name)


def named_splits(names: Iterable[str]) -> Mapping[str, list[str]]:
    """Return those of some names that mean a split, by split: its own name first, then alphabetically."""
    names = sorted(names)
    by_split = {split: [name for name in names if split_of(name) == split] for split in SYNONYMS}
    return {
        split: sorted(of_split, key=lambda name: (name != split, name))
        for split, of_split in by_split.items()
        if of_split
    }
