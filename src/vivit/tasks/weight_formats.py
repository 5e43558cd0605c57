"""The formats that weights are converted into: how each is written, and read back."""

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vivit.checkpoints import save_huggingface, save_scenic
from vivit.checkpoints.vivit_checkpoint import VERSION, model_record
from vivit.errors import ConfigError
from vivit.inference.load import SCENIC_OPTIONS, LoadedModel
from vivit.models import ViViT, model_name, model_options
from vivit.structures import thresholds_by_head
from vivit.tasks.clip_settings import STORED_KEYS


def write_scenic(loaded: LoadedModel, target: Path) -> None:
    """Write a checkpoint that the authors' code restores; what that has no place for is in its metadata."""
    options = network_options(loaded.net)
    metadata = {"network": {key: options[key] for key in SCENIC_OPTIONS}, "heads": loaded.classes}
    save_scenic(loaded.net, target, beside=metadata | stored_settings(loaded))


def write_huggingface(loaded: LoadedModel, target: Path) -> None:
    """Write a folder that transformers loads, or a .safetensors file. Several heads become one, with their names."""
    heads = loaded.classes or {}
    several = len(heads) > 1
    labels = [f"{head}: {name}" if several else name for head, names in heads.items() for name in names]
    metadata = stored_settings(loaded) | {"heads": loaded.classes}
    short_side = metadata.pop("resize", None)  # transformers has a key for it
    save_huggingface(loaded.net, target, labels=labels or None, short_side=short_side, beside=metadata)


def write_vivit(loaded: LoadedModel, target: Path) -> None:
    """Write a checkpoint for eval.py: the weights, and the record from which all else is built."""
    from vivit.training.callbacks.checkpoint import AtomicCheckpointIO  # here: other formats wait for no Lightning

    frames, height, width = loaded.net.clip_size
    record = {
        "version": VERSION,
        **model_record(loaded.net),
        "preprocessing": {"frames": frames, "crop": [height, width]} | stored_settings(loaded),
        "data": dict(loaded.data),
        "classes": {head: list(names) for head, names in (loaded.classes or {}).items()},
        **multi_label_settings(loaded),
        "plugins": list(loaded.plugins),
    }
    content = {
        "state_dict": {f"network.{name}": tensor for name, tensor in loaded.net.state_dict().items()},
        "vivit": record,
        **{"pytorch-lightning_version": version("lightning"), "epoch": 0, "global_step": 0},
    }
    AtomicCheckpointIO().save_checkpoint(content, target)


WRITERS: dict[str, Callable[[LoadedModel, Path], None]] = {
    "scenic": write_scenic,
    "huggingface": write_huggingface,
    "vivit": write_vivit,
}


def stored_settings(loaded: LoadedModel) -> dict[str, Any]:
    """Return how clips are cut, but for their size, which the network has."""
    return {key: loaded.preprocessing[key] for key in STORED_KEYS if key in loaded.preprocessing}


def multi_label_settings(loaded: LoadedModel) -> dict[str, Any]:
    """Return the thresholds of multi-label heads as a checkpoint of ours stores them; nothing where there is none."""
    thresholds = thresholds_by_head(loaded.classes or {})
    return {"multi_label": thresholds} if thresholds else {}


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
