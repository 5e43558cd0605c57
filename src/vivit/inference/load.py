"""Load a trained network from a file of any format: ours, the authors' (scenic), or Hugging Face's."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vivit.checkpoints import (
    huggingface_labels,
    huggingface_metadata,
    model_from_huggingface,
    model_from_scenic,
    model_from_videomae,
    resolve_weight_file,
    scenic_metadata,
    videomae_labels,
    videomae_metadata,
)
from vivit.checkpoints.formats.videomae import is_videomae
from vivit.checkpoints.vivit_checkpoint import is_vivit_checkpoint, load_network
from vivit.checkpoints.weight_file import read_names
from vivit.errors import CheckpointError, ConfigError
from vivit.inference.preprocessing import Preprocessing, parse_preprocessing
from vivit.models import ViViT

log = logging.getLogger(__name__)

SCENIC_OPTIONS = ("model", "frames", "height", "width", "sampled_frames", "order")
"""Options of a network that the authors' parameters do not determine."""


@dataclass(frozen=True)
class LoadedModel:
    """A network with its weights, and what its file contains beside them."""

    net: ViViT
    report: str
    classes: Mapping[str, Sequence[str]] | None = None
    """Class names of every head, in the order of the outputs."""
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    """How its clips are cut, in plain values; as much as the file has."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """The data set that it was trained on, in plain values; empty where the file has none."""
    plugins: Sequence[str] = ()
    """Modules that registered its network."""


def read_scenic(source: Path, options: Mapping[str, Any]) -> LoadedModel:
    """Load a checkpoint of the authors' code, or one that was written here with further metadata."""
    metadata = scenic_metadata(source)
    stored = metadata.get("network", {})
    merged = {key: stored.get(key) if options.get(key) is None else options[key] for key in SCENIC_OPTIONS}
    for key in SCENIC_OPTIONS[:4]:
        if merged[key] is None:
            raise ConfigError(
                key, problem=f"is not set, and {source}, a file of the authors' code, does not contain it",
                remedy=f"set {key}=...",
            )  # fmt: skip
    merged["order"] = merged["order"] or "space_time"
    net, report = model_from_scenic(source, **merged)
    classes = parse_classes(metadata.get("heads"), net, source)
    return LoadedModel(net, str(report), classes, parse_preprocessing(metadata, source))


def read_huggingface(source: Path, options: Mapping[str, Any]) -> LoadedModel:
    """Load a folder or file of Hugging Face's ViViT."""
    keys = ("frames", "height", "width", "num_heads")
    net, report = model_from_huggingface(source, **{key: options.get(key) for key in keys})
    metadata, notes = huggingface_metadata(source, net.clip_size[1:])
    classes = parse_classes(metadata.get("heads"), net, source)
    if classes is None and (names := huggingface_labels(source)) is not None:
        classes = {"label": names}
    text = "\n".join([str(report), *(f"  note      {note}" for note in notes)])
    return LoadedModel(net, text, classes, parse_preprocessing(metadata, source))


def read_vivit(source: Path, options: Mapping[str, Any]) -> LoadedModel:
    """Load a checkpoint of this repository, which needs no options."""
    net, record = load_network(source)
    return LoadedModel(
        net,
        f"{source}: a checkpoint of this repository",
        record["classes"],
        parse_preprocessing(record["preprocessing"], source),
        record.get("data", {}),
        record.get("plugins", ()),
    )


def read_videomae(source: Path, options: Mapping[str, Any]) -> LoadedModel:
    """Load a VideoMAE with a classifier: a folder or file of Hugging Face, or a file of its authors."""
    keys = ("frames", "height", "width", "num_heads")
    net, report = model_from_videomae(source, **{key: options.get(key) for key in keys})
    metadata, notes = videomae_metadata(source, net.clip_size[1:])
    for note in notes:
        log.warning("%s: %s", source, note)
    names = videomae_labels(source)
    text = "\n".join([str(report), *(f"  note      {note}" for note in notes)])
    classes = None if names is None or len(names) != net.head.projection.out_features else {"label": names}
    return LoadedModel(net, text, classes, parse_preprocessing(metadata, source))


READERS: dict[str, Callable[[Path, Mapping[str, Any]], LoadedModel]] = {
    "scenic": read_scenic,
    "huggingface": read_huggingface,
    "videomae": read_videomae,
    "vivit": read_vivit,
}


def detect_source_format(source: Path) -> str:
    """Return the format of a file or folder: by first bytes, whether a file of PyTorch has a record, and names."""
    if not source.is_dir():
        with source.open("rb") as file:
            start = file.read(9)
        is_pytorch = start.startswith((b"PK", b"\x80\x02"))  # a zip file, or before that a pickle
        if not is_pytorch and start[8:] != b"{":  # safetensors: the length of a JSON map, and the map
            return "scenic"
        if is_pytorch and is_vivit_checkpoint(source):
            return "vivit"
    return "videomae" if is_videomae(read_names(resolve_weight_file(source, "source"))) else "huggingface"


def parse_classes(heads: Any, net: ViViT, source: object) -> dict[str, list[str]] | None:
    """Return the class names of every head that a file stores; None without any. Raises CheckpointError."""
    if heads is None:
        return None
    outputs = net.head.projection.out_features
    valid = isinstance(heads, Mapping) and all(isinstance(names, Sequence) for names in heads.values())
    if not valid or sum(map(len, heads.values())) != outputs:
        raise CheckpointError(source, f"are not names of its network's {outputs} outputs", key="heads")
    return {str(head): [str(name) for name in names] for head, names in heads.items()}


def read_model(path: str | Path, **options: Any) -> LoadedModel:
    """Return the network of a file of any format, with what the file contains beside it; see ``load``."""
    source = Path(path)
    if not source.exists():
        raise ConfigError("path", path, "there is no such file", "set a file or folder of weights")
    known = (*SCENIC_OPTIONS, "num_heads")
    if unknown := sorted(set(options) - set(known)):
        raise ConfigError(unknown[0], options[unknown[0]], "is no option", f"set one of {', '.join(known)}")
    return READERS[detect_source_format(source)](source, options)


def load(path: str | Path, **options: Any) -> tuple[ViViT, Preprocessing]:
    """Return the network of a file in evaluation mode, on the CPU, and its preprocessing.

    ``path`` is a checkpoint of this repository, of scenic, or a folder or file of Hugging Face's ViViT or of VideoMAE.
    ``options`` is what foreign files do not contain: ``model``, ``frames``, ``height`` and ``width`` for scenic's, and
    where they apply ``sampled_frames`` (uniform frame sampling) and ``order`` (Model 3); ``num_heads`` and the clip's
    size for Hugging Face's without ``config.json``. How clips are cut is the paper's where a file does not tell: every
    second frame, of pictures whose short side is 256/224 of the crop's; a line of the log says so.

    The network takes clips [b, 3, f, h, w] with colours in [-1, 1] and returns logits [b, k]. Raises CheckpointError
    for files that are damaged or of another format, and ConfigError for options that are wrong or missing.
    """
    loaded = read_model(path, **options)
    return loaded.net.eval(), preprocessing_of(loaded, path)


def preprocessing_of(loaded: LoadedModel, path: str | Path) -> Preprocessing:
    """Return the preprocessing of a loaded network; what its file does not contain is the paper's, with a warning."""
    frames, height, width = loaded.net.clip_size
    assumed = {"stride": 2, "resize": round(min(height, width) * 256 / 224)}
    if "fps" in loaded.preprocessing:
        del assumed["stride"]
    if missing := {key: assumed[key] for key in assumed if key not in loaded.preprocessing}:
        log.warning("%s does not contain how clips are cut: assumed %s", path, missing)
    plain = {**assumed, **loaded.preprocessing, "frames": frames, "crop": [height, width]}
    return Preprocessing.from_plain(plain, path)
