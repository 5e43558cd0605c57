"""The kernels of attention side by side: the shapes that networks have, and the rule's regret."""

import pytest
import torch

from vivit.benchmarks import kernels
from vivit.benchmarks.kernels import Shape, attention_shapes, kernel_rows
from vivit.benchmarks.model import ModelSpec
from vivit.errors import ConfigError
from vivit.models import attention_kernels

SETTINGS = {"size": "tiny", "frames": 4, "image_size": 32, "batch": 2, "repeats": 1}


def test_shapes_are_those_of_the_forward_pass() -> None:
    """B/16x2 of 32 frames: 16 x 14 x 14 tokens; the last layer asks for the class token alone."""
    selected = attention_kernels.select_kernel
    spec = ModelSpec("", "factorised_encoder", "base", None, None)
    of_space = [Shape(48, 197, 197, 12, 64), Shape(48, 1, 197, 12, 64)]
    assert attention_shapes(spec, 3) == [*of_space, Shape(3, 17, 17, 12, 64), Shape(3, 1, 17, 12, 64)]
    spec = ModelSpec("", "factorised_dot_product", "base", None, None)
    assert attention_shapes(spec, 1) == [Shape(196, 16, 16, 6, 64), Shape(16, 196, 196, 6, 64)]
    assert attention_kernels.select_kernel is selected


def test_regret_is_the_time_of_the_rule_s_choice_over_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([9.0, 9.0, 9.0, 3.0, 2.0, 4.0] * 99)  # of three kernels, twice: the first round does not count
    monkeypatch.setattr(kernels, "measure_seconds", lambda run, device: (run(), next(seconds))[1])
    rows = kernel_rows(models=["factorised_encoder", "average_pool"], precisions=["fp32"], **SETTINGS)
    assert [row["phase"] for row in rows] == ["forward", "train"] * (len(rows) // 2)
    assert rows[0]["name"] == "factorised_encoder, average_pool"
    assert rows[-1]["name"] == "factorised_encoder"
    for row in rows:
        assert (row["fused_ms"], row["written_out_ms"], row["blocks_ms"]) == (3000, 2000, 4000)
        assert (row["chosen"], row["regret"]) == ("fused", 1.5)


def test_the_way_back_is_timed_in_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16 with the rule of this machine."""
    backward: list[bool] = []
    grad = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *x: backward.append(True) or grad(*x))
    (shape,) = attention_shapes(ModelSpec("", "spatiotemporal", "tiny", None, None, 4, 32), 1)[:1]
    for phase, calls in (("forward", 0), ("train", 6)):
        backward.clear()
        times, chosen = kernels._time_kernels(shape, torch.bfloat16, phase, 1, torch.device("cpu"))
        assert len(backward) == calls
        assert all(value > 0 for value in times.values())
        assert chosen in times


def test_unknown_names_are_refused() -> None:
    for wrong in ({"models": ["resnet"]}, {"precisions": ["fp8"]}, {"size": "small"}, {"repeats": 0}):
        with pytest.raises(ConfigError):
            kernel_rows(**{"models": ["average_pool"], "precisions": ["fp32"], **SETTINGS, **wrong})
