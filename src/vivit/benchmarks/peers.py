"""Networks of transformers to be timed beside this library's: Model 1 itself, and the nearest of other models."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vivit.checkpoints import save_huggingface
from vivit.models import FactorisedSelfAttention, SpatioTemporal

log = logging.getLogger(__name__)

NEAREST: dict[type[nn.Module], str] = {SpatioTemporal: "VideoMAE", FactorisedSelfAttention: "TimeSformer"}
"""Networks of transformers that attend as a model does: over space and time at once, or over each in turn."""


class Peer(nn.Module):
    """A network of transformers that takes clips as this library's do, of which it sees every ``stride``-th frame."""

    def __init__(self, net: nn.Module, stride: int = 1) -> None:
        super().__init__()
        self.net = net
        self.stride = stride

    def forward(self, clip: Float[Tensor, "b 3 f h w"]) -> Float[Tensor, "b k"]:
        """Return the logits."""
        return self.net(pixel_values=rearrange(clip[:, :, :: self.stride], "b c f h w -> b f c h w")).logits


def load_same(net: nn.Module) -> Peer | None:
    """Return Model 1 of transformers with the weights of ``net``.

    None for other models, and with a warning where transformers is not installed.
    """
    if not isinstance(net, SpatioTemporal) or (library := _import_transformers()) is None:
        return None
    with TemporaryDirectory() as folder:
        save_huggingface(net, Path(folder) / "model")
        return Peer(library.VivitForVideoClassification.from_pretrained(Path(folder) / "model"))


def nearest_name(net: nn.Module) -> str:
    """Return what the nearest network of transformers is called; ``none`` where there is none."""
    return NEAREST.get(type(net), "none")


def make_nearest(net: nn.Module) -> Peer | None:
    """Return the nearest network of transformers, with random weights and the layers, sizes and classes of ``net``.

    VideoMAE has the tokens of Model 1, without a class token. TimeSformer has tokens of a single frame, so that it sees
    one frame of every tubelet of Model 3: as many tokens, and a class token. Its layers have a projection more. Both
    are as published, with the exact GELU and without stochastic depth. None for other models, and with a warning where
    transformers is not installed.
    """
    if type(net) not in NEAREST or (library := _import_transformers()) is None:
        return None
    model: Any = net
    config = model.config
    span, patch, _ = model.tokeniser.tubelet
    shared = {
        "image_size": config.height,
        "patch_size": patch,
        "hidden_size": model.tokeniser.dim,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.num_heads,
        "intermediate_size": config.mlp_dim,
        "num_labels": config.num_classes,
    }
    if nearest_name(net) == "VideoMAE":
        settings = library.VideoMAEConfig(**shared, num_frames=config.frames, tubelet_size=span)
        return Peer(library.VideoMAEForVideoClassification(settings))
    settings = library.TimesformerConfig(**shared, num_frames=config.frames // span)
    return Peer(library.TimesformerForVideoClassification(settings), stride=span)


def _import_transformers() -> ModuleType | None:
    try:
        import transformers
    except ImportError:
        log.warning("transformers is not installed and left out; `make install`, or pip install it")
        return None
    return transformers
