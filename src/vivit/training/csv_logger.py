"""``metrics.csv``: one row for each time of logging, over all starts of a run."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only

from vivit.io import atomic_write
from vivit.training.lightning_compat import has_experiment, rank_zero_experiment

COMMON_COLUMNS = {"step", "epoch"}
"""Columns of every row."""
STARTED = "started_at_step"
"""Hyperparameter that holds the step at which a run starts or resumes."""


class ResumableCSVLogger(CSVLogger):
    """Lightning's CSV logger, except that a resumed run appends to its file, which Lightning's deletes.

    Rows of steps that are repeated, because they came behind the last checkpoint, are replaced by the new ones, so that
    every step is in the file once.
    """

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The file, opened at the first access; on ranks above 0 an object that does nothing."""
        if not has_experiment(self):
            self._experiment = MetricsWriter(self.log_dir)
        return self._experiment

    @rank_zero_only
    def log_hyperparams(self, params: Any = None) -> None:
        """Store the hyperparameters, and drop rows from the step on that they name as the start."""
        super().log_hyperparams(params)
        if isinstance(params, Mapping) and STARTED in params:
            self.experiment.resume(int(params[STARTED]))


class MetricsWriter(ExperimentWriter):
    """The rows of a file, of which all that are saved stay, also after new columns or a kill in mid-write."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        self.file = Path(self.metrics_file_path)
        self._resumed = False

    def resume(self, step: int) -> None:
        """Drop what was logged at ``step`` and behind, which is repeated now."""
        self._resumed = True
        self._rewrite([row for row in self._read() if int(row["step"]) < step])

    def log_metrics(self, metrics_dict: dict[str, float], step: int | None = None) -> None:
        """Add a row, to be saved. The first one, without a call of ``resume``, replaces later rows of its columns."""
        if not self._resumed and step is not None:
            self._resumed = True
            columns = metrics_dict.keys() - COMMON_COLUMNS
            self._rewrite(
                [row for row in self._read() if int(row["step"]) < step or not any(row.get(name) for name in columns)]
            )
        super().log_metrics(metrics_dict, step)

    def save(self) -> None:
        """Write the rows since the last time."""
        if not self.metrics:
            return
        if self._record_new_keys() or not self.file.is_file():
            self._write([*self._read(), *self.metrics])
        else:
            with self.file.open("a", newline="", encoding="utf-8") as file:
                file.write(self._format(self.metrics))
        self.metrics = []

    def _rewrite(self, rows: list[dict[str, Any]]) -> None:
        if self.file.is_file():
            self.metrics_keys = sorted(set().union(*rows))
            self._write(rows)

    def _read(self) -> list[dict[str, Any]]:
        """Read all complete rows; a last one that was cut off is left out."""
        if not self.file.is_file():
            return []
        with self.file.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if None not in row and None not in row.values() and row["step"]]

    def _write(self, rows: list[dict[str, Any]]) -> None:
        """Write all rows, beside the file first, so that at no moment there is less than before."""
        header = io.StringIO(newline="")
        csv.DictWriter(header, self.metrics_keys).writeheader()
        with atomic_write(self.file) as partial:
            partial.write_text(header.getvalue() + self._format(rows), encoding="utf-8", newline="")

    def _format(self, rows: list[dict[str, Any]]) -> str:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self.metrics_keys).writerows(rows)
        return text.getvalue()

    def _check_log_dir_exists(self) -> None:
        """Do nothing: the file of an earlier start stays."""
