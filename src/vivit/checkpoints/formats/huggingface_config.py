"""Files of Hugging Face beside the weights: ``config.json`` and the configuration of the preprocessing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vivit.checkpoints.formats.config_json import CONFIG, PREPROCESSING, check_activation, read_colours
from vivit.errors import CheckpointError, ConfigError
from vivit.models import SpatioTemporal, Tubelets
from vivit.models.blocks import NORM_EPSILON, Block

FIXED = {
    "model_type": ("vivit",),
    "num_channels": (3,),
    "layer_norm_eps": (NORM_EPSILON,),
    "qkv_bias": (True,),
}
"""Values that every network of the architecture has."""
EXTRA_KEY = "vivit"
"""Key of what transformers has no entry for, such as the frames between those of a clip."""
SHORT_SIDE_TO_CROP = 8 / 7
"""The recipe's 256 to 224."""


def check_config(config: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return the configuration in ``file``. Raises CheckpointError where it is of another architecture."""
    for key, values in FIXED.items():
        if key in config and config[key] not in values:
            raise CheckpointError(file, f"is {config[key]!r}, but these models have {values[0]!r}", key=key)
    check_activation(file, config.get("hidden_act", "gelu_fast"))
    return config


def parse_config(config: Mapping[str, Any], file: object) -> dict[str, int]:
    """Return what a configuration contains and shapes do not: the clips' size and the number of heads.

    Raises CheckpointError for values that are not positive integers.
    """
    sides = config.get("image_size")
    height, width = sides if isinstance(sides, list) and len(sides) == 2 else (sides, sides)
    values = {"frames": config.get("num_frames"), "height": height, "width": width}
    values |= {"num_heads": config.get("num_attention_heads")}
    for name, value in values.items():
        if value is not None and (type(value) is not int or value < 1):
            raise CheckpointError(file, f"{CONFIG} has {value!r}, not an integer above 0", key=name)
    return {name: value for name, value in values.items() if value is not None}


def parse_short_side(config: Mapping[str, Any], crop: tuple[int, int]) -> tuple[int | None, list[str]]:
    """Return the short side of a preprocessing, if it contains one, and notes on how it differs from the one here."""
    size, cut, notes = config.get("size"), config.get("crop_size"), []
    side = size.get("shortest_edge") if isinstance(size, dict) else size
    if config and (type(side) is not int or side < 1 or config.get("do_resize") is False):
        notes.append(f"its preprocessing scales no short side (size: {size}), as is done here")
        side = None
    sides = (cut.get("height"), cut.get("width")) if isinstance(cut, dict) else (cut, cut)
    if config and cut is not None and sides != crop:
        notes.append(f"its preprocessing cuts {sides[0]}x{sides[1]}, but the network takes {crop[0]}x{crop[1]}")
    colours = read_colours(Path(PREPROCESSING[0]), config) if config else None
    if colours is not None and any(abs(part - 0.5) > 1e-3 for part in (*colours[0], *colours[1])):
        low, high = ((edge - colours[0][0]) / colours[1][0] for edge in (0, 1))
        notes.append(f"its preprocessing feeds [{low:.3g}, {high:.3g}]; here these weights are fed [-1, 1]")
    return side, notes


def class_names(config: Mapping[str, Any]) -> list[str] | None:
    """Return the names of the classes in the order of the outputs; None where the configuration has none."""
    names = config.get("id2label")
    if not isinstance(names, dict) or set(names) != {str(i) for i in range(len(names))}:
        return None
    return [str(names[str(i)]) for i in range(len(names))]


def model_config(
    net: SpatioTemporal, names: Sequence[str] | None, beside: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the configuration of a network for transformers; ``beside`` is what that has no entry for.

    Raises ConfigError where there is not one name for each class.
    """
    classes = net.head.projection.out_features
    names = [f"LABEL_{i}" for i in range(classes)] if names is None else list(names)
    if len(names) != classes:
        raise ConfigError("outputs", len(names), f"the network has {classes} classes", "set one name for each")
    blocks = [block for block in net.encoder.blocks if isinstance(block, Block)]
    frames, height, width = net.clip_size
    return {
        "architectures": ["VivitForVideoClassification"],
        "dtype": str(net.head.projection.weight.dtype).removeprefix("torch."),
        "image_size": height if height == width else [height, width],
        "num_frames": frames,
        "tubelet_size": list(net.tokeniser.tubelet) if isinstance(net.tokeniser, Tubelets) else None,
        "hidden_size": net.tokeniser.dim,
        "num_hidden_layers": len(blocks),
        "num_attention_heads": blocks[0].attention.heads,
        "intermediate_size": next(blocks[0].mlp.parameters()).shape[0],
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.02,
        "hidden_act": "gelu" if blocks[0].mlp.gelu == "erf" else "gelu_fast",
        **{key: values[0] for key, values in FIXED.items()},
        "id2label": {str(i): name for i, name in enumerate(names)},
        "label2id": {name: i for i, name in enumerate(names)},
        **({EXTRA_KEY: dict(beside)} if beside else {}),
    }


def preprocessing(net: SpatioTemporal, short_side: int | None) -> dict[str, Any]:
    """Return the configuration of a preprocessing to [-1, 1], which is all that these models take.

    Hugging Face's own default multiplies by 1/127.5, subtracts 1 *and then* normalises, which gives [-3, 1];
    ``do_normalize`` must be off.
    """
    _, height, width = net.clip_size
    return {
        "image_processor_type": "VivitImageProcessor",
        "video_processor_type": "VivitVideoProcessor",
        "do_resize": True,
        "size": {"shortest_edge": short_side or round(max(height, width) * SHORT_SIDE_TO_CROP)},
        "resample": 2,
        "do_center_crop": True,
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 127.5,
        "offset": True,
        "do_normalize": False,
    }
