"""The formats between which weights are converted: each is told from a file or a name, read, and written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vivit.checkpoints import (
    Network,
    huggingface_labels,
    huggingface_metadata,
    model_from_huggingface,
    model_from_scenic,
    save_huggingface,
    save_scenic,
    scenic_metadata,
)
from vivit.tasks.checkpoint import check_weights, is_checkpoint, read_network
from vivit.tasks.held import configured, heads_told, plain
from vivit.tasks.record import model_name, model_record
from vivit.training.callbacks.checkpoint import AtomicCheckpointIO


@dataclass(frozen=True)
class Weights:
    """A network with its weights, and what its source tells beside them."""

    net: Network
    report: str
    heads: Mapping[str, list[str]] | None = None
    """Class names of every head, in the order of the outputs."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """How its clips are cut, as a configuration: all of a data set, or as much as a file tells."""


OF_SCENIC = ("model", "frames", "height", "width", "sampled_frames", "order")
"""What the authors' parameters do not tell of a network."""
Given = Mapping[str, Any]
"""What the user says of the weights beyond what they tell: model, frames, height, width, and so on."""


def read_scenic(source: Path, given: Given) -> Weights:
    """Read a checkpoint of the authors' code, or one that was written here and tells more than theirs."""
    told = scenic_metadata(source)
    network = told.get("network", {})
    said = {key: network.get(key) if given[key] is None else given[key] for key in OF_SCENIC}
    for key in OF_SCENIC[:4]:
        if said[key] is None:
            raise ValueError(f"{source} is a file of the authors' code, which does not tell {key}: set {key}=...")
    net, report = model_from_scenic(source, **said | {"order": said["order"] or "space_time"})
    heads = heads_told(told, net.head.projection.out_features, source)
    return Weights(net, str(report), heads, configured(told, source))


def read_huggingface(source: Path, given: Given) -> Weights:
    """Read a folder or file of Hugging Face's ViViT."""
    sizes = {key: given[key] for key in ("frames", "height", "width")}
    net, report = model_from_huggingface(source, **sizes, heads=given["attention_heads"])
    _, height, width = net.clip_size
    told, said = huggingface_metadata(source, (height, width))
    heads = heads_told(told, net.head.projection.out_features, source)
    if heads is None and (names := huggingface_labels(source)) is not None:
        heads = {"label": names}
    return Weights(
        net, "\n".join([str(report), *(f"  note      {part}" for part in said)]), heads, configured(told, source)
    )


def read_ours(source: Path, given: Given) -> Weights:
    """Read a checkpoint of this repository, which tells everything itself."""
    net, record = read_network(source)
    if not isinstance(net, Network):
        raise ValueError(f"{source} holds a network of type {type(net).__name__}, which no other format knows")
    check_weights(net, source)
    return Weights(net, f"{source}: a checkpoint of this repository", record["heads"], record["data"])


def write_scenic(weights: Weights, target: Path) -> None:
    """Write a checkpoint that the authors' code restores; what that does not ask for lies in its metadata."""
    network = given_of(weights.net)
    beside = {"network": {key: network[key] for key in OF_SCENIC}, "heads": weights.heads}
    save_scenic(weights.net, target, beside=beside | plain(weights.data))


def write_huggingface(weights: Weights, target: Path) -> None:
    """Write a folder that transformers loads, or a .safetensors file. To it several heads are one, with their names."""
    heads = weights.heads or {}
    several = len(heads) > 1
    labels = [f"{head}: {name}" if several else name for head, names in heads.items() for name in names]
    beside = plain(weights.data) | {"heads": weights.heads}
    side = beside.pop("resize", None)  # transformers has a word for it
    save_huggingface(weights.net, target, labels=labels or None, short_side=side, beside=beside)


def write_ours(weights: Weights, target: Path) -> None:
    """Write a checkpoint that eval.py takes: the weights, and the record from which all else is built."""
    frames, height, width = weights.net.clip_size
    record = {
        "model": model_record(weights.net),
        "data": {**weights.data, "frames": frames, "crop": [height, width]},
        "heads": {head: list(names) for head, names in (weights.heads or {}).items()},
    }
    content = {
        "state_dict": {f"network.{name}": tensor for name, tensor in weights.net.state_dict().items()},
        "vivit": record,
        **{"pytorch-lightning_version": version("lightning"), "epoch": 0, "global_step": 0},
    }
    AtomicCheckpointIO().save_checkpoint(content, target)


READERS: dict[str, Callable[[Path, Given], Weights]] = {
    "scenic": read_scenic,
    "huggingface": read_huggingface,
    "vivit": read_ours,
}
WRITERS: dict[str, Callable[[Weights, Path], None]] = {
    "scenic": write_scenic,
    "huggingface": write_huggingface,
    "vivit": write_ours,
}


def format_of_source(source: Path) -> str:
    """Tell a format from a file's first bytes; a checkpoint of ours, from its record."""
    if source.is_dir():
        return "huggingface"
    with source.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{":  # safetensors: the length of a JSON map, and the map
        return "huggingface"
    if start.startswith((b"PK", b"\x80\x02")):  # PyTorch: a zip file, or before that a pickle
        return "vivit" if is_checkpoint(source) else "huggingface"
    return "scenic"


def format_of_target(target: Path) -> str:
    """Tell a format from a name."""
    if target.suffix == ".ckpt":
        return "vivit"
    if target.suffix == ".msgpack" or target.name.startswith("checkpoint"):
        return "scenic"
    if target.suffix in ("", ".safetensors"):
        return "huggingface"
    raise ValueError(
        f"target={target} names no format: .ckpt is ours, .msgpack or checkpoint_... the authors', a folder or "
        ".safetensors Hugging Face's; or set target_format"
    )


def given_by(cfg: DictConfig, model: str | None) -> dict[str, Any]:
    """Take what the user says of the weights; ``model`` is the chosen configuration's name."""
    keys = ("frames", "height", "width", "sampled_frames", "attention_heads")
    order = OmegaConf.select(cfg, "model.order", default=None)
    return {key: cfg[key] for key in keys} | {"model": model, "order": order}


def given_of(net: Network) -> dict[str, Any]:
    """Say of a network what its weights alone do not tell."""
    record = model_record(net)
    known = {key: record[key] for key in ("frames", "height", "width")}
    sampled, order = record["tokeniser"].get("frames"), record.get("order", "space_time")
    return known | {
        "model": model_name(net), "sampled_frames": sampled, "order": order, "attention_heads": record["heads"]
    }  # fmt: skip
