"""Variants of one network that compute the same, to be timed side by side, and its nearest peer."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from vivit.benchmarks.peers import load_same, make_nearest
from vivit.models import FactorisedEncoder, attention_kernels, build_model, model_options
from vivit.models.blocks import StochasticDepth
from vivit.models.encoder import Encoder


@dataclass(frozen=True)
class Variant:
    """A network and the function from clips to logits that is timed, within the context that ``context`` makes."""

    name: str
    net: nn.Module
    logits: Callable[[Tensor], Tensor]
    context: Callable[[], AbstractContextManager[None]] = nullcontext


class MaskedStochasticDepth(StochasticDepth):
    """Stochastic depth that computes dropped branches and multiplies them by zero, as the reference does."""

    def forward(self, x: Tensor, branch: Callable[[Tensor], Tensor], seen: Tensor | None = None) -> Tensor:
        """Add the branch times zero or one."""
        added = branch(x if seen is None else seen)
        return x + added * self.sample_mask(len(x)).to(x).view(-1, *[1] * (x.ndim - 1)) if self.training else x + added


def unchanged(net: nn.Module) -> Variant:
    """Return the network as it is trained."""
    return Variant("ours", net, net)


def masked(net: nn.Module) -> Variant:
    """Return a variant that computes the branches that stochastic depth drops."""
    variant = _copy_with_shared_weights(net)
    for module in variant.modules():
        if isinstance(module, StochasticDepth):
            module.__class__ = MaskedStochasticDepth
    return Variant("masked", variant, variant)


def plain(net: nn.Module) -> Variant:
    """Return a variant without savings: torch's fused attention everywhere, all tokens in every block, masks."""
    variant = masked(net).net
    for module in variant.modules():
        if isinstance(module, Encoder):
            module.all_tokens = True
    return Variant("plain", variant, variant, _always_fused)


def checkpointed(net: nn.Module) -> Variant:
    """Return a variant with ``model.gradient_checkpointing=true``."""
    variant = _copy_with_shared_weights(net)
    for module in variant.modules():
        if isinstance(module, Encoder):
            module.gradient_checkpointing = True
    return Variant("checkpointed", variant, variant)


def compiled(net: nn.Module) -> Variant:
    """Return a variant with ``callbacks=[default,compile]``; it is compiled when it is first called.

    What was compiled before is forgotten: torch stops to compile a function that it has compiled eight times.
    """
    torch.compiler.reset()
    variant = _copy_with_shared_weights(net)
    return Variant("compiled", variant, torch.compile(variant))


def frozen(net: nn.Module) -> Variant | None:
    """Return a variant with ``model.frozen=spatial``, with weights of its own; None for models that cannot have it."""
    if not isinstance(net, FactorisedEncoder) or not any(True for _ in net.temporal.parameters()):
        return None
    options = model_options(net) | {"frozen": "spatial", "num_classes": net.config.num_classes}
    variant = build_model(**options)
    variant.load_state_dict(net.state_dict())
    return Variant("frozen", variant, variant)


def cached(net: nn.Module) -> Variant | None:
    """Return the frozen variant with ``frozen_cache_gb``, whose frames have all been met before."""
    if (variant := frozen(net)) is None:
        return None
    model: Any = variant.net
    features: dict[Tensor, Tensor] = {}

    def logits(clips: Tensor) -> Tensor:
        if clips not in features:
            with torch.inference_mode(mode=False), torch.no_grad():
                features[clips] = model.encode_frames(clips)
        return model.classify_frames(features[clips])

    return Variant("cached", model, logits)


def transformers(net: nn.Module) -> Variant | None:
    """Return Model 1 of transformers with the same weights; None for other models."""
    same = load_same(net)
    return None if same is None else Variant("transformers", same, same)


def peer(net: nn.Module) -> Variant | None:
    """Return the nearest network of transformers, which has weights of its own; None for models that have none."""
    nearest = make_nearest(net)
    return None if nearest is None else Variant("peer", nearest, nearest)


VARIANTS: dict[str, Callable[[nn.Module], Variant | None]] = {
    "ours": unchanged,
    "plain": plain,
    "masked": masked,
    "checkpointed": checkpointed,
    "compiled": compiled,
    "frozen": frozen,
    "cached": cached,
    "transformers": transformers,
    "peer": peer,
}
"""Functions from a network to a variant of it, by the names of ``bench.variants``."""
PARTIAL = ("frozen", "cached")
"""Those that compute less than the network's multiply-adds."""


def make_variants(net: nn.Module, names: Sequence[str]) -> list[Variant]:
    """Return the named variants of a network, on its device, without those that it does not have."""
    variants = [variant for name in names if (variant := VARIANTS[name](net))]
    for variant in variants:
        variant.net.to(next(net.parameters()).device)
    return variants


@contextmanager
def compiling_anew(variants: Sequence[Variant]) -> Iterator[None]:
    """Compile, where a variant is compiled, without what earlier processes have left on the disk."""
    if not any(variant.name == "compiled" for variant in variants):
        yield
        return
    from torch._inductor.utils import fresh_cache

    with fresh_cache():
        yield


def _copy_with_shared_weights(net: nn.Module) -> nn.Module:
    shared = {id(tensor): tensor for tensor in chain(net.parameters(), net.buffers())}
    return copy.deepcopy(net, shared)


@contextmanager
def _always_fused() -> Iterator[None]:
    rule, attention_kernels.select_kernel = attention_kernels.select_kernel, lambda *_: attention_kernels.fused
    try:
        yield
    finally:
        attention_kernels.select_kernel = rule
