"""Models by name: ours, and those that other packages register."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from vivit.errors import ConfigError
from vivit.models.base import ViViT
from vivit.models.config import EncoderConfig, read_size
from vivit.models.tokenisers import Tokeniser, build_tokeniser

M = TypeVar("M", bound=ViViT)
_MODELS: dict[str, type[ViViT]] = {}
_FIXED: dict[str, Mapping[str, Any]] = {}
"""Options of a name that is another architecture with these set."""


def register_model(name: str, **fixed: Any) -> Callable[[type[M]], type[M]]:
    """Return a class decorator that gives a model its name, which configurations and checkpoints use.

    ``fixed`` are options that the name stands for: the average-pool baseline is a factorised encoder with
    ``temporal_depth=0``. Raises ConfigError where another class has the name.
    """

    def register(cls: type[M]) -> type[M]:
        taken = _MODELS.get(name)
        if taken is not None and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
            problem = f"is the name of {taken.__module__}.{taken.__qualname__} already"
            raise ConfigError("model", name, problem, "register it by another name")
        if not fixed:
            cls.name = name
        _MODELS[name], _FIXED[name] = cls, fixed
        return cls

    return register


def models() -> list[str]:
    """Return the names of all registered models."""
    return sorted(_MODELS)


def model_class(name: str, plugins: Sequence[str] = ()) -> type[ViViT]:
    """Return the class that is registered under a name.

    Raises ConfigError about ``model``, with the ``plugins`` that a checkpoint was trained with, for an unknown one.
    """
    if name not in _MODELS:
        remedy = f"set one of {', '.join(models())}, or plugins=[module] for one of your own"
        if plugins:
            remedy = f"set plugins=[{','.join(plugins)}], with which it was trained; in Python, import them first"
        raise ConfigError("model", name, "there is no such model", remedy)
    return _MODELS[name]


def model_config(name: str) -> type[EncoderConfig]:
    """Return the record of a registered model's options. Raises ConfigError about ``model`` for an unknown one."""
    return model_class(name).config_class


def build_model(
    name: str, tokeniser: Tokeniser | Mapping[str, Any], plugins: Sequence[str] = (), **options: Any
) -> ViViT:
    """Return a model with random weights.

    ``tokeniser`` is one, or its name and options. ``options`` are fields of the model's record: of EncoderConfig, and
    its own. Raises ConfigError for names and options that do not exist, and for options that are missing.
    """
    cls = model_class(name, plugins)
    known = {field.name: field for field in fields(cls.config_class)}
    if unknown := sorted(set(options) - set(known)):
        raise ConfigError(
            f"model.{unknown[0]}",
            options[unknown[0]],
            f"is no option of {name}",
            f"set one of {', '.join(sorted(known))}",
        )
    for key, value in _FIXED[name].items():
        if options.setdefault(key, value) != value:
            raise ConfigError(f"model.{key}", options[key], f"{name} has {value}", f"leave it out, or set {value}")
    required = [key for key, field in known.items() if field.default is MISSING and field.default_factory is MISSING]
    if missing := [key for key in required if key not in options]:
        raise ConfigError(f"model.{missing[0]}", problem=f"is missing; {name} needs it", remedy="set it")
    if not isinstance(tokeniser, Tokeniser):
        if "name" not in tokeniser:
            raise ConfigError("tokeniser.name", problem="is missing", remedy="set tubelet, uniform_frames or another")
        tokeniser = build_tokeniser(**tokeniser)
    return cls(tokeniser, cls.config_class(**options))


def create_model(
    name: str,
    *,
    size: str = "base",
    num_classes: int,
    frames: int = 32,
    image_size: int | tuple[int, int] = 224,
    tokeniser: str | Mapping[str, Any] = "tubelet",
    **options: Any,
) -> ViViT:
    """Return a model of the paper, with random weights and a classifier of zeros: ViViT-B/16x2 by default.

    ``name`` is one of ``models()``, ``size`` one of ``sizes()``. The network takes clips [b, 3, frames, height, width]
    with colours in [-1, 1], where ``image_size`` is a side in pixels or (height, width), and returns logits
    [b, num_classes]. ``tokeniser`` is ``tubelet`` (of two frames), ``uniform_frames`` (a quarter of the frames), or a
    name with options such as ``{"name": "tubelet", "tubelet": [4, 16, 16]}``. ``options`` are fields of EncoderConfig,
    or of the model's own record, such as ``temporal_depth``.

    Raises ConfigError for names and options that do not exist, and clips that cannot be cut into tokens.
    """
    backbone = read_size(size)
    patch = [backbone.patch, backbone.patch]
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    named = {"name": tokeniser} if isinstance(tokeniser, str) else dict(tokeniser)
    defaults: dict[str, Any] = {"dim": backbone.dim}
    if named["name"] == "tubelet":
        defaults["tubelet"] = [2, *patch]
    elif named["name"] == "uniform_frames":
        defaults |= {"num_frames": max(1, frames // 4), "patch": patch}
    sized: dict[str, Any] = {
        **{"num_classes": num_classes, "frames": frames, "height": height, "width": width},
        **{"depth": backbone.depth, "num_heads": backbone.num_heads, "mlp_dim": backbone.mlp_dim},
    }
    if "temporal_depth" in {field.name for field in fields(model_class(name).config_class)}:
        sized["temporal_depth"] = backbone.temporal_depth
    return build_model(name, defaults | named, **{**sized, **_FIXED[name], **options})


def model_name(net: ViViT) -> str:
    """Return the name that stands for a network: ``average_pool`` for a factorised encoder without temporal layers."""
    for name, fixed in _FIXED.items():
        if fixed and _MODELS[name] is type(net) and all(getattr(net.config, key) == fixed[key] for key in fixed):
            return name
    return net.name


def model_options(net: ViViT) -> dict[str, Any]:
    """Return what ``build_model`` needs to build a network again, in plain values, but for the number of classes."""
    options: dict[str, Any] = {"name": net.name, "tokeniser": net.tokeniser.options()}
    config: EncoderConfig = net.config
    return options | {key: value for key, value in config.to_dict().items() if key != "num_classes"}
