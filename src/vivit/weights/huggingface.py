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

from vivit.models import SpatioTemporal, Tubelets
from vivit.weights.beside import CONFIG, GELUS, PREPROCESSING, read_json
from vivit.weights.huggingface_config import (
    OURS,
    checked_config,
    class_names,
    model_config,
    preprocessing,
    short_side,
    told,
)
from vivit.weights.huggingface_windows import HEAD, POOLER, file_name, windows
from vivit.weights.names import Shapes, check_names
from vivit.weights.report import LoadReport
from vivit.weights.tensor_file import check_parameter, read_tensors

FILES = ("model.safetensors", "pytorch_model.bin")
"""What a folder has its weights in; the first one wins."""
LAYER = "vivit.encoder.layer"


def model_from_huggingface(
    source: str | os.PathLike[str] | Mapping[str, Tensor],
    *,
    frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
    heads: int | None = None,
    classes: int | None = None,
) -> tuple[SpatioTemporal, LoadReport]:
    """Build the network that Hugging Face's ViViT weights belong to, float32 on the CPU, with its weights.

    ``source`` is a folder as ``save_pretrained`` writes it, a .safetensors or PyTorch file, or a state dict, with the
    names that files have or those of transformers 5. Whatever shapes tell is read off the weights. The clips' size and
    the number of heads, which they do not tell, are in the ``config.json`` beside them; where there is none, give them
    here. A bare ``VivitModel`` has no classifier: give ``classes``, and the head starts anew, at zero. Dropout is a
    matter of training and is not taken over. Feed clips in [-1, 1], whatever preprocessing lies beside the weights.

    Raises ValueError naming the key or the file where one is missing, left over, contradicts another or cannot be read.
    """
    label, tensors, config, notes = _read(source)
    asked = {"frames": frames, "height": height, "width": width, "heads": heads}
    try:
        sources = _by_file_name(tensors)
        for name, tensor in tensors.items():
            check_parameter(name, tensor)
        shapes = {name: tuple(tensors[key].shape) for name, key in sources.items()}
        # Without memory behind it, so that a file cannot make this allocate more than it holds.
        with torch.device("meta"):
            net = _network(shapes, config, _settled(asked, told(config)), classes)
        needed = {name: tuple(window.shape) for name, window in windows(net).items()}
        fresh = [name for name in needed if name.startswith(HEAD) and f"{HEAD}weight" not in shapes]
        check_names(
            {name: shape for name, shape in shapes.items() if not name.startswith(POOLER)},
            {name: shape for name, shape in needed.items() if name not in fresh},
        )
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from None
    net.to_empty(device="cpu")
    for name, window in windows(net).items():
        window.zero_() if name in fresh else window.copy_(tensors[sources[name]])
    loaded = tuple(key for name, key in sources.items() if not name.startswith(POOLER))
    ignored = {key: "a pooler, which the authors' model has not" for key in tensors if key not in loaded}
    return net, LoadReport(label, loaded=loaded, fresh=tuple(fresh), ignored=ignored, notes=notes)


def huggingface_labels(source: str | os.PathLike[str]) -> list[str] | None:
    """Give the names of the classes, in the order of the outputs, from a folder's ``config.json`` or beside a file."""
    return class_names(_config(Path(source)))


def huggingface_told(source: str | os.PathLike[str], crop: tuple[int, int]) -> tuple[dict[str, Any], list[str]]:
    """Read what lies beside weights about their clips; return it with what is to be said of it.

    That is the short side to which pictures are scaled (``resize``), and what ``save_huggingface`` was given to hold.
    """
    path, beside = Path(source), _config(Path(source)).get(OURS)
    folder = path if path.is_dir() else path.parent
    process = _metadata(path).get("preprocessing") or next(
        filter(None, (read_json(folder / n) for n in PREPROCESSING)), {}
    )
    side, said = short_side(process, crop)
    known = dict(beside) if isinstance(beside, dict) else {}
    return known | ({} if side is None else {"resize": side}), said


def save_huggingface(
    net: nn.Module,
    target: str | os.PathLike[str],
    *,
    labels: Sequence[str] | None = None,
    short_side: int | None = None,
    beside: Mapping[str, Any] | None = None,
) -> None:
    """Write Model 1 as ``transformers.VivitForVideoClassification.from_pretrained`` takes it.

    ``target`` is a folder to be made, which gets weights, ``config.json`` with the names of the classes, and a
    preprocessing that yields [-1, 1] from frames with a short side of ``short_side`` (by default 8/7 of the crop, as
    256 to 224); or a .safetensors file, which gets the weights. Neither may exist. ``beside`` are plain values for
    which transformers has no words: ``config.json`` holds them under ``vivit``; a file, with all of the above, in its
    metadata, and without ``beside`` it holds nothing but the weights.
    """
    path = Path(target)
    tensors = {name: window.cpu().contiguous() for name, window in windows(net).items()}
    if path.exists():
        raise FileExistsError(f"{path} is there already, and is not written over")
    assert isinstance(net, SpatioTemporal)  # windows has seen to it
    config, process = model_config(net, labels, beside), preprocessing(net, short_side)
    if path.suffix == ".safetensors":
        parts = {"config": config, "preprocessing": process} if beside else {}
        words = {name: json.dumps(part, allow_nan=False) for name, part in parts.items()}
        save_file(tensors, path, metadata={"format": "pt"} | words)
        return
    if path.suffix:
        raise ValueError(f"{path} is neither a folder nor a .safetensors file")
    configs = {CONFIG: config} | dict.fromkeys(PREPROCESSING, process)
    path.mkdir(parents=True)
    save_file(tensors, path / FILES[0], metadata={"format": "pt"})
    for name, content in configs.items():
        (path / name).write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _read(
    source: str | os.PathLike[str] | Mapping[str, Tensor],
) -> tuple[str, Mapping[str, Tensor], dict[str, Any], tuple[str, ...]]:
    if isinstance(source, Mapping):
        return "the given parameters", source, {}, ()
    path = Path(source)
    files = [path / name for name in FILES if (path / name).is_file()] if path.is_dir() else [path]
    if files:
        found = read_tensors(files[0])
        return found.label, found.tensors, _config(path), found.notes
    if parts := sorted(file.name for file in path.glob("*.index.json")):
        raise ValueError(f"{path} has its weights in several files ({parts[0]}); save them in one")
    raise FileNotFoundError(f"{path} has neither {' nor '.join(FILES)}")


def _config(path: Path) -> dict[str, Any]:
    """Read what describes the network: from the file itself, or from ``config.json`` in its folder, if it is there."""
    if own := _metadata(path).get("config"):
        return checked_config(own, path)
    file = (path if path.is_dir() else path.parent) / CONFIG
    return checked_config(read_json(file), file)


def _metadata(path: Path) -> dict[str, dict[str, Any]]:
    """Read the maps that a .safetensors file holds beside its tensors; none of what is no such file."""
    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    try:
        with safe_open(path, "pt") as file:
            words = file.metadata() or {}
        parts = {name: json.loads(words[name]) for name in ("config", "preprocessing") if name in words}
    except Exception as error:
        raise ValueError(f"{path} is not a readable safetensors file: {error}") from None
    return {name: part for name, part in parts.items() if isinstance(part, dict)}


def _by_file_name(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Map the name of every parameter in files to the one it has in this source."""
    names: dict[str, str] = {}
    for key in tensors:
        if (name := file_name(key)) in names:
            raise ValueError(f"{names[name]!r} and {key!r} are the same parameter")
        names[name] = key
    return names


def _settled(asked: Mapping[str, int | None], known: Mapping[str, int]) -> dict[str, int]:
    """Join what the caller says with what the configuration tells; each must be said, and both must agree."""
    for name, value in asked.items():
        if value is None and name not in known:
            raise ValueError(f"the weights do not tell {name}, and no {CONFIG} beside them does: give {name}=...")
        if value is not None and known.get(name, value) != value:
            raise ValueError(f"{name}={value} is asked for, but {CONFIG} says {known[name]}")
    return {**known, **{name: value for name, value in asked.items() if value is not None}}


def _network(
    shapes: Shapes, config: Mapping[str, Any], settled: Mapping[str, Any], classes: int | None
) -> SpatioTemporal:
    dim, _, *tubelet = _shape(shapes, "vivit.embeddings.patch_embeddings.projection.weight", 5)
    depth = len({name.split(".")[3] for name in shapes if name.startswith(f"{LAYER}.")})
    mlp_dim = _shape(shapes, f"{LAYER}.0.intermediate.dense.weight", 2)[0]
    sizes = {"hidden_size": dim, "num_hidden_layers": depth, "intermediate_size": mlp_dim, "tubelet_size": tubelet}
    for key, value in sizes.items():
        if config.get(key, value) != value:
            raise ValueError(f"{CONFIG} says {key}={config[key]}, but the weights have {value}")
    outputs = _shape(shapes, f"{HEAD}weight", 2)[0] if f"{HEAD}weight" in shapes else None
    if outputs is None and classes is None:
        raise ValueError("the weights have no classifier: give classes=..., and the head starts anew")
    if classes is not None and outputs not in (None, classes):
        raise ValueError(f"classes={classes} are asked for, but the classifier has {outputs}")
    tokeniser = Tubelets(dim=dim, tubelet=tubelet)
    gelu = GELUS[config.get("hidden_act", "gelu_fast")]
    classes = outputs or classes or 0
    return SpatioTemporal(tokeniser, classes=classes, depth=depth, mlp_dim=mlp_dim, gelu=gelu, **settled)


def _shape(shapes: Shapes, name: str, axes: int) -> tuple[int, ...]:
    if name not in shapes:
        raise ValueError(f"{name!r} is missing: these are no weights of Hugging Face's ViViT")
    if len(shapes[name]) != axes:
        raise ValueError(f"{name!r} has the shape {shapes[name]}, but needs {axes} axes")
    return shapes[name]
