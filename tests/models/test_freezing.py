"""Frozen parts: nothing of them changes, nothing is stored for the way back, and they compute as in evaluation."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from vivit.errors import ConfigError
from vivit.models import create_model
from vivit.models.freezing import count_trained
from vivit.training.optim import LayerDecay, single_group

SPATIAL = ("factorised_encoder", "average_pool", "attentive_pool")
MODELS = (*SPATIAL, "spatiotemporal", "factorised_self_attention", "factorised_dot_product")
CLIP = (3, 3, 8, 16, 16)


def network(model: str, frozen: str | int | None, **options: Any) -> Any:
    torch.manual_seed(0)
    net = create_model(model, size="tiny", num_classes=5, frames=8, image_size=16, frozen=frozen, **options)
    nn.init.normal_(net.head.projection.weight)
    return net


def trained_names(net: nn.Module) -> set[str]:
    return {name for name, parameter in net.named_parameters() if parameter.requires_grad}


def stored(net: nn.Module) -> int:
    """Return how many bytes of activations a step in training stores for the way back."""
    parameters = {parameter.data_ptr() for parameter in net.parameters()}
    sizes: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.data_ptr() not in parameters:
            sizes[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = net.train()(torch.zeros(CLIP)).sum()
    assert loss.requires_grad
    return sum(sizes.values())


CASES = [(model, frozen) for model in MODELS for frozen in ("all_but_head", 0, 1, 2)]


@pytest.mark.parametrize(("model", "frozen"), [*CASES, ("factorised_encoder", "spatial")])
def test_steps_leave_what_is_frozen_and_train_the_rest(model: str, frozen: str | int) -> None:
    net = network(model, frozen)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    optimizer = torch.optim.AdamW(LayerDecay(0.75)(net), lr=1e-2, weight_decay=0.5)
    for _ in range(3):
        F.cross_entropy(net.train()(torch.randn(CLIP)), torch.tensor([0, 1, 2])).backward()
        optimizer.step()
        optimizer.zero_grad()
    changed = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == trained_names(net)
    assert changed >= {"head.projection.weight", "head.projection.bias"}
    if frozen == "all_but_head":
        assert changed == {"head.projection.weight", "head.projection.bias"}
    elif frozen == "spatial":
        assert {name.split(".")[0] for name in changed} == {"temporal", "head"}
    else:
        encoder = "spatial" if model in SPATIAL else "encoder"
        blocks = {name.split(".")[2] for name in changed if name.startswith(f"{encoder}.blocks.")}
        assert blocks == {str(number) for number in range(int(frozen), 2)}
        assert not {name for name in changed if name.startswith("tokeniser")}
        assert f"{encoder}.positions" not in changed
        assert f"{encoder}.norm.weight" in changed


def test_nothing_frozen_is_stored_for_the_way_back() -> None:
    whole, spatial, head = (
        stored(network("factorised_encoder", frozen)) for frozen in (None, "spatial", "all_but_head")
    )
    assert spatial < 0.35 * whole
    assert head <= 3 * 64 * 4 + 64, "the vectors of three clips"
    halves = [stored(network("spatiotemporal", frozen)) for frozen in (None, 1, 2)]
    assert halves[0] > 1.6 * halves[1] > 1.6 * 4 * halves[2]


def test_frozen_parts_compute_as_in_evaluation_and_the_others_do_not() -> None:
    noise = {"dropout": 0.5, "stochastic_depth": 0.5, "attention_dropout": 0.5}
    clip = torch.randn(CLIP)
    net = network("factorised_encoder", "all_but_head", **noise)
    assert torch.equal(net.train()(clip), net.eval()(clip))
    net = network("factorised_encoder", "spatial", **noise).train()
    assert not net.spatial.training
    assert net.temporal.training
    tokens = net.tokeniser(clip).flatten(2, 3)
    assert torch.equal(net.spatial(tokens), net.spatial(tokens))
    assert not torch.equal(net(clip), net(clip))


def test_the_optimizer_and_counts_have_what_is_trained() -> None:
    net = network("factorised_encoder", "spatial")
    expected = sum(parameter.numel() for name, parameter in net.named_parameters() if name[:4] in ("temp", "head"))
    assert count_trained(net) == expected
    for groups in (single_group(net), LayerDecay()(net)):
        assert sum(parameter.numel() for group in groups for parameter in group["params"]) == expected


def test_records_of_networks_without_it_stay_as_they_were() -> None:
    assert "frozen" not in network("spatiotemporal", None).config.to_dict()
    assert network("spatiotemporal", 1).config.to_dict()["frozen"] == 1


@pytest.mark.parametrize(
    ("model", "frozen", "problem"),
    [
        ("spatiotemporal", "spatial", "no.*|there is none"),
        ("average_pool", "spatial", "there is none"),
        ("spatiotemporal", 3, "2 blocks"),
        ("spatiotemporal", -1, "2 blocks"),
        ("spatiotemporal", "half", "no part of a network"),
    ],
)
def test_what_a_network_does_not_have_is_refused(model: str, frozen: str | int, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem) as error:
        network(model, frozen)
    assert error.value.key == "model.frozen"
