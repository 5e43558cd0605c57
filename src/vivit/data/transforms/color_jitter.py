"""Colour jitter and greyscale: the reference's colour augmentation for Kinetics (Table 7), one draw a clip.

torchvision's kernels compute other things: it multiplies where brightness adds here, blends with grey where saturation
scales the S of HSV, and takes contrast around the mean of the grey picture instead of each channel's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from vivit.errors import ConfigError

GREY = np.array([0.2989, 0.587, 0.114], np.float32)
"""Weights of red, green and blue."""
Planes = Float[np.ndarray, "3 h w"]
"""A frame's channels in grey levels; between the steps of the jitter they may leave [0, 255]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ColorJitter:
    """With probability ``jitter`` changes brightness, saturation, contrast and hue; with ``greyscale`` drops colour.

    Brightness adds up to a share of the range, hue turns by up to a share of the circle, both to either side;
    saturation and contrast are multiplied by a factor between two. The result is rounded, once, to whole levels.
    """

    jitter: float = 0.8
    greyscale: float = 0.1
    brightness: float = 32 / 255
    saturation: Sequence[float] = (0.6, 1.4)
    contrast: Sequence[float] = (0.6, 1.4)
    hue: float = 0.2

    def __post_init__(self) -> None:
        for name in ("saturation", "contrast"):
            if len(bounds := getattr(self, name)) != 2:
                raise ConfigError(f"augment.colours.{name}", list(bounds), "is not two factors", "set [0.6,1.4]")

    def __call__(
        self, clip: UInt8[np.ndarray, "f h w 3"], rng: np.random.Generator, progress: float = 0.0
    ) -> UInt8[np.ndarray, "f h w 3"]:
        """Return the clip with other colours, drawn from ``rng``; ``progress`` is not used."""
        jitters, drops = rng.uniform(size=2) < (self.jitter, self.greyscale)
        added = 255 * rng.uniform(-self.brightness, self.brightness)
        saturation, contrast = (rng.uniform(low, high) for low, high in (self.saturation, self.contrast))
        turn = rng.uniform(-self.hue, self.hue)
        if not jitters and not drops:
            return clip
        result = np.empty_like(clip)
        for frame, target in zip(clip, result, strict=True):
            planes = np.stack([frame[..., c] for c in range(3)]).astype(np.float32)
            if jitters:
                planes += np.float32(added)
                adjust_saturation(planes, saturation)
                adjust_contrast(planes, contrast)
                adjust_hue(planes, turn)
                np.clip(planes, 0, 255, out=planes)
            if drops:
                planes[:] = np.tensordot(GREY, planes, 1)
            planes += np.float32(0.5)
            for c in range(3):
                target[..., c] = planes[c].astype(np.uint8)
        return result


def adjust_saturation(planes: Planes, factor: float) -> None:
    """Multiply the saturation of HSV and keep it within [0, 1]; hue and value stay. In place."""
    red, green, blue = planes
    high = np.maximum(np.maximum(red, green), blue)  # a quarter of the time of max(0)
    spread = high - np.minimum(np.minimum(red, green), blue)
    np.maximum(spread, np.float32(1e-6), out=spread)
    # saturation is spread / high, so this is the factor, or what takes saturation to 1; black and darker turns grey
    share = np.minimum(np.maximum(high, 0) / spread, np.float32(factor))
    np.subtract(high, planes, out=planes)
    planes *= share
    np.subtract(high, planes, out=planes)


def adjust_contrast(planes: Planes, factor: float) -> None:
    """Multiply the distance of every value from its channel's mean. In place."""
    mean = planes.mean((1, 2), keepdims=True)
    planes -= mean
    planes *= np.float32(factor)
    planes += mean


def adjust_hue(planes: Planes, turn: float) -> None:
    """Rotate the hue by a share of the circle; the highest and the lowest value of each pixel stay. In place.

    Six sectors without branches: the channels are sorted, and the order determines in which sector the hue lies.
    """
    red, green, blue = planes
    upper, lower = np.maximum(green, blue), np.minimum(green, blue)
    blue_leads, red_follows = (green < blue).astype(np.float32), (red < upper).astype(np.float32)
    high, middle = np.maximum(red, upper), np.minimum(red, upper)
    low = np.minimum(middle, lower)
    spread = high - low
    hue = middle - lower
    hue /= np.maximum(spread, np.float32(1e-6))
    hue += red_follows * (12 * blue_leads - 2) - 6 * blue_leads
    np.abs(hue, out=hue)  # in [0, 6], red at 0, green at 2, blue at 4
    hue += np.float32(6 * (turn % 1))
    hue -= 6 * (hue >= 6).astype(np.float32)
    shares = np.abs(hue - 3) - 1, 2 - np.abs(hue - 2), 2 - np.abs(hue - 4)
    for plane, share in zip(planes, shares, strict=True):
        np.clip(share, 0, 1, out=plane)
        plane *= spread
        plane += low
