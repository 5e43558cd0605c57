"""The formats between which weights are converted: how each is detected, read and written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vivit.checkpoints import (
    huggingface_labels,
    huggingface_metadata,
    model_from_huggingface,
    model_from_scenic,
    save_huggingface,
    save_scenic,
    scenic_metadata,
)
from vivit.checkpoints.vivit_checkpoint import (
    VERSION,
    check_weights,
    is_vivit_checkpoint,
    load_network,
    model_record,
)
from vivit.errors import ConfigError
from vivit.models import ViViT, model_name, model_options
from vivit.tasks.clip_settings import clip_settings_from_plain, clip_settings_to_plain, data_record, parse_heads
from vivit.training.callbacks.checkpoint import AtomicCheckpointIO


@dataclass(frozen=True)
class LoadedModel:
    """A network with its weights, and what its file contains beside them."""

    net: ViViT
    report: str
    heads: Mapping[str, list[str]] | None = None
    """Class names of every head, in the order of the outputs."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """How its clips are sampled, as a configuration: with the data set, or as much as a file has."""
    plugins: tuple[str, ...] = ()
    """Modules that registered its network."""


SCENIC_OPTIONS = ("model", "frames", "height", "width", "sampled_frames", "order")
"""Options of a network that the authors' parameters do not determine."""
ModelOptions = Mapping[str, Any]
"""Options of a network that the user sets beside its file: model, frames, height, width, and so on."""


def read_scenic(source: Path, options: ModelOptions) -> LoadedModel:
    """Load a checkpoint of the authors' code, or one that was written here with further metadata."""
    metadata = scenic_metadata(source)
    stored = metadata.get("network", {})
    merged = {key: stored.get(key) if options[key] is None else options[key] for key in SCENIC_OPTIONS}
    for key in SCENIC_OPTIONS[:4]:
        if merged[key] is None:
            raise ConfigError(
                key, problem=f"is not set, and {source}, a file of the authors' code, does not contain it",
                remedy=f"set {key}=...",
            )  # fmt: skip
    net, report = model_from_scenic(source, **merged | {"order": merged["order"] or "space_time"})
    heads = parse_heads(metadata, net.head.projection.out_features, source)
    return LoadedModel(net, str(report), heads, clip_settings_from_plain(metadata, source))


def read_huggingface(source: Path, options: ModelOptions) -> LoadedModel:
    """Load a folder or file of Hugging Face's ViViT."""
    sizes = {key: options[key] for key in ("frames", "height", "width")}
    net, report = model_from_huggingface(source, **sizes, num_heads=options["num_heads"])
    _, height, width = net.clip_size
    metadata, notes = huggingface_metadata(source, (height, width))
    heads = parse_heads(metadata, net.head.projection.out_features, source)
    if heads is None and (names := huggingface_labels(source)) is not None:
        heads = {"label": names}
    text = "\n".join([str(report), *(f"  note      {note}" for note in notes)])
    return LoadedModel(net, text, heads, clip_settings_from_plain(metadata, source))


def read_vivit(source: Path, options: ModelOptions) -> LoadedModel:
    """Load a checkpoint of this repository, which needs no options."""
    net, record = load_network(source)
    check_weights(net, source)
    data = clip_settings_from_plain(record["preprocessing"], source) | dict(record.get("data", {}))
    return LoadedModel(
        net, f"{source}: a checkpoint of this repository", record["classes"], data, tuple(record.get("plugins", ()))
    )


def write_scenic(loaded: LoadedModel, target: Path) -> None:
    """Write a checkpoint that the authors' code restores; what that has no place for is in its metadata."""
    options = network_options(loaded.net)
    metadata = {"network": {key: options[key] for key in SCENIC_OPTIONS}, "heads": loaded.heads}
    save_scenic(loaded.net, target, beside=metadata | clip_settings_to_plain(loaded.data))


def write_huggingface(loaded: LoadedModel, target: Path) -> None:
    """Write a folder that transformers loads, or a .safetensors file. Several heads become one, with their names."""
    heads = loaded.heads or {}
    several = len(heads) > 1
    labels = [f"{head}: {name}" if several else name for head, names in heads.items() for name in names]
    metadata = clip_settings_to_plain(loaded.data) | {"heads": loaded.heads}
    short_side = metadata.pop("resize", None)  # transformers has a key for it
    save_huggingface(loaded.net, target, labels=labels or None, short_side=short_side, beside=metadata)


def write_vivit(loaded: LoadedModel, target: Path) -> None:
    """Write a checkpoint for eval.py: the weights, and the record from which all else is built."""
    frames, height, width = loaded.net.clip_size
    record = {
        "version": VERSION,
        **model_record(loaded.net),
        **data_record({**loaded.data, "frames": frames, "crop": [height, width]}),
        "classes": {head: list(names) for head, names in (loaded.heads or {}).items()},
        "plugins": list(loaded.plugins),
    }
    content = {
        "state_dict": {f"network.{name}": tensor for name, tensor in loaded.net.state_dict().items()},
        "vivit": record,
        **{"pytorch-lightning_version": version("lightning"), "epoch": 0, "global_step": 0},
    }
    AtomicCheckpointIO().save_checkpoint(content, target)


READERS: dict[str, Callable[[Path, ModelOptions], LoadedModel]] = {
    "scenic": read_scenic,
    "huggingface": read_huggingface,
    "vivit": read_vivit,
}
WRITERS: dict[str, Callable[[LoadedModel, Path], None]] = {
    "scenic": write_scenic,
    "huggingface": write_huggingface,
    "vivit": write_vivit,
}


def detect_source_format(source: Path) -> str:
    """Return the format of a file by its first bytes; of a file of PyTorch by whether it has a record."""
    if source.is_dir():
        return "huggingface"
    with source.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{":  # safetensors: the length of a JSON map, and the map
        return "huggingface"
    if start.startswith((b"PK", b"\x80\x02")):  # PyTorch: a zip file, or before that a pickle
        return "vivit" if is_vivit_checkpoint(source) else "huggingface"
    return "scenic"


def detect_target_format(target: Path) -> str:
    """Return the format of a file that is to be written, by its name. Raises ConfigError about ``target``."""
    if target.suffix == ".ckpt":
        return "vivit"
    if target.suffix == ".msgpack" or target.name.startswith("checkpoint"):
        return "scenic"
    if target.suffix in ("", ".safetensors"):
        return "huggingface"
    raise ConfigError(
        "target",
        target,
        "its name has no known format",
        "set .ckpt for ours, .msgpack or checkpoint_... for the authors', a folder or .safetensors for Hugging Face's; "
        "or target_format",
    )


def typed_options(cfg: DictConfig, model: str | None) -> dict[str, Any]:
    """Return the options of a network that the user has set; ``model`` is the selected configuration's name."""
    keys = ("frames", "height", "width", "sampled_frames", "num_heads")
    order = OmegaConf.select(cfg, "model.attention_order", default=None)
    return {key: cfg[key] for key in keys} | {"model": model, "order": order}


def network_options(net: ViViT) -> dict[str, Any]:
    """Return the options of a network that its weights alone do not determine."""
    config = model_options(net)
    options = {key: config[key] for key in ("frames", "height", "width", "num_heads")}
    sampled, order = config["tokeniser"].get("num_frames"), config.get("attention_order", "space_time")
    return options | {"model": model_name(net), "sampled_frames": sampled, "order": order}
