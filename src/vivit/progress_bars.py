"""Progress of long work: a bar on a terminal, and a line now and then in a file, a pipe or the log of a queue."""

import sys
from typing import Any

from tqdm import tqdm

LINES_EVERY = 30.0
"""Seconds from one line to the next where there is no terminal."""
LINE = "{desc}: {n_fmt} of {total_fmt}{unit} after {elapsed}, {remaining} left"


class ProgressBar(tqdm):  # type: ignore[type-arg]
    """A bar of tqdm that moves no cursor where there is no terminal: there it prints lines, half a minute apart."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._prints_lines = not (options.get("file") or sys.stderr).isatty()
        if self._prints_lines:
            options |= {"mininterval": LINES_EVERY, "miniters": 1, "bar_format": LINE}
        super().__init__(*args, **options)

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        """Draw the bar, or print it as a line."""
        if not self._prints_lines:
            super().display(msg, pos)
        elif msg != "":  # which clears a bar that is left
            print(msg or str(self), file=self.fp, flush=True)

    def close(self) -> None:
        """End the bar; of lines the last one says how much was done."""
        if self._prints_lines and not self.disable:
            if self.last_print_n != self.n:
                self.display()
            self.disable = True
            type(self)._instances.discard(self)  # type: ignore[attr-defined]
            return
        super().close()
