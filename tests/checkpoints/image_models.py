"""An image ViT written out from its names, and one-frame networks of ours to hold against it."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from networks import make_network
from torch import Tensor, nn

from vivit.models import SpatioTemporal, UniformFrames

DIM, DEPTH, HEADS, MLP, PATCH, SIDE = 12, 2, 3, 20, 5, 4
SIZE = {"depth": DEPTH, "num_heads": HEADS, "mlp_dim": MLP}
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
"""Of ImageNet's colours in [0, 1]."""


def timm_weights(layer_scale: bool = False, rows: int = SIDE**2 + 1) -> dict[str, Tensor]:
    """Random weights of a small ViT under timm's names, for images of SIDE x SIDE patches."""
    generator = torch.Generator().manual_seed(3)
    shapes = {
        "cls_token": (1, 1, DIM),
        "pos_embed": (1, rows, DIM),
        "patch_embed.proj.weight": (DIM, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (DIM,),
        "norm.weight": (DIM,),
        "norm.bias": (DIM,),
        "head.weight": (9, DIM),
        "head.bias": (9,),
    }
    layers = {"norm1": (DIM,), "norm2": (DIM,), "attn.qkv": (3 * DIM, DIM), "attn.proj": (DIM, DIM)}
    layers |= {"mlp.fc1": (MLP, DIM), "mlp.fc2": (DIM, MLP)}
    for i in range(DEPTH):
        for layer, shape in layers.items():
            shapes |= {f"blocks.{i}.{layer}.weight": shape, f"blocks.{i}.{layer}.bias": shape[:1]}
        if layer_scale:
            shapes |= {f"blocks.{i}.ls1.gamma": (DIM,), f"blocks.{i}.ls2.gamma": (DIM,)}
    return {name: torch.randn(shape, generator=generator) * 0.4 for name, shape in shapes.items()}


def timm_features(weights: dict[str, Tensor], images: Tensor) -> Tensor:
    """All tokens after the last LayerNorm, written out: pre-norm blocks, exact GELU, LayerScale where there is one."""

    def dense(x: Tensor, name: str) -> Tensor:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    patches = F.conv2d(images, weights["patch_embed.proj.weight"], weights["patch_embed.proj.bias"], stride=PATCH)
    x = torch.cat([weights["cls_token"].expand(len(images), 1, -1), patches.flatten(2).mT], 1) + weights["pos_embed"]
    for i in range(DEPTH):
        block = f"blocks.{i}"
        parts = dense(norm(x, f"{block}.norm1"), f"{block}.attn.qkv").chunk(3, -1)
        q, k, v = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in parts)
        mixed = ((q @ k.mT) / math.sqrt(DIM // HEADS)).softmax(-1) @ v
        mixed = dense(mixed.transpose(1, 2).flatten(2), f"{block}.attn.proj")
        x = x + mixed * weights.get(f"{block}.ls1.gamma", 1)
        wide = dense(norm(x, f"{block}.norm2"), f"{block}.mlp.fc1")
        wide = wide / 2 * (1 + torch.erf(wide / math.sqrt(2)))
        x = x + dense(wide, f"{block}.mlp.fc2") * weights.get(f"{block}.ls2.gamma", 1)
    return norm(x, "norm")


def one_frame(pixels: int = PATCH * SIDE, **changes: Any) -> nn.Module:
    """Network of ours that sees one frame."""
    arguments = SIZE | {"gelu": "erf", "frames": 1, "height": pixels, "width": pixels, "num_classes": 7} | changes
    return make_network(SpatioTemporal, UniformFrames(dim=DIM, num_frames=1, patch=(PATCH, PATCH)), **arguments).eval()


def features(encoder: nn.Module, network: nn.Module, clip: Tensor) -> Tensor:
    """All tokens after the last LayerNorm of one of our encoders."""
    seen: list[Tensor] = []
    encoder.all_tokens = True
    hook = encoder.norm.register_forward_hook(lambda module, args, out: seen.append(out.detach()))
    network(clip)
    hook.remove()
    return seen[0]


def images(number: int = 2, pixels: int = PATCH * SIDE) -> Tensor:
    """Random colours in [0, 1]."""
    return torch.rand(number, 3, pixels, pixels, generator=torch.Generator().manual_seed(4))


def normalised(pictures: Tensor) -> Tensor:
    return (pictures - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)


def clip_of(pictures: Tensor, frames: int = 1) -> Tensor:
    """The same picture in every frame, colours in [-1, 1]."""
    return (2 * pictures - 1)[:, :, None].expand(-1, -1, frames, -1, -1)
