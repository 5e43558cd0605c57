"""Regularisation schedules along training, by hand."""

import pytest

from vivit.errors import ConfigError
from vivit.training.regularisation import Constant, Cosine, Linear, Steps


@pytest.mark.parametrize(
    ("schedule", "strengths"),
    [
        (Constant(0.3), [0.3, 0.3, 0.3, 0.3, 0.3]),
        (Linear(0.0, 0.4), [0.0, 0.1, 0.2, 0.3, 0.4]),
        (Linear(0.4, 0.1, begin=0.25, until=0.75), [0.4, 0.4, 0.25, 0.1, 0.1]),
        (Cosine(0.0, 1.0), [0.0, 0.146447, 0.5, 0.853553, 1.0]),
        (Cosine(0.2, 0.0, begin=0.5), [0.2, 0.2, 0.2, 0.1, 0.0]),
        (Steps([0.1, 0.2, 0.4], at=[0.25, 0.6]), [0.1, 0.2, 0.2, 0.4, 0.4]),
    ],
    ids=str,
)
def test_schedule_strengths_at_every_quarter(schedule, strengths):
    assert [schedule(quarter / 4) for quarter in range(5)] == pytest.approx(strengths, abs=1e-6)


@pytest.mark.parametrize("way", [{"begin": 0.5, "until": 0.5}, {"begin": -0.1}, {"until": 1.5}])
def test_interpolated_schedule_lies_within_training(way):
    with pytest.raises(ConfigError) as error:
        Linear(0.0, 1.0, **way)
    assert error.value.key == "begin"


@pytest.mark.parametrize("at", [[], [0.1, 0.2, 0.3], [0.6, 0.2]])
def test_steps_schedule_needs_one_moment_between_values(at):
    with pytest.raises(ConfigError) as error:
        Steps([0.1, 0.2, 0.4], at=at)
    assert error.value.key == "at"
