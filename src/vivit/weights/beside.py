"""What lies beside weights of Hugging Face and timm: ``config.json`` and ``preprocessor_config.json``."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vivit.models.blocks import Gelu
from vivit.weights.backbone import Backbone

CONFIG = "config.json"
PREPROCESSING = ("preprocessor_config.json", "video_preprocessor_config.json")
GELUS: dict[str, Gelu] = {
    "gelu_fast": "tanh",
    "gelu_new": "tanh",
    "gelu_accurate": "tanh",
    "gelu_pytorch_tanh": "tanh",
    "gelu_tanh": "tanh",
    "gelu": "erf",
    "gelu_python": "erf",
}
"""What transformers and timm call the two forms."""


def read_json(file: Path) -> dict[str, Any]:
    """Read a map from a JSON file; nothing where there is none. Raises ValueError where it is something else."""
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file} is a {type(content).__name__}, not a map")
    return content


def with_told(found: Backbone, folder: Path | None) -> Backbone:
    """Take what the files beside weights tell: colours, activation and heads; and note what nobody tells.

    ``folder`` is where the weights lie; None: they are in memory.
    """
    notes, form = list(found.notes), found.format
    file = (folder or Path()) / CONFIG
    config = read_json(file) if folder is not None and form.told else {}
    if config and not _belongs(config, found):
        notes.append(f"{file} is of another network, and neither it nor what lies beside it was read")
        config, folder = {}, None
    act = config.get("hidden_act", _inside(config, "model_args").get("act_layer")) if form.told else None
    if act is not None and (not isinstance(act, str) or act not in GELUS):
        raise ValueError(f"{file} says hidden_act={act!r}, but these networks have one of {', '.join(GELUS)}")
    form = form if act is None else replace(form, gelu=GELUS[act])
    if heads := config.get("num_attention_heads"):
        found = replace(found, heads={**found.heads, "encoder": heads})
    if not config and form.assumed:
        notes.append(f"no {CONFIG} beside it tells its activation: the {form.gelu} GELU is assumed")
    colours = None
    if folder is not None and "colours" in form.told:
        beside = ((folder / name, read_json(folder / name)) for name in PREPROCESSING)
        told = [(place, content) for place, content in beside if content]
        told += [(file, {"do_rescale": True} | _renamed(timm))] if (timm := _inside(config, "pretrained_cfg")) else []
        colours = next((colours_told(place, content) for place, content in told), None)
    if colours is not None:
        form = replace(form, mean=colours[0], std=colours[1], assumed=False)
    return replace(found, format=form, notes=tuple(notes))


def _inside(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    return value if isinstance(value, Mapping) else {}


def _renamed(timm: Mapping[str, Any]) -> dict[str, Any]:
    return {f"image_{name}": timm[name] for name in ("mean", "std") if name in timm}


def _belongs(config: Mapping[str, Any], found: Backbone) -> bool:
    """Whether a configuration is of a network as wide and as deep as these weights."""
    dim = len(found.tensors["patches.weight"]) if "patches.weight" in found.tensors else None
    blocks = {name.split(".")[2] for name in found.tensors if name.startswith("encoder.blocks.")}
    return config.get("hidden_size", dim) == dim and config.get("num_hidden_layers", len(blocks)) == len(blocks)


def colours_told(file: Path, told: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return mean and deviation, of colours in [0, 1], that come to what a preprocessing does with bytes."""
    if told.get("do_normalize") is not False and not {"image_mean", "image_std"} <= told.keys():
        return None
    mean: tuple[float, ...] = (0.0,) * 3
    std: tuple[float, ...] = (1.0,) * 3
    if told.get("do_normalize") is not False:
        mean, std = (_three(file, name, told[name]) for name in ("image_mean", "image_std"))
    rescaled = told.get("do_rescale") is not False
    factor = told.get("rescale_factor", 1 / 255) if rescaled else 1.0
    if not isinstance(factor, int | float) or not 0 < factor < math.inf:
        raise ValueError(f"{file} says rescale_factor={factor!r}, and a number above 0 is wanted")
    whole, shift = 255 * factor, 1.0 if rescaled and told.get("offset") else 0.0
    if min(std) <= 0:
        raise ValueError(f"{file} says image_std={list(std)}, and numbers above 0 are wanted")
    return tuple(_tidy((shift + part) / whole) for part in mean), tuple(_tidy(part / whole) for part in std)


def _tidy(number: float) -> float:
    """Leave out what 255 times 1/255 is beside 1."""
    return round(number, 12)


def _three(file: Path, name: str, values: Any) -> tuple[float, ...]:
    values = [values] * 3 if isinstance(values, int | float) else values
    numbers = isinstance(values, Sequence) and all(isinstance(part, int | float) for part in values)
    if not numbers or len(values) != 3 or not all(map(math.isfinite, values)):
        raise ValueError(f"{file} says {name}={values!r}, and three numbers are wanted")
    return tuple(float(part) for part in values)
