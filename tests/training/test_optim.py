"""The learning rate, by the numbers of the paper's Kinetics-400 runs, and the optimizer that gets it."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from networks import make_network
from torch import nn

from vivit.errors import ConfigError
from vivit.models import FactorisedEncoder, SpatioTemporal, Tubelets
from vivit.models.factorised_encoder import AttentivePool
from vivit.training import RegularisationScheduler
from vivit.training.optim import LayerDecay, OptimizerConfig, no_weight_decay, warmup_cosine


@pytest.mark.parametrize(
    ("step", "rate"), [(0, 0.0), (1, 0.1 / 8390), (4195, 0.05), (8390, 0.1), (54535, 0.05), (100680, 0.0)]
)
def test_lr_schedule_values_of_kinetics_400(step: int, rate: float) -> None:
    assert 0.1 * warmup_cosine(step, 8390, 100680) == pytest.approx(rate, abs=1e-12)


@pytest.mark.parametrize("run", ["k400_base_unfactorised", "k400_base_factorised_encoder"])
def test_lr_schedule_equals_the_reference(run: str, reference_numbers: Mapping[str, np.ndarray]) -> None:
    config = json.loads(str(reference_numbers[f"lr/{run}/config"]))
    steps = reference_numbers[f"lr/{run}/steps"]
    trained = steps < config["total_steps"]
    assert trained.sum() >= 20
    found = [
        config["base_learning_rate"] * warmup_cosine(int(step), config["warmup_steps"], config["total_steps"])
        for step in steps[trained]
    ]
    np.testing.assert_allclose(found, reference_numbers[f"lr/{run}/values"][trained], atol=1e-7, rtol=0)


def test_lr_schedule_without_warm_up_starts_at_the_full_rate() -> None:
    assert [warmup_cosine(step, 0, 4) for step in range(5)] == pytest.approx([1, 0.853553, 0.5, 0.146447, 0], abs=1e-6)


def test_optimizer_config_warms_up_in_epochs_and_steps_its_schedule() -> None:
    network = nn.Linear(2, 3)
    optimizer, schedule = OptimizerConfig(partial(torch.optim.SGD, lr=0.5, momentum=0.9), 1.5)(
        network, total_steps=8, steps_per_epoch=2
    )
    rates = []
    for _ in range(8):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.5 * warmup_cosine(step, 3, 8) for step in range(8)])
    assert rates[3] == max(rates) == 0.5


@pytest.mark.parametrize(
    ("optimizer", "options", "fused", "expected"),
    [
        (torch.optim.AdamW, {}, "auto", True),
        (torch.optim.SGD, {"momentum": 0.9}, "auto", True),
        (torch.optim.RAdam, {}, "auto", None),
        (torch.optim.AdamW, {"foreach": True}, "auto", None),
        (torch.optim.AdamW, {"fused": False}, "auto", False),
        (torch.optim.AdamW, {}, False, None),
        (torch.optim.RAdam, {}, False, None),
    ],
    ids=str,
)
def test_optimizer_is_fused_where_the_device_is_one_for_it_and_its_class_has_the_form(
    optimizer: Any, options: dict[str, Any], fused: Any, expected: bool | None
) -> None:
    """What is typed beside the optimizer counts; where it is none, torch chooses as it does without us."""
    recipe = OptimizerConfig(partial(optimizer, lr=0.5, **options), 0.0, fused=fused)
    for fuse, found in ((True, expected), (False, options.get("fused"))):
        made, _ = recipe(nn.Linear(2, 3), total_steps=8, steps_per_epoch=2, fuse=fuse)
        assert made.param_groups[0].get("fused") is found


def test_fused_optimizer_is_used_on_any_device_when_it_is_set() -> None:
    for fused, optimizer in ((True, torch.optim.AdamW), (True, torch.optim.SGD)):
        recipe = OptimizerConfig(partial(optimizer, lr=0.5), 0.0, fused=fused)
        made, _ = recipe(nn.Linear(2, 3), total_steps=8, steps_per_epoch=2)
        assert made.param_groups[0]["fused"] is True


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(("optimizer", "fused"), [(torch.optim.RAdam, True), (torch.optim.AdamW, "sometimes")])
def test_fused_optimizer_that_there_is_not_is_refused(optimizer: Any, fused: Any) -> None:
    with pytest.raises(ConfigError) as error:
        OptimizerConfig(partial(optimizer, lr=0.5), 0.0, fused=fused)(nn.Linear(2, 3), total_steps=8, steps_per_epoch=2)
    assert (error.value.key, error.value.value) == ("optim.fused", fused)


def test_optimizer_leaves_frozen_parameters_out() -> None:
    network = nn.Linear(2, 3)
    network.bias.requires_grad_(False)
    optimizer, _ = OptimizerConfig(partial(torch.optim.SGD, lr=0.5), 0.0)(network, total_steps=8, steps_per_epoch=2)
    assert [parameter.shape for parameter in optimizer.param_groups[0]["params"]] == [(3, 2)]


def test_sgd_update_is_the_reference_s_momentum() -> None:
    """Buffer 0.9 m + g, step lr * m: no dampening, no Nesterov."""
    parameter = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer, _ = OptimizerConfig(partial(torch.optim.SGD, lr=0.5, momentum=0.9), 0.0)(
        nn.ParameterList([parameter]), total_steps=9, steps_per_epoch=3
    )
    momentum, expected = torch.zeros(2), parameter.detach().clone()
    for gradient in (torch.tensor([1.0, 2.0]), torch.tensor([-3.0, 0.5])):
        parameter.grad = gradient
        optimizer.step()
        momentum = 0.9 * momentum + gradient
        expected = expected - 0.5 * momentum
        torch.testing.assert_close(parameter.detach(), expected)


@pytest.mark.parametrize(
    ("epochs", "steps", "of_an_epoch", "warmup"),
    [(3.0, 8, 4, 0), (1.0, 34, 34, 3), (2.5, 100, 50, 10), (1.0, 12, 100, 1), (0.99, 34, 34, 33), (2.5, 120, 40, 100)],
)
def test_warm_up_is_shortened_only_where_it_outlasts_the_run(
    epochs: float, steps: int, of_an_epoch: int, warmup: int, caplog: pytest.LogCaptureFixture
) -> None:
    """To a tenth of the run, with a warning; one that fits, however tightly, is the recipe's own."""
    recipe = OptimizerConfig(partial(torch.optim.SGD, lr=0.5), epochs)
    optimizer, schedule = recipe(nn.Linear(2, 3), total_steps=steps, steps_per_epoch=of_an_epoch)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0.5 * warmup_cosine(step, warmup, steps) for step in range(steps)])
    assert max(rates) == 0.5
    shortened = f"optim.warmup_epochs={epochs}: is not shorter than the run of {steps} steps" in caplog.text
    assert shortened == (epochs * of_an_epoch >= steps)
    assert (f"a tenth of them, {warmup}" in caplog.text) == shortened


class Rates(Callback):
    """Notes the rate of every step."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize(
    ("limits", "warmup", "steps"),
    [
        ({"epochs": 2}, 2, 10),
        ({"epochs": 2, "limit_train_batches": 4}, 2, 8),
        ({"epochs": -1, "max_steps": 12}, 2, 12),
        ({"epochs": None, "max_steps": 12}, 2, 12),
        ({"epochs": 30, "max_steps": 12}, 2, 12),
        ({"epochs": -1, "max_steps": 7, "accumulate_grad_batches": 2}, 1, 7),
        ({"epochs": 2, "max_steps": 70, "accumulate_grad_batches": 2}, 1, 6),
        ({"epochs": -1, "max_steps": 2}, 0, 2),
        ({"epochs": 9, "max_time": "00:01:00:00"}, 2, 45),
        ({"epochs": 1, "overfit_batches": 2}, 1, 2),
    ],
    ids=str,
)
def test_warm_up_is_as_long_whatever_ends_the_run(
    limits: dict[str, Any], warmup: int, steps: int,
    module: Callable[..., Any], loaders: Callable[[], Any], trainer: Callable[..., Trainer],
) -> None:  # fmt: skip
    """An epoch has five batches."""
    noted = Rates()
    trainer(noted, **limits).fit(module(rate=0.01), *loaders())
    assert noted.rates == pytest.approx([0.01 * warmup_cosine(step, warmup, steps) for step in range(steps)])


def test_lr_schedule_of_a_run_without_batches_is_refused(
    module: Callable[..., Any], loaders: Callable[[], Any], trainer: Callable[..., Trainer]
) -> None:
    with pytest.raises(ConfigError) as error:
        trainer(epochs=2, limit_train_batches=0).fit(module(), *loaders())
    assert error.value.key == "trainer.limit_train_batches"


@pytest.mark.parametrize("limits", [{"epochs": -1}, {"epochs": None, "max_time": "00:00:01:00"}], ids=str)
def test_lr_schedule_of_a_run_without_an_end_is_refused(
    limits: dict[str, Any], module: Callable[..., Any], loaders: Callable[[], Any], trainer: Callable[..., Trainer]
) -> None:
    with pytest.raises(ConfigError) as error:
        trainer(RegularisationScheduler(dropout=0.1), **limits).fit(module(), *loaders())
    assert error.value.key == "trainer.max_epochs"


def reference_parameters(numbers: Mapping[str, np.ndarray], where: str) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(numbers[f"{where}/dense/{name}"].copy()) for name in ("kernel", "bias")}


@pytest.mark.parametrize("kind", ["momentum", "nesterov"])
def test_optimizer_steps_with_clipping_equal_the_reference(
    kind: str, reference_numbers: Mapping[str, np.ndarray]
) -> None:
    """Clipping as Lightning does it, then the optimizer, at the rates of four steps: two gradients exceed the norm."""
    parameters = nn.ParameterDict(reference_parameters(reference_numbers, "optim/params0"))
    momentum = float(reference_numbers["optim/momentum"])
    sgd = partial(torch.optim.SGD, lr=1.0, momentum=momentum, nesterov=kind == "nesterov")
    optimizer, _ = OptimizerConfig(sgd, 0.0)(parameters, total_steps=8, steps_per_epoch=4)
    for step, rate in enumerate(reference_numbers["optim/learning_rates"]):
        for name, gradient in reference_parameters(reference_numbers, f"optim/step{step}/grad").items():
            parameters[name].grad = gradient
        norm = torch.nn.utils.clip_grad_norm_(parameters.parameters(), float(reference_numbers["optim/max_grad_norm"]))
        np.testing.assert_allclose(norm, reference_numbers[f"optim/step{step}/grad_global_norm"], rtol=1e-6)
        optimizer.param_groups[0]["lr"] = float(rate)
        optimizer.step()
        clipped = reference_parameters(reference_numbers, f"optim/step{step}/clipped_grad")
        expected = reference_parameters(reference_numbers, f"optim/{kind}/step{step}/params")
        for name, parameter in parameters.items():
            torch.testing.assert_close(parameter.grad, clipped[name], rtol=2e-6, atol=1e-8)
            torch.testing.assert_close(parameter.detach(), expected[name], rtol=0, atol=1e-6)
            if kind == "momentum":
                state = reference_numbers[f"optim/momentum/step{step}/state/dense/{name}/momentum"]
                np.testing.assert_allclose(optimizer.state[parameter]["momentum_buffer"], state, rtol=0, atol=1e-6)


def layer_rates(network: nn.Module, decay: float) -> dict[str, tuple[float, float]]:
    """Rate and weight decay of every parameter in the first step."""
    recipe = OptimizerConfig(partial(torch.optim.AdamW, lr=0.5, weight_decay=0.25), 0.0, LayerDecay(decay))
    optimizer, _ = recipe(network, total_steps=8, steps_per_epoch=4)
    names = {parameter: name for name, parameter in network.named_parameters()}
    return {
        names[parameter]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


SIZE = {"num_classes": 3, "frames": 4, "height": 8, "width": 10, "depth": 3, "num_heads": 2, "mlp_dim": 14}


def test_layer_decay_lowers_the_rate_block_by_block() -> None:
    net = make_network(SpatioTemporal, Tubelets(dim=12, tubelet=(2, 4, 5)), **SIZE)
    rates = layer_rates(net, 0.5)
    assert rates.keys() == dict(net.named_parameters()).keys()
    assert rates["head.projection.weight"] == (0.5, 0.25)
    assert rates["encoder.norm.weight"] == (0.5, 0.0)
    assert rates["encoder.blocks.2.mlp.0.weight"] == (0.25, 0.25)
    assert rates["encoder.blocks.1.attention.qkv.bias"] == (0.125, 0.0)
    assert rates["encoder.blocks.0.norm_mlp.weight"] == (0.0625, 0.0)
    assert rates["tokeniser.projection.weight"] == (0.03125, 0.25)
    assert rates["encoder.positions"] == rates["encoder.cls"] == (0.03125, 0.0)


def test_layer_decay_counts_through_both_encoders_and_leaves_frozen_parameters_out() -> None:
    net = make_network(
        FactorisedEncoder,
        Tubelets(dim=12, tubelet=(2, 4, 5)),
        **SIZE,
        temporal_depth=2,
        temporal_num_heads=3,
        temporal_mlp_dim=16,
    )
    net.tokeniser.requires_grad_(False)
    rates = layer_rates(net, 0.5)
    assert "tokeniser.projection.weight" not in rates
    assert rates["temporal.blocks.1.attention.out.weight"] == (0.25, 0.25)
    assert rates["temporal.blocks.0.attention.out.weight"] == (0.125, 0.25)
    assert rates["spatial.blocks.2.attention.out.weight"] == (0.0625, 0.25)
    assert rates["spatial.norm.bias"] == rates["temporal.positions"] == (0.0625, 0.0)
    assert rates["spatial.positions"] == (0.5 * 0.5**6, 0.0)


@pytest.mark.parametrize(
    "model", ["spatiotemporal", "factorised_encoder", "factorised_self_attention", "factorised_dot_product"]
)
def test_layer_decay_decays_the_same_where_parameters_are_flat_shards(model: str, module: Callable[..., Any]) -> None:
    """Matrices and filters, but for positions; of FSDP's shards nobody can tell which these are."""
    net = module(model=model).network
    matrices = {name for name, part in net.named_parameters() if part.ndim > 1 and not name.endswith("positions")}
    for part in net.parameters():
        part.data = part.data.flatten()
    assert {name for name, (_, decay) in layer_rates(net, 0.5).items() if decay} == matrices


def test_layer_decay_keeps_its_ratios_along_the_schedule() -> None:
    net = make_network(SpatioTemporal, Tubelets(dim=12, tubelet=(2, 4, 5)), **SIZE)
    recipe = OptimizerConfig(partial(torch.optim.AdamW, lr=0.5), 1.0, LayerDecay(0.5))
    optimizer, schedule = recipe(net, total_steps=8, steps_per_epoch=2)
    for step in range(8):
        rates = {round(group["lr"] / group["lr_scale"], 9) for group in optimizer.param_groups}
        assert rates == {round(0.5 * warmup_cosine(step, 2, 8), 9)}
        optimizer.step()
        schedule.step()


def linear(step: int, warmup_steps: int, total_steps: int, *, end: float) -> float:
    return 1 - (1 - end) * step / total_steps + 0 * warmup_steps


def test_lr_scheduler_can_be_replaced_and_keeps_the_scale_of_every_group() -> None:
    net = make_network(SpatioTemporal, Tubelets(dim=12, tubelet=(2, 4, 5)), **SIZE)
    groups = LayerDecay(0.5)
    config = OptimizerConfig(partial(torch.optim.SGD, lr=0.5), 1.0, groups, partial(linear, end=0.2))
    optimizer, schedule = config(net, total_steps=8, steps_per_epoch=2)
    for step in range(8):
        rates = {round(group["lr"] / group["lr_scale"], 9) for group in optimizer.param_groups}
        assert rates == {round(0.5 * (1 - 0.1 * step), 9)}
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("rate", [1e37, 1e38, float("inf")])
def test_lr_that_overflows_is_refused(rate: float) -> None:
    net = make_network(SpatioTemporal, Tubelets(dim=12, tubelet=(2, 4, 5)), **SIZE)
    with pytest.raises(ConfigError, match=r"optim\.optimizer\.lr=.*: is more than 1e\+36; set one such as 1e-3"):
        OptimizerConfig(partial(torch.optim.AdamW, lr=rate), 1.0)(net, total_steps=8, steps_per_epoch=2)


@pytest.mark.parametrize("decay", [0.0, 1.5])
def test_an_impossible_layer_decay_is_refused(decay: float) -> None:
    with pytest.raises(ConfigError) as error:
        LayerDecay(decay)
    assert (error.value.key, error.value.value) == ("optim.param_groups.decay", decay)


def test_warm_up_as_a_share_of_the_run_fits_any_run(caplog: pytest.LogCaptureFixture) -> None:
    recipe = OptimizerConfig(partial(torch.optim.SGD, lr=0.5), warmup_share=0.1)
    steps = [recipe.warmup_steps(total_steps=total, steps_per_epoch=total) for total in (5, 10, 100, 1234)]
    assert steps == [0, 1, 10, 123]
    recipe(nn.Linear(2, 3), total_steps=5, steps_per_epoch=5)
    assert not caplog.text


@pytest.mark.parametrize(
    ("lr_batch", "clips", "expected"), [(None, 8, 0.5), (32, 32, 0.5), (32, 8, 0.125), (8, 64, 4.0)]
)
def test_rate_grows_in_proportion_to_the_clips_of_a_step(lr_batch: int | None, clips: int, expected: float) -> None:
    recipe = OptimizerConfig(partial(torch.optim.SGD, lr=0.5), param_groups=LayerDecay(0.5), lr_batch=lr_batch)
    network = nn.Linear(2, 3)
    optimizer, _ = recipe(network, total_steps=8, steps_per_epoch=8, clips=clips)
    assert optimizer.defaults["lr"] == pytest.approx(expected)
    assert max(group["lr"] for group in optimizer.param_groups) == pytest.approx(expected)


@pytest.mark.parametrize(("key", "value"), [("warmup_share", 1.0), ("warmup_share", -0.1), ("lr_batch", 0)])
def test_impossible_shares_and_batches_are_refused(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"optim.{key}") as error:
        OptimizerConfig(partial(torch.optim.SGD, lr=0.5), **{key: value})
    assert error.value.value == value


def test_weights_alone_decay_in_attentive_pooling() -> None:
    pool = AttentivePool(8, 2)
    decayed = {name for name, _ in pool.named_parameters(prefix="temporal") if not no_weight_decay(name)}
    assert decayed == {"temporal.attention.in_proj_weight", "temporal.attention.out_proj.weight"}


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("key", ["warmup_share", "lr_batch"])
def test_text_in_place_of_a_number_is_refused(key: str) -> None:
    with pytest.raises(ConfigError, match=f"optim.{key}=some"):
        OptimizerConfig(partial(torch.optim.SGD, lr=0.5), **{key: "some"})
