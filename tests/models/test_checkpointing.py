"""Gradient checkpointing saves little for the backward pass, and never computes attention twice."""

from collections import Counter
from typing import Any

import pytest
import torch
from test_models import build, clips
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from vivit.models import attention_kernels, encoder
from vivit.models.encoder import Encoder, saved_operations

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
            module.gradient_checkpointing = checkpointing
    return net


def calls(net: nn.Module) -> Counter[Any]:
    with Calls() as mode:
        net(clips()).square().sum().backward()
    return mode.counted


@every_model
def test_checkpointing_computes_fused_attention_once_and_the_rest_of_a_block_twice(name: str, fill: Any) -> None:
    plain, checkpointed = (calls(network(name, checkpointing, fill)) for checkpointing in (False, True))
    fused, gelu = (lambda of: sum(of[op] for op in saved_operations())), torch.ops.aten.gelu.default
    assert fused(plain) == fused(checkpointed) > 0
    assert checkpointed[gelu] == 2 * plain[gelu] > 0


def test_checkpointing_computes_attention_in_blocks_once(fill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16 on an AMD processor, where long sequences take it."""
    monkeypatch.setattr(attention_kernels, "LONG_SEQUENCE", 1)
    monkeypatch.setattr(attention_kernels, "processor_maker", lambda: "amd")
    with torch.autocast("cpu", torch.bfloat16):
        plain, checkpointed = (calls(network("spatiotemporal", checkpointing, fill)) for checkpointing in (False, True))
    blocks = attention_kernels.BLOCKED_ATTENTION
    assert plain[blocks] == checkpointed[blocks] > 0


@every_model
def test_checkpointing_saves_less_for_backward(name: str, fill: Any) -> None:
    def saved_bytes(checkpointing: bool) -> int:
        storages: dict[int, int] = {}

        def save(tensor: Tensor) -> Tensor:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        net = network(name, checkpointing, fill)
        weights = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
        with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
            logits = net(clips())
        assert logits.requires_grad
        return sum(size for address, size in storages.items() if address not in weights)

    assert saved_bytes(True) < 0.5 * saved_bytes(False)


def test_saved_operations_are_those_that_torch_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build of torch may lack kernels."""
    monkeypatch.setattr(encoder, "FUSED_KERNELS", ("flash_attention_for_cpu", "of_another_build"))
    flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default
    assert saved_operations.__wrapped__() == [attention_kernels.BLOCKED_ATTENTION, flash]
