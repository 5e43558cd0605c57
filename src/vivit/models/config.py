"""The sizes and options of a model as records: what all architectures share, and the backbones of section 4.1."""

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal

import yaml

from vivit.config_folder import CONFIGS
from vivit.errors import ConfigError

SIZE_FOLDER = CONFIGS / "size"

Gelu = Literal["tanh", "erf"]


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """What all architectures share; the hidden size is the tokeniser's.

    Clips have ``frames`` frames of ``height`` x ``width`` pixels. ``depth``, ``num_heads`` and ``mlp_dim`` are those of
    the encoder. ``dropout``, ``attention_dropout`` and ``stochastic_depth`` are probabilities; the last is that of the
    last block (equation 10). ``representation_size`` puts a dense layer with tanh before the classifier. ``gelu`` is
    the reference's tanh approximation, or exact: erf. ``positions`` names a table of ``pos_embed``.
    ``attention`` names the kernel that computes attention, see ``attention_kernels``. ``gradient_checkpointing``
    computes blocks again in the backward pass, to save memory. ``frozen`` names what is not trained, see ``freezing``.

    An architecture with options of its own derives its record from this one. All values are plain, so that a checkpoint
    can store them.
    """

    num_classes: int
    frames: int
    height: int
    width: int
    depth: int
    num_heads: int
    mlp_dim: int
    dropout: float = 0.0
    attention_dropout: float = 0.0
    stochastic_depth: float = 0.0
    representation_size: int | None = None
    gelu: Gelu = "tanh"
    positions: str = "learned"
    attention: str = "auto"
    gradient_checkpointing: bool = False
    frozen: str | int | None = None

    @property
    def clip_size(self) -> tuple[int, int, int]:
        """Frames, height and width of a clip."""
        return self.frames, self.height, self.width

    def to_dict(self) -> dict[str, Any]:
        """Return all options in plain values; later ones where they are set, as checkpoints before do not have them."""
        later = {"frozen": None, "attention": "auto"}
        return {name: value for name, value in asdict(self).items() if name not in later or value != later[name]}


@dataclass(frozen=True, kw_only=True)
class BackboneConfig:
    """Hidden size, layers, heads, MLP width, and the side of a patch in pixels, as in ViViT-B/16.

    ``temporal_depth`` is the depth of the factorised encoder's second encoder: 4 in the paper, whatever the backbone.
    """

    dim: int
    depth: int
    num_heads: int
    mlp_dim: int
    temporal_depth: int
    patch: int


def sizes() -> list[str]:
    """Return the names of the backbones in ``configs/size``."""
    return sorted(file.stem for file in SIZE_FOLDER.glob("*.yaml"))


@cache
def read_size(name: str) -> BackboneConfig:
    """Return a backbone of ``configs/size``. Raises ConfigError for another name."""
    if name not in sizes():
        raise ConfigError("size", name, "there is no such backbone", f"set one of {', '.join(sizes())}")
    return BackboneConfig(**yaml.safe_load((SIZE_FOLDER / f"{name}.yaml").read_text(encoding="utf-8")))


def size_name(dim: int, depth: int) -> str | None:
    """Return the name of the backbone with a hidden size and a number of layers; None where there is none."""
    return next((name for name in sizes() if (read_size(name).dim, read_size(name).depth) == (dim, depth)), None)


def format_size(dim: int, depth: int) -> str:
    """Return a hidden size and a number of layers as they are set: ``size=small``, or as two keys."""
    name = size_name(dim, depth)
    return f"size.dim={dim} size.depth={depth}" if name is None else f"size={name}"
