"""The last block computes what the class token needs and no more; logits and gradients are those of the whole block."""

from collections.abc import Callable

import pytest
import torch
from test_models import CASES, build, clips
from torch import Tensor, nn

from vivit.models.blocks import StochasticDepth
from vivit.models.encoder import Encoder

WITH_CLASS_TOKEN = ("spatiotemporal", "factorised encoder", "average pool")


def both(name: str, fill: Callable[[nn.Module], None], **settings: bool) -> tuple[nn.Module, nn.Module]:
    """Build the network that computes less, and the same one that computes everything."""
    less, full = build(name).double(), build(name).double()
    for net in (less, full):
        fill(net)
        for encoder in encoders(net):
            encoder.gradient_checkpointing = settings.get("checkpointing", False)
            encoder.all_tokens = net is full
    return less, full


def encoders(net: nn.Module) -> list[Encoder]:
    return [module for module in net.modules() if isinstance(module, Encoder)]


def logits_and_gradients(net: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits of a training step, and the gradients that it leaves."""
    logits = net(clips().double())
    (logits * torch.arange(1.0, logits.numel() + 1).view_as(logits)).sum().backward()
    return logits, {name: parameter.grad for name, parameter in net.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_CLASS_TOKEN)
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.7])
def test_cls_only_block_has_the_logits_and_gradients_of_the_full_one(
    name: str, checkpointing: bool, rate: float, fill
) -> None:
    logits, gradients = [], []
    for net in both(name, fill, checkpointing=checkpointing):
        uniforms = iter(torch.linspace(0.05, 0.95, 40))
        for module in net.modules():
            if isinstance(module, StochasticDepth):
                module.rate, module.uniforms = rate, torch.stack([next(uniforms), 1 - next(uniforms)])
        logits_of_net, gradients_of_net = logits_and_gradients(net.train())
        logits.append(logits_of_net)
        gradients.append(gradients_of_net)
    torch.testing.assert_close(logits[0], logits[1])
    assert rate or all(gradient.any() for gradient in gradients[0].values())
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("name", CASES)
def test_cls_only_block_returns_the_class_token_alone(name: str, fill) -> None:
    """Elsewhere, and in every other block, all tokens are needed."""
    lengths = []
    for net in both(name, fill):
        for encoder in encoders(net):
            rows: list[int] = []
            for block in encoder.blocks:
                block.register_forward_hook(lambda _module, _args, out, rows=rows: rows.append(out.shape[-2]))
            lengths.append((rows, encoder))
        net(clips().double())
    for rows, encoder in lengths:
        *below, last = rows
        assert len(rows) == len(encoder.blocks)
        assert set(below) == {len(encoder.positions)}
        assert last == (1 if encoder.cls is not None and not encoder.all_tokens else len(encoder.positions))


@pytest.mark.parametrize("name", WITH_CLASS_TOKEN)
def test_cls_only_block_changes_no_state_dict(name: str, fill) -> None:
    less, full = both(name, fill)
    assert less.state_dict().keys() == full.state_dict().keys()
