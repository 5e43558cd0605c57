"""The two ways to cut a clip into tokens (ViViT, section 3.2): uniform frame sampling and tubelet embedding.

Another way is a class that ``register_tokeniser`` gives a name.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, TypeVar, get_args

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from vivit.errors import ConfigError
from vivit.models.pos_embed import Grid


class Tokeniser(nn.Module, ABC):
    """Base of all tokenisers: the hidden size, the grid of tokens for a clip, and the tokens."""

    name: ClassVar[str] = ""
    """The name under which the class is registered."""
    dim: int
    projection: nn.Conv2d | nn.Conv3d

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """Return the name, and the arguments that build the tokeniser again, in plain values."""

    @abstractmethod
    def grid(self, frames: int, height: int, width: int) -> Grid:
        """Return the number of tokens over time, rows and columns.

        Raises ConfigError where the clip cannot be cut without a remainder.
        """

    @abstractmethod
    def frames_per_token(self, frames: int) -> list[list[int]]:
        """Return for each temporal index the numbers of the frames, of a clip of ``frames``, that it is made of."""

    @abstractmethod
    def forward(self, clip: Float[Tensor, "b 3 f h w"]) -> Float[Tensor, "b t rows columns d"]:
        """Return the tokens of clips, colours in [-1, 1]."""

    def embed_index(self, frames: Float[Tensor, "n 3 f h w"]) -> Float[Tensor, "n rows columns d"]:
        """Return the tokens of single temporal indices, from the frames that ``frames_per_token`` lists for each.

        Raises ConfigError where a tokeniser does not define it.
        """
        raise ConfigError(
            "tokeniser", self.name, "defines no embed_index", "set streaming=false, and frozen_cache_gb=0 in training"
        )


T = TypeVar("T", bound=Tokeniser)
_TOKENISERS: dict[str, type[Tokeniser]] = {}


def register_tokeniser(name: str) -> Callable[[type[T]], type[T]]:
    """Return a class decorator that gives a tokeniser its name, which configurations and checkpoints use."""

    def register(cls: type[T]) -> type[T]:
        cls.name = name
        _TOKENISERS[name] = cls
        return cls

    return register


def build_tokeniser(name: str, **options: Any) -> Tokeniser:
    """Return a tokeniser with random weights; ``options`` are the keyword arguments of its class.

    Raises ConfigError for names and options that do not exist, and for options that are missing.
    """
    if name not in _TOKENISERS:
        known = ", ".join(sorted(_TOKENISERS))
        raise ConfigError("tokeniser", name, "there is no such tokeniser", f"set one of {known}")
    cls = _TOKENISERS[name]
    parameters = {
        key: each for key, each in inspect.signature(cls).parameters.items() if each.kind is each.KEYWORD_ONLY
    }
    if unknown := [key for key in options if key not in parameters]:
        raise ConfigError(
            f"tokeniser.{unknown[0]}",
            options[unknown[0]],
            f"is no option of {name}",
            f"set one of {', '.join(sorted(parameters))}",
        )
    if missing := [key for key, each in parameters.items() if each.default is each.empty and key not in options]:
        raise ConfigError(f"tokeniser.{missing[0]}", problem=f"is missing; {name} needs it", remedy="set it")
    return cls(**options)


def _divide(clip_key: str, length: int, token_key: str, part: int) -> int:
    if length < part or length % part:
        below = length // part * part
        multiples = f"{below} or {below + part}" if below else f"{part}"
        raise ConfigError(
            clip_key, length, f"not a multiple of {token_key}={part}", f"set {multiples}, or another {token_key}"
        )
    return length // part


def lecun_normal_(weight: Tensor) -> None:
    """Fill with flax's default: a normal cut at two deviations whose variance, after the cut, is 1 / fan-in."""
    deviation = weight[0].numel() ** -0.5 / 0.87962566103423978
    nn.init.trunc_normal_(weight, std=deviation, a=-2 * deviation, b=2 * deviation)


def _init_projection(projection: nn.Conv2d | nn.Conv3d) -> None:
    weight, bias = projection.parameters()
    lecun_normal_(weight)
    nn.init.zeros_(bias)


def _embed_patches(
    projection: nn.Conv2d | nn.Conv3d, pixels: Float[Tensor, "b 3 *size"]
) -> Float[Tensor, "b *patches d"]:
    """Return a convolution whose stride is its kernel, features last; in half precision as one product of matrices.

    On CPUs torch's convolution of three dimensions is slow in bfloat16. In float32 it stays the convolution, so that
    the weights of a training are the same bit for bit as before.
    """
    device = pixels.device.type
    casts = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    precision = torch.get_autocast_dtype(device) if casts else pixels.dtype
    if precision not in (torch.bfloat16, torch.float16):
        return projection(pixels).movedim(1, -1)
    kernel, patches = projection.kernel_size, pixels.to(precision)
    for axis, length in enumerate(kernel, 2):
        patches = patches.unfold(axis, length, length)
    boxes = patches.movedim(1, 1 + len(kernel)).flatten(1 + len(kernel))
    return F.linear(boxes, projection.weight.flatten(1), projection.bias)


FilterInit = Literal["random", "central_frame", "filter_inflation"]


@register_tokeniser("tubelet")
class Tubelets(Tokeniser):
    """Tubelet embedding (figure 3): one 3D convolution whose stride is its kernel, ``tubelet`` = (t, h, w).

    From scratch the filter is LeCun-normal over the whole tubelet and the bias zero. ``init`` selects the shape that
    an image's filter takes (section 3.4): ``central_frame`` leaves only the slice t // 2, ``filter_inflation`` repeats
    the first slice. The reference, which means to do the former, zeroes columns of pixels instead; this does not.
    Raises ConfigError for another ``init``.
    """

    def __init__(self, *, dim: int, tubelet: Sequence[int], init: FilterInit = "random") -> None:
        super().__init__()
        if init not in get_args(FilterInit):
            raise ConfigError(
                "tokeniser.init", init, "there is no such filter", f"set one of {', '.join(get_args(FilterInit))}"
            )
        self.dim = dim
        t, h, w = tubelet
        self.tubelet = (t, h, w)
        self.projection = nn.Conv3d(3, dim, kernel_size=self.tubelet, stride=self.tubelet)
        _init_projection(self.projection)
        with torch.no_grad():
            slices = self.projection.weight.unbind(2)
            for i, part in enumerate(slices):
                if init == "filter_inflation":
                    part.copy_(slices[0])
                elif init == "central_frame" and i != t // 2:
                    part.zero_()

    def options(self) -> dict[str, Any]:
        """Return name, hidden size and tubelet."""
        return {"name": self.name, "dim": self.dim, "tubelet": list(self.tubelet)}

    def grid(self, frames: int, height: int, width: int) -> Grid:
        """Return the number of tubelets over time, rows and columns."""
        t, h, w = self.tubelet
        return (
            _divide("data.frames", frames, "tokeniser.tubelet.0", t),
            _divide("data.crop.0", height, "tokeniser.tubelet.1", h),
            _divide("data.crop.1", width, "tokeniser.tubelet.2", w),
        )

    def frames_per_token(self, frames: int) -> list[list[int]]:
        """Return the frame numbers of each tubelet."""
        return [list(range(first, first + self.tubelet[0])) for first in range(0, frames, self.tubelet[0])]

    def forward(self, clip: Float[Tensor, "b 3 f h w"]) -> Float[Tensor, "b t rows columns d"]:
        """Return one token for each tubelet."""
        self.grid(*clip.shape[2:])
        return _embed_patches(self.projection, clip)

    def embed_index(self, frames: Float[Tensor, "n 3 f h w"]) -> Float[Tensor, "n rows columns d"]:
        """Return the tokens of single tubelets."""
        return self(frames)[:, 0]


def uniform_frames(total: int, count: int) -> list[int]:
    """Return the numbers of the frames that uniform sampling takes of a clip, exactly as the reference.

    Positions are the multiples of ``total / (count + 1)`` below ``total``, rounded half to even. In double precision
    that is ``count + 1`` frames for some pairs (8 and 2, for one: 3, 5, 7); the reference does the same, and its
    checkpoints have as many positions, so this does too.
    """
    if count >= total:
        return list(range(total))
    step = total / (count + 1)
    return [int(i) for i in np.clip(np.rint(np.arange(step, total, step)), 0, total - 1)]


@register_tokeniser("uniform_frames")
class UniformFrames(Tokeniser):
    """Uniform frame sampling (figure 2): the image ViT's patches of ``num_frames`` frames spread over the clip.

    ``num_frames`` may come out one higher, see ``uniform_frames``. ``patch`` = (h, w).
    """

    def __init__(self, *, dim: int, num_frames: int, patch: Sequence[int]) -> None:
        super().__init__()
        self.dim = dim
        self.num_frames = num_frames
        h, w = patch
        self.patch = (h, w)
        self.projection = nn.Conv2d(3, dim, kernel_size=self.patch, stride=self.patch)
        _init_projection(self.projection)

    def options(self) -> dict[str, Any]:
        """Return name, hidden size, number of frames and patch."""
        return {"name": self.name, "dim": self.dim, "num_frames": self.num_frames, "patch": list(self.patch)}

    def grid(self, frames: int, height: int, width: int) -> Grid:
        """Return the number of sampled frames, and of patches over rows and columns."""
        if not 1 <= self.num_frames <= frames:
            raise ConfigError(
                "tokeniser.num_frames",
                self.num_frames,
                f"a clip has {frames} frames",
                f"set a number from 1 to {frames}",
            )
        return (
            len(uniform_frames(frames, self.num_frames)),
            _divide("data.crop.0", height, "tokeniser.patch.0", self.patch[0]),
            _divide("data.crop.1", width, "tokeniser.patch.1", self.patch[1]),
        )

    def frames_per_token(self, frames: int) -> list[list[int]]:
        """Return the number of each sampled frame, in a list."""
        return [[number] for number in uniform_frames(frames, self.num_frames)]

    def forward(self, clip: Float[Tensor, "b 3 f h w"]) -> Float[Tensor, "b t rows columns d"]:
        """Return one token for each patch of the sampled frames."""
        self.grid(*clip.shape[2:])
        sampled = clip[:, :, torch.tensor(uniform_frames(clip.shape[2], self.num_frames), device=clip.device)]
        patches = self.embed_index(rearrange(sampled, "b c t h w -> (b t) c 1 h w"))
        return rearrange(patches, "(b t) rows columns d -> b t rows columns d", b=clip.shape[0])

    def embed_index(self, frames: Float[Tensor, "n 3 1 h w"]) -> Float[Tensor, "n rows columns d"]:
        """Return the tokens of single frames."""
        return _embed_patches(self.projection, frames[:, :, 0])
