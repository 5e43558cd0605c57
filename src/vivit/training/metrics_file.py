"""``metrics.csv``: one row a moment of logging, over all starts of a run."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only

from vivit.io import atomic_write

ALWAYS = {"step", "epoch"}
"""Columns of every row."""
STARTED = "started_at_step"
"""By what name a run says, before it trains, which step it goes on from."""


class MetricsFile(CSVLogger):
    """Lightning's log in CSV, which a run that goes on adds to; Lightning's own is deleted then.

    Rows of steps that are done again, because they came behind the last checkpoint, give way to the new ones, so that
    no step is there twice.
    """

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The file, looked at when it is first asked for; on other ranks than the first something that does nothing."""
        if self._experiment is None:
            self._experiment = Rows(self.log_dir)
        return self._experiment

    @rank_zero_only
    def log_hyperparams(self, params: Any = None) -> None:
        """Keep what a run is made of, and go on from the step that it says it starts at."""
        super().log_hyperparams(params)
        if isinstance(params, Mapping) and STARTED in params:
            self.experiment.go_on(int(params[STARTED]))


class Rows(ExperimentWriter):
    """The rows of a file, of which all that are saved stay whatever comes: new columns, a kill in mid-write."""

    def __init__(self, log_dir: str) -> None:
        super().__init__(log_dir)
        self.file = Path(self.metrics_file_path)
        self._goes_on = False

    def go_on(self, step: int) -> None:
        """Drop what was logged at ``step`` and behind, which is done again now."""
        self._goes_on = True
        self._keep([row for row in self._read() if int(row["step"]) < step])

    def log_metrics(self, metrics_dict: dict[str, float], step: int | None = None) -> None:
        """Take a row, to be saved; the first of a start that has said nothing takes the place of its like."""
        if not self._goes_on and step is not None:
            self._goes_on = True
            new = metrics_dict.keys() - ALWAYS
            self._keep([r for r in self._read() if int(r["step"]) < step or not any(r.get(name) for name in new)])
        super().log_metrics(metrics_dict, step)

    def save(self) -> None:
        """Write what was logged since the last time."""
        if not self.metrics:
            return
        if self._record_new_keys() or not self.file.is_file():
            self._write([*self._read(), *self.metrics])
        else:
            with self.file.open("a", newline="", encoding="utf-8") as file:
                file.write(self._lines(self.metrics))
        self.metrics = []

    def _keep(self, rows: list[dict[str, Any]]) -> None:
        if self.file.is_file():
            self.metrics_keys = sorted(set().union(*rows))
            self._write(rows)

    def _read(self) -> list[dict[str, Any]]:
        """Read all whole rows; a last one that was cut off is left out."""
        if not self.file.is_file():
            return []
        with self.file.open(newline="", encoding="utf-8") as file:
            return [row for row in csv.DictReader(file) if None not in row and None not in row.values() and row["step"]]

    def _write(self, rows: list[dict[str, Any]]) -> None:
        """Write the whole file, beside it first, so that at no moment there is less than before."""
        header = io.StringIO(newline="")
        csv.DictWriter(header, self.metrics_keys).writeheader()
        with atomic_write(self.file) as partial:
            partial.write_text(header.getvalue() + self._lines(rows), encoding="utf-8", newline="")

    def _lines(self, rows: list[dict[str, Any]]) -> str:
        text = io.StringIO(newline="")
        csv.DictWriter(text, self.metrics_keys).writerows(rows)
        return text.getvalue()

    def _check_log_dir_exists(self) -> None:
        """Leave the file of an earlier start where it is."""
