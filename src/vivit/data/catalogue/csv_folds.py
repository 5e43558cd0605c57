"""One CSV file for all splits, cut by groups: what was cut from one source never stands on two sides."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.catalogue.annotations import Annotations
from vivit.data.catalogue.catalogue import Split
from vivit.data.catalogue.csv_files import CsvFiles


@dataclass(kw_only=True)
class CsvFolds(CsvFiles):
    """Cross-validation over the rows of ``file``: fold ``fold`` of ``folds`` is the test, the next one validation.

    Rows with the same entry in the column ``group`` lie in the same fold; folds have about as many videos of each
    class. ``where`` chooses rows by the entries of other columns, as in {"dataset": "surv-fight"}.
    """

    file: str = "videos.csv"
    group: str = "group"
    folds: int = 5
    fold: int = 0
    where: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folds < 3:
            raise ValueError(f"data.catalogue.folds={self.folds} must be at least 3: test, validation, training")
        if not 0 <= self.fold < self.folds:
            raise ValueError(f"data.catalogue.fold={self.fold} must be from 0 to {self.folds - 1}")

    def _rows(self, split: Split) -> Annotations:
        validation = (self.fold + 1) % self.folds
        own = {"test": [self.fold], "val": [validation]}
        folds = own.get(split) or [n for n in range(self.folds) if n not in (self.fold, validation)]
        return self._all.only(pc.is_in(self._fold_of_rows, pa.array(folds)), f"in the folds of {split}")

    @cached_property
    def _all(self) -> Annotations:
        rows = self._read(self.file, "labelled")
        rows.require(self.group, *self.where)
        for column, value in self.where.items():
            rows = rows.only(pc.equal(rows.table[column], str(value)), f"with {column}={value}")
        return rows

    @cached_property
    def _fold_of_rows(self) -> pa.Int64Array:
        groups = self._all.text(self.group).to_pylist()
        folds = balanced(groups, self._all.text(self.columns[0]).to_pylist(), self.folds)
        return pa.array([folds[group] for group in groups])


def balanced(groups: Sequence[str], labels: Sequence[str], folds: int) -> dict[str, int]:
    """Give each group a fold: the largest first, each to the fold that has the fewest videos of its commonest class."""
    content: dict[str, Counter[str]] = defaultdict(Counter)
    for group, label in zip(groups, labels, strict=True):
        content[group][label] += 1
    if len(content) < folds:
        raise ValueError(f"{len(content)} groups cannot be cut into {folds} folds; lower data.catalogue.folds")
    filled = [Counter[str]() for _ in range(folds)]
    chosen = {}
    for group in sorted(content, key=lambda g: (-content[g].total(), g)):
        common = content[group].most_common(1)[0][0]
        fold = min(range(folds), key=lambda f: (filled[f][common], filled[f].total(), f))
        filled[fold] += content[group]
        chosen[group] = fold
    return chosen
