"""What Hugging Face keeps beside the weights: ``config.json`` and the configuration of the preprocessing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vivit.models import SpatioTemporal, Tubelets
from vivit.models.blocks import NORM_EPSILON, Block
from vivit.weights.beside import CONFIG, GELUS, PREPROCESSING, colours_told

FIXED = {
    "model_type": ("vivit",),
    "num_channels": (3,),
    "layer_norm_eps": (NORM_EPSILON,),
    "qkv_bias": (True,),
}
"""What the architecture is."""
OURS = "vivit"
"""What a configuration tells that transformers has no words for, such as the frames between those of a clip."""
SHORT_SIDE_TO_CROP = 8 / 7
"""The recipe's 256 to 224."""


def checked_config(config: dict[str, Any], file: Path) -> dict[str, Any]:
    """Return a configuration that ``file`` holds, if it is of this architecture. Raises ValueError where it is not."""
    for key, values in FIXED.items():
        if key in config and config[key] not in values:
            raise ValueError(f"{file} says {key}={config[key]!r}, but these models have {values[0]!r}")
    if (name := config.get("hidden_act", "gelu_fast")) not in GELUS:
        raise ValueError(f"{file} says hidden_act={name!r}, but these models have one of {', '.join(GELUS)}")
    return config


def told(config: Mapping[str, Any]) -> dict[str, int]:
    """Give what a configuration tells that shapes do not: the clips' size and the number of heads."""
    sides = config.get("image_size")
    height, width = sides if isinstance(sides, list) and len(sides) == 2 else (sides, sides)
    known = {"frames": config.get("num_frames"), "height": height, "width": width}
    known |= {"heads": config.get("num_attention_heads")}
    for name, value in known.items():
        if value is not None and (type(value) is not int or value < 1):
            raise ValueError(f"{CONFIG} says {value!r} of {name}, which is a whole number from 1 on")
    return {name: value for name, value in known.items() if value is not None}


def short_side(told: Mapping[str, Any], crop: tuple[int, int]) -> tuple[int | None, list[str]]:
    """Return the short side to which a preprocessing scales, if it tells one, and how it differs from ours."""
    size, cut, said = told.get("size"), told.get("crop_size"), []
    side = size.get("shortest_edge") if isinstance(size, dict) else size
    if told and (type(side) is not int or side < 1 or told.get("do_resize") is False):
        said.append(f"its preprocessing scales no short side (size: {size}), as is done here")
        side = None
    sides = (cut.get("height"), cut.get("width")) if isinstance(cut, dict) else (cut, cut)
    if told and cut is not None and sides != crop:
        said.append(f"its preprocessing cuts {sides[0]}x{sides[1]}, but the network takes {crop[0]}x{crop[1]}")
    fed = colours_told(Path(PREPROCESSING[0]), told) if told else None
    if fed is not None and any(abs(part - 0.5) > 1e-3 for part in (*fed[0], *fed[1])):
        low, high = ((edge - fed[0][0]) / fed[1][0] for edge in (0, 1))
        said.append(f"its preprocessing feeds [{low:.3g}, {high:.3g}]; here these weights are fed [-1, 1]")
    return side, said


def class_names(config: Mapping[str, Any]) -> list[str] | None:
    """Give the names of the classes in the order of the outputs; None where the configuration does not name them."""
    names = config.get("id2label")
    if not isinstance(names, dict) or set(names) != {str(i) for i in range(len(names))}:
        return None
    return [str(names[str(i)]) for i in range(len(names))]


def model_config(
    net: SpatioTemporal, names: Sequence[str] | None, beside: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Describe a network as transformers does; ``beside`` is what that has no words for."""
    classes = net.head.projection.out_features
    names = [f"LABEL_{i}" for i in range(classes)] if names is None else list(names)
    if len(names) != classes:
        raise ValueError(f"{len(names)} labels are given for a network of {classes} classes")
    blocks = [block for block in net.encoder.blocks if isinstance(block, Block)]
    frames, height, width = net.clip
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
        **({OURS: dict(beside)} if beside else {}),
    }


def preprocessing(net: SpatioTemporal, short_side: int | None) -> dict[str, Any]:
    """Say how frames become [-1, 1], which is all that these models take.

    Hugging Face's own default multiplies by 1/127.5, subtracts 1 *and then* normalises, which gives [-3, 1];
    ``do_normalize`` must be off.
    """
    _, height, width = net.clip
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
