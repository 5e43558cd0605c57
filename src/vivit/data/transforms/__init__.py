"""Transforms of clips: resize, flip and colours, one draw a clip; bytes in, bytes out.

Normalisation to [-1, 1] comes later, on the model's device: ``structures.normalize_frames``.
"""

from vivit.data.transforms.color_jitter import ColorJitter
from vivit.data.transforms.randaugment import RandAugment

__all__ = ["ColorJitter", "RandAugment"]
