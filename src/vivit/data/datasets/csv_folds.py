"""Cross-validation over the rows of one CSV file, cut into folds by groups."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from vivit.data.datasets.base import SPLITS, Split
from vivit.data.datasets.csv import CsvDataset
from vivit.data.datasets.csv_reader import CsvTable
from vivit.data.datasets.registry import register_dataset
from vivit.errors import ConfigError, DataError
from vivit.groups import stratified_group_folds


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
        rows, labels = self._all_rows, self._all_label_columns
        columns = labels[:1] if self.label_columns else labels  # entries of 0 and 1 are one class together
        entries = [(rows.table[c] if self.separators or c != labels[0] else rows.text(c)).to_pylist() for c in columns]
        classes = [" ".join(entry) for entry in zip(*entries, strict=True)]
        groups = rows.text(self.group).to_pylist()
        folds = stratified_group_folds(groups, classes, self.folds, "data.dataset.folds")
        return pa.array([folds[group] for group in groups])

    def assignments(self) -> dict[str, tuple[str, int]]:
        """Return group and fold of every listed video by its path, as listed, whether it is usable or not.

        Raises DataError for a path that is listed with two groups.
        """
        rows = self._all_rows
        answer: dict[str, tuple[str, int]] = {}
        columns = (rows.text("path").to_pylist(), rows.text(self.group).to_pylist(), self._fold_of_rows.to_pylist())
        for path, group, fold in zip(*columns, strict=True):
            if answer.setdefault(path, (group, fold))[0] != group:
                raise DataError(rows.file, f"has {path} in two groups", "list it in one", column=self.group)
        return answer
