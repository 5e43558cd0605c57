"""Cross-validation over the rows of one CSV file, cut into folds by groups."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.datasets.base import SPLITS, Split
from vivit.data.datasets.csv import CsvDataset
from vivit.data.datasets.csv_reader import CsvTable
from vivit.data.datasets.registry import register_dataset
from vivit.errors import ConfigError


@register_dataset("csv_folds")
@dataclass(kw_only=True)
class CsvKFold(CsvDataset):
    """Cross-validation over the rows of ``file``: fold ``fold`` of ``folds`` is the test, the next one validation.

    Rows with the same entry in the column ``group`` are in the same fold, so clips of one source never are in two
    splits; folds have about equally many videos of each class. ``filter`` selects rows by the entries of other columns,
    as in {"dataset": "surv-fight"}.
    """

    folds: int = 5
    fold: int = 0
    filter: Mapping[str, str | int | float | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folds < 3:
            raise ConfigError(
                "data.dataset.folds", self.folds, "is too few for test, validation and training", "set 3 or more"
            )
        if not 0 <= self.fold < self.folds:
            raise ConfigError("data.dataset.fold", self.fold, "there is no such fold", f"set 0 to {self.folds - 1}")

    @property
    def listed_splits(self) -> tuple[Split, ...]:
        """All of them: every fold but two is for training."""
        return SPLITS

    def csv_rows(self, split: Split) -> CsvTable:
        """Return the rows of a split's folds."""
        validation = (self.fold + 1) % self.folds
        eval_folds = {"test": [self.fold], "val": [validation]}
        folds = eval_folds.get(split) or [n for n in range(self.folds) if n not in (self.fold, validation)]
        return self._all_rows.filter(pc.is_in(self._fold_of_rows, pa.array(folds)), f"in the folds of {split}")

    @cached_property
    def _all_rows(self) -> CsvTable:
        rows = self._read(self.file, "labelled")
        rows.require(self.group, *self.filter)
        for column, value in self.filter.items():
            rows = rows.filter(pc.equal(rows.table[column], str(value)), f"with {column}={value}")
        return rows

    @cached_property
    def _fold_of_rows(self) -> pa.Int64Array:
        groups = self._all_rows.text(self.group).to_pylist()
        rows, labels = self._all_rows, self._all_label_columns
        columns = labels[:1] if self.label_columns else labels  # entries of 0 and 1 are one class together
        entries = [(rows.table[c] if self.separators or c != labels[0] else rows.text(c)).to_pylist() for c in columns]
        classes = [" ".join(entry) for entry in zip(*entries, strict=True)]
        folds = stratified_group_folds(groups, classes, self.folds)
        return pa.array([folds[group] for group in groups])


def stratified_group_folds(groups: Sequence[str], labels: Sequence[str], folds: int) -> dict[str, int]:
    """Return the fold of each group: the largest first, each the fold with the fewest videos of its commonest class."""
    content: dict[str, Counter[str]] = defaultdict(Counter)
    for group, label in zip(groups, labels, strict=True):
        content[group][label] += 1
    if len(content) < folds:
        remedy = f"set {len(content)} or less" if len(content) >= 3 else "list videos of three groups or more"
        raise ConfigError("data.dataset.folds", folds, f"there are only {len(content)} groups", remedy)
    counts = [Counter[str]() for _ in range(folds)]
    fold_of = {}
    for group in sorted(content, key=lambda g: (-content[g].total(), g)):
        common = content[group].most_common(1)[0][0]
        fold = min(range(folds), key=lambda f: (counts[f][common], counts[f].total(), f))
        counts[fold] += content[group]
        fold_of[group] = fold
    return fold_of
