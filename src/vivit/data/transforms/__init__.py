"""What training does to the colours of a clip, one draw a clip; bytes in, bytes out."""

from vivit.data.transforms.colour import ColourAugment
from vivit.data.transforms.randaugment import RandAugment

__all__ = ["ColourAugment", "RandAugment"]
