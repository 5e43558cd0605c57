"""Hugging Face's ViViT (``google/vivit-b-16x2-kinetics400`` and its like), in and out. It is Model 1."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from vivit.checkpoints.formats.config_json import CONFIG, GELUS, PREPROCESSING, read_json
from vivit.checkpoints.formats.huggingface_config import (
    EXTRA_KEY,
    check_config,
    class_names,
    model_config,
    parse_config,
    parse_short_side,
    preprocessing,
)
from vivit.checkpoints.formats.huggingface_state_dict import HEAD, POOLER, file_name, state_dict_views
from vivit.checkpoints.load_report import LoadReport
from vivit.checkpoints.model_zoo import FOLDER_FILES, resolve_weight_file
from vivit.checkpoints.tensor_checks import Shapes, check_names, check_parameter
from vivit.checkpoints.weight_file import read_tensors
from vivit.errors import CheckpointError, ConfigError
from vivit.models import SpatioTemporal, Tubelets
from vivit.models.spatiotemporal import SpatioTemporalConfig

LAYER = "vivit.encoder.layer"


def model_from_huggingface(
    source: str | os.PathLike[str] | Mapping[str, Tensor],
    *,
    frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
    num_heads: int | None = None,
    num_classes: int | None = None,
) -> tuple[SpatioTemporal, LoadReport]:
    """Return the network of Hugging Face's ViViT weights, float32 on the CPU, with its weights, and a report.

    ``source`` is a folder as ``save_pretrained`` writes it, a .safetensors or PyTorch file, or a state dict, with the
    names that files have or those of transformers 5. Whatever shapes contain is read off the weights. The clips' size
    and the number of heads, which they do not contain, are in the ``config.json`` beside them; without one, pass them
    here. A bare ``VivitModel`` has no classifier: pass ``num_classes``, and the head starts at zero. Dropout is a
    matter of training and is not read. The network takes clips in [-1, 1], whatever preprocessing lies beside.

    Raises CheckpointError, with the key, where one is missing, unexpected, contradicts another or cannot be read, and
    ConfigError for the other arguments.
    """
    label, tensors, config, notes = _read(source)
    arguments = {"frames": frames, "height": height, "width": width, "num_heads": num_heads}
    keys = _keys_by_file_name(tensors, label)
    for name, tensor in tensors.items():
        check_parameter(label, name, tensor)
    shapes = {name: tuple(tensors[key].shape) for name, key in keys.items()}
    # Without memory behind it, so that a file cannot make this allocate more than it holds.
    with torch.device("meta"):
        net = _build_network(shapes, config, _merge(arguments, parse_config(config, label), label), num_classes, label)
    expected = {name: tuple(view.shape) for name, view in state_dict_views(net).items()}
    fresh = [name for name in expected if name.startswith(HEAD) and f"{HEAD}weight" not in shapes]
    check_names(
        label,
        {name: shape for name, shape in shapes.items() if not name.startswith(POOLER)},
        {name: shape for name, shape in expected.items() if name not in fresh},
    )
    net.to_empty(device="cpu")
    for name, view in state_dict_views(net).items():
        view.zero_() if name in fresh else view.copy_(tensors[keys[name]])
    loaded = tuple(key for name, key in keys.items() if not name.startswith(POOLER))
    ignored = {key: "a pooler, which the authors' model has not" for key in tensors if key not in loaded}
    return net, LoadReport(label, loaded=loaded, fresh=tuple(fresh), ignored=ignored, notes=notes)


def huggingface_labels(source: str | os.PathLike[str]) -> list[str] | None:
    """Return the class names, in the order of the outputs, from a folder's ``config.json`` or beside a file."""
    return class_names(_read_config(Path(source)))


def huggingface_metadata(source: str | os.PathLike[str], crop: tuple[int, int]) -> tuple[dict[str, Any], list[str]]:
    """Return what files beside weights contain about their clips, and notes on it.

    That is the short side to which frames are scaled (``resize``), and the values that ``save_huggingface`` stored.
    """
    path, stored = Path(source), _read_config(Path(source)).get(EXTRA_KEY)
    folder = path if path.is_dir() else path.parent
    process = _read_metadata(path).get("preprocessing") or next(
        filter(None, (read_json(folder / name) for name in PREPROCESSING)), {}
    )
    side, notes = parse_short_side(process, crop)
    values = dict(stored) if isinstance(stored, dict) else {}
    return values | ({} if side is None else {"resize": side}), notes


def save_huggingface(
    net: nn.Module,
    target: str | os.PathLike[str],
    *,
    labels: Sequence[str] | None = None,
    short_side: int | None = None,
    beside: Mapping[str, Any] | None = None,
) -> None:
    """Write Model 1 as ``transformers.VivitForVideoClassification.from_pretrained`` takes it.

    ``target`` is a new folder, with weights, ``config.json`` with the names of the classes, and a preprocessing that
    yields [-1, 1] from frames with a short side of ``short_side`` (by default 8/7 of the crop, as 256 to 224); or a
    new .safetensors file, with the weights. ``beside`` are plain values that transformers has no entry for:
    ``config.json`` holds them under ``vivit``; a file, with all of the above, in its metadata, and without ``beside``
    it holds nothing but the weights. Raises FileExistsError where the target exists, ConfigError for another suffix.
    """
    path = Path(target)
    tensors = {name: view.cpu().contiguous() for name, view in state_dict_views(net).items()}
    if path.exists():
        raise FileExistsError(f"{path} exists, and is not overwritten")
    assert isinstance(net, SpatioTemporal)  # checked by state_dict_views
    config, process = model_config(net, labels, beside), preprocessing(net, short_side)
    if path.suffix == ".safetensors":
        parts = {"config": config, "preprocessing": process} if beside else {}
        metadata = {name: json.dumps(part, allow_nan=False) for name, part in parts.items()}
        save_file(tensors, path, metadata={"format": "pt"} | metadata)
        return
    if path.suffix:
        raise ConfigError("target", path, "is neither a folder nor a .safetensors file", "set one of them")
    configs = {CONFIG: config} | dict.fromkeys(PREPROCESSING, process)
    path.mkdir(parents=True)
    save_file(tensors, path / FOLDER_FILES[0], metadata={"format": "pt"})
    for name, content in configs.items():
        (path / name).write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _read(
    source: str | os.PathLike[str] | Mapping[str, Tensor],
) -> tuple[str, Mapping[str, Tensor], dict[str, Any], tuple[str, ...]]:
    if isinstance(source, Mapping):
        return "the parameters", source, {}, ()
    path = Path(source)
    files = [path / name for name in FOLDER_FILES if (path / name).is_file()] if path.is_dir() else [path]
    if files:
        named = read_tensors(resolve_weight_file(files[0], "source"))
        return named.label, named.tensors, _read_config(path), named.notes
    if parts := sorted(file.name for file in path.glob("*.index.json")):
        raise CheckpointError(path, f"its weights are in several files ({parts[0]})", "save them in one")
    raise CheckpointError(path, f"has neither {' nor '.join(FOLDER_FILES)}")


def _read_config(path: Path) -> dict[str, Any]:
    """Return the configuration of the network: from the file's metadata, or ``config.json`` in its folder, or empty."""
    if stored := _read_metadata(path).get("config"):
        return check_config(stored, path)
    file = (path if path.is_dir() else path.parent) / CONFIG
    return check_config(read_json(file), file)


def _read_metadata(path: Path) -> dict[str, dict[str, Any]]:
    """Return the maps that a .safetensors file holds beside its tensors; none of another file."""
    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
        parts = {name: json.loads(metadata[name]) for name in ("config", "preprocessing") if name in metadata}
    except Exception as error:
        raise CheckpointError(path, f"not a readable safetensors file: {error}") from None
    return {name: part for name, part in parts.items() if isinstance(part, dict)}


def _keys_by_file_name(tensors: Mapping[str, Tensor], label: str) -> dict[str, str]:
    """Return for the name of every parameter in files the one that it has in this source."""
    keys: dict[str, str] = {}
    for key in tensors:
        if (name := file_name(key)) in keys:
            raise CheckpointError(label, f"this and {keys[name]!r} are one parameter", key=key)
        keys[name] = key
    return keys


def _merge(arguments: Mapping[str, int | None], config: Mapping[str, int], label: str) -> dict[str, int]:
    """Return arguments and configuration in one; each value must be in one of them, and both must agree."""
    for name, value in arguments.items():
        if value is None and name not in config:
            raise ConfigError(name, None, f"neither {label} nor a {CONFIG} beside it contains it", "set it")
        if value is not None and config.get(name, value) != value:
            raise ConfigError(name, value, f"{CONFIG} of {label} has {config[name]}", f"set {config[name]}")
    return {**config, **{name: value for name, value in arguments.items() if value is not None}}


def _build_network(
    shapes: Shapes, config: Mapping[str, Any], size: Mapping[str, Any], num_classes: int | None, label: str
) -> SpatioTemporal:
    dim, _, *tubelet = _shape(shapes, "vivit.embeddings.patch_embeddings.projection.weight", 5, label)
    depth = len({name.split(".")[3] for name in shapes if name.startswith(f"{LAYER}.")})
    mlp_dim = _shape(shapes, f"{LAYER}.0.intermediate.dense.weight", 2, label)[0]
    sizes = {"hidden_size": dim, "num_hidden_layers": depth, "intermediate_size": mlp_dim, "tubelet_size": tubelet}
    for key, value in sizes.items():
        if config.get(key, value) != value:
            raise CheckpointError(label, f"{CONFIG} has {config[key]}, but the weights {value}", key=key)
    outputs = _shape(shapes, f"{HEAD}weight", 2, label)[0] if f"{HEAD}weight" in shapes else None
    if outputs is None and num_classes is None:
        raise ConfigError("num_classes", None, f"{label} has no classifier", "set how many a new one has")
    if num_classes is not None and outputs not in (None, num_classes):
        raise ConfigError("num_classes", num_classes, f"the classifier of {label} has {outputs}", f"set {outputs}")
    tokeniser = Tubelets(dim=dim, tubelet=tubelet)
    gelu = GELUS[config.get("hidden_act", "gelu_fast")]
    try:
        options = SpatioTemporalConfig(
            num_classes=outputs or num_classes or 0, depth=depth, mlp_dim=mlp_dim, gelu=gelu, **size
        )
        return SpatioTemporal(tokeniser, options)
    except ConfigError as error:
        raise CheckpointError(label, f"there is no network of such a size: {error}", key=error.key) from None


def _shape(shapes: Shapes, name: str, axes: int, label: str) -> tuple[int, ...]:
    if name not in shapes:
        raise CheckpointError(label, "is missing: these are no weights of Hugging Face's ViViT", key=name)
    if len(shapes[name]) != axes:
        raise CheckpointError(label, f"has the shape {shapes[name]}, but needs {axes} axes", key=name)
    return shapes[name]
