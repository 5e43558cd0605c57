"""Checkpointing keeps little for the way back, and what is dear to compute again it does not compute again."""

from collections import Counter
from typing import Any

import pytest
import torch
from test_models import build, clips
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from vivit.models import softmax_attention
from vivit.models.encoder import KEPT, Encoder

every_model = pytest.mark.parametrize(
    "name", ["spatiotemporal", "factorised encoder", "factorised self-attention", "factorised dot-product"]
)


class Calls(TorchDispatchMode):
    """Counts what is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.counted: Counter[Any] = Counter()

    def __torch_dispatch__(self, op: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        self.counted[op] += 1
        return op(*args, **(kwargs or {}))


def network(name: str, checkpointing: bool, fill: Any) -> nn.Module:
    net = build(name)
    fill(net)
    for module in net.modules():
        if isinstance(module, Encoder):
            module.checkpointing = checkpointing
    return net


def calls(net: nn.Module) -> Counter[Any]:
    with Calls() as mode:
        net(clips()).square().sum().backward()
    return mode.counted


@every_model
def test_fused_attention_is_computed_once_and_the_rest_of_a_block_twice(name: str, fill: Any) -> None:
    plain, checkpointed = (calls(network(name, checkpointing, fill)) for checkpointing in (False, True))
    fused, gelu = (lambda of: sum(of[op] for op in KEPT)), torch.ops.aten.gelu.default
    assert fused(plain) == fused(checkpointed) > 0
    assert checkpointed[gelu] == 2 * plain[gelu] > 0


def test_attention_in_blocks_is_computed_once(fill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16 on the CPU, where long sequences take it."""
    monkeypatch.setattr(softmax_attention, "LONG", 1)
    with torch.autocast("cpu", torch.bfloat16):
        plain, checkpointed = (calls(network("spatiotemporal", kept, fill)) for kept in (False, True))
    blocks = softmax_attention.BLOCKED_ATTENTION
    assert plain[blocks] == checkpointed[blocks] > 0


@every_model
def test_less_is_kept_for_the_way_back(name: str, fill: Any) -> None:
    def kept(checkpointing: bool) -> int:
        held: dict[int, int] = {}

        def hold(tensor: Tensor) -> Tensor:
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        net = network(name, checkpointing, fill)
        weights = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
        with torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor):
            logits = net(clips())
        assert logits.requires_grad
        return sum(size for place, size in held.items() if place not in weights)

    assert kept(True) < 0.5 * kept(False)
