"""Checkpoints of this repository: the network in plain values, what its clips are, its classes. Nothing is executed.

A checkpoint is a file of ``torch.save`` with ``state_dict`` and, under ``vivit``, a record:

    version        of this format
    model          the registered name of the network
    config         its options: tokeniser, frames, height, width, depth, ...
    preprocessing  how clips are cut from a video: frames, stride or fps, resize, crop, views, resampling, square_pixels
    classes        the names of the classes of every head, in the order of the outputs
    multi_label    of heads of which a video may have several classes: the threshold of each class, a probability
    data           the data set that it was trained on: root, dataset, train_share, val_share
    plugins        names of the modules that registered something; text for people, which nothing imports
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from torch import nn

from vivit.checkpoints.run_checkpoint import checkpoint_of_run
from vivit.checkpoints.tensor_checks import check_finite
from vivit.errors import CheckpointError, ConfigError
from vivit.models import ViViT, build_model, model_options
from vivit.structures import with_thresholds

VERSION = 2
KEYS = ("model", "config", "preprocessing", "classes")
"""Parts of a record without which it is none."""


def model_record(net: ViViT) -> dict[str, Any]:
    """Return the parts of a record that describe a network."""
    options = model_options(net)
    return {"model": options.pop("name"), "config": options}


def resolve_checkpoint_file(path: str, first: str = "best") -> Path:
    """Return the path of a checkpoint: the file, or the best one of a run folder, or that called ``first``.

    Raises ConfigError about ``ckpt_path`` where there is no such file.
    """
    file = Path(path)
    if file.is_dir():
        problem, checkpoint = "is a folder without checkpoints", checkpoint_of_run(file, "ckpt_path", first)
        if checkpoint is not None:
            return checkpoint
    elif file.is_file():
        return file
    else:
        problem = "there is no such file"
    raise ConfigError("ckpt_path", path, problem, "set a file, or a run folder, which has them in checkpoints")


def read_record(file: Path) -> dict[str, Any]:
    """Return the record of a checkpoint. Raises CheckpointError for other files, and for values that are not plain.

    Nothing of the file is trusted: no pickled object is built, and no name in it is imported.
    """
    if not is_zipfile(file):
        raise CheckpointError(file, "is not a checkpoint of this repository: torch.save did not write it")
    try:
        record = dict(torch.load(file, map_location="cpu", weights_only=True, mmap=True)["vivit"])
    except Exception as error:
        raise CheckpointError(
            file, f"is not a checkpoint of this repository ({type(error).__name__}: {error})"
        ) from None
    if record.get("version") != VERSION:
        version = record.get("version", 1)
        raise CheckpointError(
            file,
            f"is a checkpoint of format {version}, and this version reads {VERSION}",
            "use the version of this repository that wrote it, or train again",
        )
    for part, values in record.items():
        _check_plain(values, file, part)
    if missing := [key for key in KEYS if key not in record]:
        raise CheckpointError(file, "is missing", key=missing[0])
    _check_record(record, file)
    record["classes"] = with_thresholds(record["classes"], record.get("multi_label", {}))
    return record


def is_vivit_checkpoint(file: Path) -> bool:
    """Whether a file, of PyTorch or not, is a checkpoint of this repository, with a record."""
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except Exception:
        return False
    return isinstance(content, Mapping) and "vivit" in content


def check_weights(network: nn.Module, file: Path, remedy: str = "use another checkpoint") -> None:
    """Raise CheckpointError, with file and tensor, where a network of a file has values that are NaN or infinite."""
    for name, tensor in network.state_dict().items():
        check_finite(file, name, tensor, remedy)


def load_network(file: Path) -> tuple[ViViT, dict[str, Any]]:
    """Return the network of a checkpoint, or of a run folder's best one, with its weights, and the record."""
    file = resolve_checkpoint_file(str(file))
    record = read_record(file)
    network = build_network(record)
    state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)["state_dict"]
    names = {name.replace("_orig_mod.", ""): name for name in state}  # of a network that was compiled as a whole
    weights = {
        name.removeprefix("network."): state[stored] for name, stored in names.items() if name.startswith("network.")
    }
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(file, f"its weights are not those of its record: {error}") from None
    return network, record


def build_network(record: Mapping[str, Any]) -> ViViT:
    """Return the network of a record with random weights. Raises ConfigError about ``model`` for an unknown one."""
    count = sum(map(len, record["classes"].values()))
    return build_model(record["model"], plugins=record.get("plugins", ()), num_classes=count, **record["config"])


def _check_record(record: Mapping[str, Any], file: Path) -> None:
    """Raise CheckpointError for parts of other types than they have."""
    classes = record["classes"]
    if not isinstance(classes, Mapping) or not all(
        isinstance(names, list | tuple) and all(isinstance(name, str) for name in names) for names in classes.values()
    ):
        raise CheckpointError(file, "is not a list of names for every head", key="classes")
    thresholds = record.get("multi_label", {})
    if not isinstance(thresholds, Mapping) or not all(
        head in classes
        and isinstance(numbers, list | tuple)
        and len(numbers) == len(classes[head])
        and all(isinstance(number, int | float) for number in numbers)
        for head, numbers in thresholds.items()
    ):
        raise CheckpointError(file, "is not a threshold for every class of a head", key="multi_label")
    for part in ("config", "preprocessing", "data"):
        if not isinstance(record.get(part, {}), Mapping):
            raise CheckpointError(file, "is not a map of keys to values", key=part)
    types: dict[str, Any] = {"root": str, "dataset": Mapping, "train_share": int | float, "val_share": int | float}
    for key, value in record.get("data", {}).items():
        if not isinstance(value, types.get(key, ())):
            raise CheckpointError(file, f"{value!r} is no such value", key=f"data.{key}")
    if not isinstance(record["config"].get("tokeniser"), Mapping):
        raise CheckpointError(file, "is not a map of keys to values", key="config.tokeniser")
    clips = record["preprocessing"]
    expected, actual = (
        "{} frames of {}x{}".format(*size)
        for size in (
            [record["config"].get(key) for key in ("frames", "height", "width")],
            [clips.get("frames"), *(clips.get("crop") or [None, None])],
        )
    )
    if expected != actual:
        problem = f"its network takes clips of {expected}, and its clips are cut to {actual}"
        raise CheckpointError(file, problem, key="preprocessing")
    if not isinstance(record["model"], str):
        raise CheckpointError(file, "is not a name", key="model")
    if not isinstance(plugins := record.get("plugins", []), Sequence) or not all(isinstance(p, str) for p in plugins):
        raise CheckpointError(file, "is not a list of names", key="plugins")


def _check_plain(node: Any, file: Path, part: str) -> None:
    """Raise CheckpointError for a value that is not a number, a text, a truth value, none, a list or a map of those."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if not isinstance(key, str | int):
                raise CheckpointError(file, f"contains the key {key!r}; keys are names", key=part)
            _check_plain(value, file, part)
    elif isinstance(node, list | tuple):
        for value in node:
            _check_plain(value, file, part)
    elif not isinstance(node, str | int | float | None):
        raise CheckpointError(
            file, f"contains a {type(node).__name__}; a checkpoint may only have plain values", key=part
        )
