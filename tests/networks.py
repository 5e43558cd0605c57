"""Networks of any size for tests."""

from typing import Any

import torch

from vivit.models import Tokeniser, ViViT, build_model


def make_network(cls: type[ViViT], tokeniser: Tokeniser, **options: Any) -> ViViT:
    """Return a network of a class with random weights; ``options`` are those of its record."""
    return build_model(cls.name, tokeniser, **options)


def image_vit(dim: int, patch: int, depth: int) -> dict[str, torch.Tensor]:
    """Weights of a small ViT under timm's names, for images of 4 x 4 patches."""
    shapes = {"cls_token": (1, 1, dim), "pos_embed": (1, 17, dim), "norm.weight": (dim,), "norm.bias": (dim,)}
    shapes |= {"patch_embed.proj.weight": (dim, 3, patch, patch), "patch_embed.proj.bias": (dim,)}
    for i in range(depth):
        layers = {"norm1": (dim,), "norm2": (dim,), "attn.qkv": (3 * dim, dim), "attn.proj": (dim, dim)}
        layers |= {"mlp.fc1": (4 * dim, dim), "mlp.fc2": (dim, 4 * dim)}
        for layer, shape in layers.items():
            shapes |= {f"blocks.{i}.{layer}.weight": shape, f"blocks.{i}.{layer}.bias": shape[:1]}
    return {name: torch.randn(shape) for name, shape in shapes.items()}
