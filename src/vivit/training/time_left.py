"""How long a training still takes: by the time of its steps and validations so far."""

from collections import deque
from dataclasses import dataclass, field

RECENT = 50
"""Steps whose mean is the time of the next ones."""
FORWARD_SHARE = 1 / 3
"""Of the time of a step, which a batch of a validation takes: no gradients."""


@dataclass
class TimeLeft:
    """An estimate that becomes better with every step: of ``steps`` that are left, and of ``validations`` among them.

    ``val_batches`` are the batches of a validation, as large as a step's part; until one was measured they take a third
    of the time of ``parts_a_step``. The first step counts as long as there is no other: it warms up.
    """

    steps: int
    validations: int | float = 0
    val_batches: int = 0
    parts_a_step: int = 1
    _times: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT))
    _first: float | None = None
    _validation: float | None = None

    def add_step(self, seconds: int | float) -> None:
        """Count a step that took some seconds, its wait for data included."""
        self.steps = max(0, self.steps - 1)
        if self._first is None:
            self._first = seconds
        else:
            self._times.append(seconds)

    def add_validation(self, seconds: int | float) -> None:
        """Count a validation."""
        self.validations = max(0, self.validations - 1)
        self._validation = seconds

    @property
    def step_seconds(self) -> float:
        """Mean time of the last steps; of the first, where there is no other; 0 before it."""
        return sum(self._times) / len(self._times) if self._times else self._first or 0.0

    @property
    def validation_seconds(self) -> float:
        """Time of a validation: of the last one, or a guess."""
        if self._validation is not None:
            return self._validation
        return self.val_batches * self.step_seconds / self.parts_a_step * FORWARD_SHARE

    def seconds(self) -> float:
        """Return the seconds that are left."""
        return self.steps * self.step_seconds + self.validations * self.validation_seconds
