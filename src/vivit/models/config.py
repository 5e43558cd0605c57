"""The sizes of a backbone as one record (ViViT, section 4.1)."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """Hidden size, layers, heads, MLP width, and the side of a patch in pixels, as in ViViT-B/16.

    ``temporal_depth`` is the depth of the factorised encoder's second encoder: 4 in the paper, whatever the backbone.
    """

    dim: int
    depth: int
    heads: int
    mlp_dim: int
    temporal_depth: int
    patch: int
