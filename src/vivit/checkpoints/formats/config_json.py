"""Files beside weights of Hugging Face and timm: ``config.json`` and ``preprocessor_config.json``."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vivit.checkpoints.neutral_state_dict import NeutralStateDict
from vivit.errors import CheckpointError
from vivit.models.blocks import Gelu

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
"""The names of transformers and timm for the two GELUs."""


def read_json(file: Path) -> dict[str, Any]:
    """Return the map in a JSON file, or an empty one without a file. Raises CheckpointError for anything else."""
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(file, f"not JSON: {error}") from None
    if not isinstance(content, dict):
        raise CheckpointError(file, f"is a {type(content).__name__}, not a map")
    return content


def check_activation(file: Path, name: Any) -> Gelu:
    """Return the GELU that transformers calls ``name``. Raises CheckpointError for another activation."""
    if not isinstance(name, str) or name not in GELUS:
        raise CheckpointError(file, f"is {name!r}, but these networks have one of {', '.join(GELUS)}", key="hidden_act")
    return GELUS[name]


def read_sidecar(state: NeutralStateDict, folder: Path | None) -> NeutralStateDict:
    """Return weights with the colours, activation and heads that files beside them contain.

    What no file contains is noted. ``folder`` is that of the weights; None: they are in memory.
    """
    notes, key_format = list(state.notes), state.key_format
    file = (folder or Path()) / CONFIG
    config = read_json(file) if folder is not None and key_format.sidecar else {}
    if config and not _belongs(config, state):
        notes.append(f"{file} is of another network, so neither it nor the files beside it were read")
        config, folder = {}, None
    activation = config.get("hidden_act", _nested(config, "model_args").get("act_layer"))
    if activation is not None:
        key_format = replace(key_format, gelu=check_activation(file, activation))
    if heads := config.get("num_attention_heads"):
        state = replace(state, heads={**state.heads, "encoder": heads})
    if not config and key_format.colours_assumed:
        notes.append(f"no {CONFIG} beside it contains its activation: the {key_format.gelu} GELU is assumed")
    colours = None
    if folder is not None and "colours" in key_format.sidecar:
        candidates = [(folder / name, read_json(folder / name)) for name in PREPROCESSING]
        if timm := _nested(config, "pretrained_cfg"):
            candidates.append((file, {"do_rescale": True} | _with_prefix(timm)))
        colours = next((read_colours(path, content) for path, content in candidates if content), None)
    if colours is not None:
        key_format = replace(key_format, mean=colours[0], std=colours[1], colours_assumed=False)
    return replace(state, key_format=key_format, notes=tuple(notes))


def _nested(config: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = config.get(key)
    return value if isinstance(value, Mapping) else {}


def _with_prefix(timm: Mapping[str, Any]) -> dict[str, Any]:
    return {f"image_{name}": timm[name] for name in ("mean", "std") if name in timm}


def _belongs(config: Mapping[str, Any], state: NeutralStateDict) -> bool:
    """Whether a configuration is of a network as wide and as deep as these weights."""
    dim = len(state.tensors["patches.weight"]) if "patches.weight" in state.tensors else None
    blocks = {name.split(".")[2] for name in state.tensors if name.startswith("encoder.blocks.")}
    return config.get("hidden_size", dim) == dim and config.get("num_hidden_layers", len(blocks)) == len(blocks)


def read_colours(file: Path, config: Mapping[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return mean and deviation, of colours in [0, 1], that are equal to a preprocessing of bytes.

    None where the preprocessing does not contain them. Raises CheckpointError for values that cannot be.
    """
    if config.get("do_normalize") is not False and not {"image_mean", "image_std"} <= config.keys():
        return None
    mean: tuple[float, ...] = (0.0,) * 3
    std: tuple[float, ...] = (1.0,) * 3
    if config.get("do_normalize") is not False:
        mean, std = (_three_numbers(file, name, config[name]) for name in ("image_mean", "image_std"))
    rescaled = config.get("do_rescale") is not False
    factor = config.get("rescale_factor", 1 / 255) if rescaled else 1.0
    if not isinstance(factor, int | float) or not 0 < factor < math.inf:
        raise CheckpointError(file, f"expected a number above 0, got {factor!r}", key="rescale_factor")
    scale, shift = 255 * factor, 1.0 if rescaled and config.get("offset") else 0.0
    if min(std) <= 0:
        raise CheckpointError(file, f"expected numbers above 0, got {list(std)}", key="image_std")
    return tuple(_rounded((shift + part) / scale) for part in mean), tuple(_rounded(part / scale) for part in std)


def _rounded(number: float) -> float:
    """Return a number without the rounding error of 255 times 1/255."""
    return round(number, 12)


def _three_numbers(file: Path, name: str, values: Any) -> tuple[float, ...]:
    values = [values] * 3 if isinstance(values, int | float) else values
    numbers = isinstance(values, Sequence) and all(isinstance(part, int | float) for part in values)
    if not numbers or len(values) != 3 or not all(map(math.isfinite, values)):
        raise CheckpointError(file, f"expected three numbers, got {values!r}", key=name)
    return tuple(float(part) for part in values)
