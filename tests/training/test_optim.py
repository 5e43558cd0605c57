"""The learning rate, by the numbers of the paper's Kinetics-400 runs, and the optimiser that gets it."""

import json
from collections.abc import Mapping
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from vivit.training.optim import Recipe, warmup_cosine


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 0.0), (1, 0.1 / 8390), (4195, 0.05), (8390, 0.1), (54535, 0.05), (100680, 0.0)]
)
def test_check_values_of_kinetics_400(step: int, rate: float) -> None:
    assert 0.1 * warmup_cosine(step, 8390, 100680) == pytest.approx(rate, abs=1e-12)


@pytest.mark.parametrize("run", ["k400_base_unfactorised", "k400_base_factorised_encoder"])
def test_the_schedule_equals_the_reference(run: str, reference_numbers: Mapping[str, np.ndarray]) -> None:
    config = json.loads(str(reference_numbers[f"lr/{run}/config"]))
    steps = reference_numbers[f"lr/{run}/steps"]
    trained = steps < config["total_steps"]
    assert trained.sum() >= 20
    found = [
        config["base_learning_rate"] * warmup_cosine(int(step), config["warmup_steps"], config["total_steps"])
        for step in steps[trained]
    ]
    np.testing.assert_allclose(found, reference_numbers[f"lr/{run}/values"][trained], atol=1e-7, rtol=0)


def test_without_warm_up_the_first_step_has_the_full_rate() -> None:
    assert [warmup_cosine(step, 0, 4) for step in range(5)] == pytest.approx([1, 0.853553, 0.5, 0.146447, 0], abs=1e-6)


def test_a_recipe_warms_up_in_epochs_and_steps_its_schedule() -> None:
    network = nn.Linear(2, 3)
    optimiser, schedule = Recipe(partial(torch.optim.SGD, lr=0.5, momentum=0.9), 1.5)(network, steps=8, epochs=4)
    rates = []
    for _ in range(8):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    assert rates == pytest.approx([0.5 * warmup_cosine(step, 3, 8) for step in range(8)])
    assert rates[3] == max(rates) == 0.5


def test_frozen_parameters_are_left_out() -> None:
    network = nn.Linear(2, 3)
    network.bias.requires_grad_(False)
    optimiser, _ = Recipe(partial(torch.optim.SGD, lr=0.5), 0.0)(network, steps=8, epochs=4)
    assert [parameter.shape for parameter in optimiser.param_groups[0]["params"]] == [(3, 2)]


def test_the_update_is_the_reference_s_momentum() -> None:
    """Buffer 0.9 m + g, step lr * m: no dampening, no Nesterov."""
    parameter = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimiser, _ = Recipe(partial(torch.optim.SGD, lr=0.5, momentum=0.9), 0.0)(
        nn.ParameterList([parameter]), steps=9, epochs=3
    )
    momentum, expected = torch.zeros(2), parameter.detach().clone()
    for gradient in (torch.tensor([1.0, 2.0]), torch.tensor([-3.0, 0.5])):
        parameter.grad = gradient
        optimiser.step()
        momentum = 0.9 * momentum + gradient
        expected = expected - 0.5 * momentum
        torch.testing.assert_close(parameter.detach(), expected)


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match=r"optim\.warmup_epochs=3.0 leaves nothing of a run of 2 epochs"):
        Recipe(partial(torch.optim.SGD, lr=0.5), 3.0)(nn.Linear(2, 3), steps=8, epochs=2)
