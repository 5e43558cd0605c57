"""Forms of one network that compute the same, to be timed side by side. They share their weights."""

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from einops import rearrange
from torch import Tensor, nn

from vivit.checkpoints import save_huggingface
from vivit.models import attention_kernels
from vivit.models.blocks import StochasticDepth
from vivit.models.encoder import Encoder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Form:
    """``name`` is what the row says, ``logits`` what is timed, inside of ``around``."""

    name: str
    net: nn.Module
    logits: Callable[[Tensor], Tensor]
    around: Callable[[], AbstractContextManager[None]] = nullcontext


class Masked(StochasticDepth):
    """Stochastic depth that computes what it drops, as the reference does."""

    def forward(self, x: Tensor, branch: Callable[[Tensor], Tensor], seen: Tensor | None = None) -> Tensor:
        """Add the branch times zero or one."""
        added = branch(x if seen is None else seen)
        return x + added * self.sample_mask(len(x)).to(x).view(-1, *[1] * (x.ndim - 1)) if self.training else x + added


def ours(net: nn.Module) -> Form:
    """Make the network as it is trained."""
    return Form("ours", net, net)


def masked(net: nn.Module) -> Form:
    """Make ours without the savings of stochastic depth."""
    twin = _twin(net)
    for module in twin.modules():
        if isinstance(module, StochasticDepth):
            module.__class__ = Masked
    return Form("masked", twin, twin)


def plain(net: nn.Module) -> Form:
    """Make ours without any savings: torch's fused attention everywhere, whole blocks, masks."""
    twin = masked(net).net
    for module in twin.modules():
        if isinstance(module, Encoder):
            module.all_tokens = True
    return Form("plain", twin, twin, _always_fused)


def checkpointed(net: nn.Module) -> Form:
    """Make ours with ``model.checkpointing=true``."""
    twin = _twin(net)
    for module in twin.modules():
        if isinstance(module, Encoder):
            module.checkpointing = True
    return Form("checkpointed", twin, twin)


def compiled(net: nn.Module) -> Form:
    """Make ours with ``callbacks=[default,compile]``."""
    twin = _twin(net)
    return Form("compiled", twin, torch.compile(twin))


def transformers(net: nn.Module) -> Form | None:
    """Make transformers' Model 1; None for other models, and where it is not installed, which is said."""
    if type(net).__name__ != "SpatioTemporal":
        return None
    try:
        from transformers import VivitForVideoClassification
    except ImportError:
        log.warning("transformers is not installed and left out: pip install -e '.[dev]'")
        return None
    with TemporaryDirectory() as folder:
        save_huggingface(net, Path(folder) / "model")
        peer = VivitForVideoClassification.from_pretrained(Path(folder) / "model")
    return Form("transformers", peer, lambda clip: peer(pixel_values=rearrange(clip, "b c f h w -> b f c h w")).logits)


FORMS: dict[str, Callable[[nn.Module], Form | None]] = {
    form.__name__: form for form in (ours, plain, masked, checkpointed, compiled, transformers)
}


def make_forms(net: nn.Module, names: Sequence[str]) -> list[Form]:
    """Make the named forms of a network, those that there are for it."""
    return [form for name in names if (form := FORMS[name](net))]


def _twin(net: nn.Module) -> nn.Module:
    shared = {id(held): held for held in chain(net.parameters(), net.buffers())}
    return copy.deepcopy(net, shared)


@contextmanager
def _always_fused() -> Iterator[None]:
    rule, attention_kernels.select_kernel = attention_kernels.select_kernel, lambda *_: attention_kernels.fused
    try:
        yield
    finally:
        attention_kernels.select_kernel = rule
