"""Exponents of known curves, and expected exponents of networks."""

import numpy as np
import pytest

from vivit.benchmarks.scaling import Curve, Point, scaling_rows
from vivit.errors import ConfigError

FEW = {
    "size": "tiny",
    "frames": [4, 8],
    "image_sizes": [16, 32],
    "fixed_image_size": 32,
    "fixed_num_frames": 8,
    "tokens": [33, 65],
    "repeats": 1,
}


def test_exponents_of_power_laws() -> None:
    points = [Point(n, tokens=3 * n, gmac=n**1.5, seconds=0.1 * n**2, memory_mb=7.0 * n**-1) for n in (2, 4, 16)]
    curve = Curve("any", "frames", points)
    assert [curve.exponent(quantity) for quantity in ("tokens", "gmac", "seconds", "memory_mb")] == pytest.approx(
        [1, 1.5, 2, -1]
    )


def test_scaling_rows_and_plot(tmp_path) -> None:
    models = ["spatiotemporal", "factorised_encoder"]
    rows = scaling_rows(models=models, picture=str(tmp_path / "growth.png"), **FEW)
    assert [(row["case"], row["over"], row["range"]) for row in rows] == [
        *((model, "frames", "4 to 8") for model in models),
        *((model, "side", "16 to 32") for model in models),
        ("attention of Model 1", "tokens", "33 to 65"),
    ]
    assert (tmp_path / "growth.png").stat().st_size > 10_000
    for row in rows:
        assert len(row["points"]) == 2
        assert all(np.isfinite([row["time"], row["memory"]]))
        assert row["memory_expected"] == pytest.approx(2 if row["over"] == "side" else 1)
    spatiotemporal, encoder, *_, attention = rows
    assert attention["time_expected"] == pytest.approx(2)
    assert 1 < spatiotemporal["time_expected"] < 2, "linear parts and attention, which grows with the square"
    assert encoder["time_expected"] < spatiotemporal["time_expected"], "attention in space alone grows as the frames do"


@pytest.mark.parametrize("axis", ["frames", "image_sizes", "tokens"])
def test_axis_with_one_value_is_a_config_error(axis: str) -> None:
    with pytest.raises(ConfigError) as error:
        scaling_rows(models=["average_pool"], picture="unused.png", **(FEW | {axis: [8]}))
    assert (error.value.key, error.value.value) == (f"bench.{axis}", [8])


@pytest.mark.parametrize(("key", "wrong"), [("models", ["vivit"]), ("size", "big")])
def test_unknown_name_is_a_config_error(key: str, wrong: object) -> None:
    with pytest.raises(ConfigError) as error:
        scaling_rows(**({"models": ["average_pool"], "picture": "unused.png"} | FEW | {key: wrong}))
    assert (error.value.key, error.value.value) == (f"bench.{key}", wrong)


def test_no_repetition_is_a_config_error() -> None:
    with pytest.raises(ConfigError) as error:
        scaling_rows(models=["average_pool"], picture="unused.png", **(FEW | {"repeats": 0}))
    assert (error.value.key, error.value.value) == ("bench.repeats", 0)
