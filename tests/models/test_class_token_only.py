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
    less, whole = build(name).double(), build(name).double()
    for net in (less, whole):
        fill(net)
        for encoder in encoders(net):
            encoder.checkpointing = settings.get("checkpointing", False)
            encoder.whole = net is whole
    return less, whole


def encoders(net: nn.Module) -> list[Encoder]:
    return [module for module in net.modules() if isinstance(module, Encoder)]


def learned(net: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits of a training step, and the gradients that it leaves."""
    logits = net(clips().double())
    (logits * torch.arange(1.0, logits.numel() + 1).view_as(logits)).sum().backward()
    return logits, {name: parameter.grad for name, parameter in net.named_parameters()}


@pytest.mark.parametrize("name", WITH_CLASS_TOKEN)
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("rate", [0.0, 0.7])
def test_logits_and_gradients_are_those_of_the_whole(name: str, checkpointing: bool, rate: float, fill) -> None:
    logits, gradients = [], []
    for net in both(name, fill, checkpointing=checkpointing):
        draws = iter(torch.linspace(0.05, 0.95, 40))
        for module in net.modules():
            if isinstance(module, StochasticDepth):
                module.rate, module.draws = rate, torch.stack([next(draws), 1 - next(draws)])
        found = learned(net.train())
        logits.append(found[0])
        gradients.append(found[1])
    torch.testing.assert_close(logits[0], logits[1])
    assert rate or all(gradient.any() for gradient in gradients[0].values())
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("name", CASES)
def test_the_last_block_returns_the_class_token_alone(name: str, fill) -> None:
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
        assert last == (1 if encoder.cls is not None and not encoder.whole else len(encoder.positions))


@pytest.mark.parametrize("name", WITH_CLASS_TOKEN)
def test_the_choice_stays_out_of_checkpoints(name: str, fill) -> None:
    less, whole = both(name, fill)
    assert less.state_dict().keys() == whole.state_dict().keys()
