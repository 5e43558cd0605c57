"""Start Model 1 from a VideoMAE, or be one: Model 1 with fixed positions and the mean before the last LayerNorm."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vivit.checkpoints.detect_format import read_neutral
from vivit.checkpoints.formats.config_json import CONFIG, PREPROCESSING, read_json
from vivit.checkpoints.formats.huggingface_config import class_names, parse_config, parse_short_side
from vivit.checkpoints.formats.videomae import VIDEOMAE_NAMES
from vivit.checkpoints.init_from_image import assign_head, assign_patches
from vivit.checkpoints.load_report import LoadReport
from vivit.checkpoints.neutral_state_dict import NeutralStateDict
from vivit.checkpoints.state_dict_loader import StateDictPlan
from vivit.checkpoints.weight_file import Source
from vivit.errors import CheckpointError, ConfigError
from vivit.models import SpatioTemporal, Tubelets, ViViT
from vivit.models.spatiotemporal import SpatioTemporalConfig

HEADS = {384: 6, 768: 12, 1024: 16, 1280: 16, 1408: 16}
"""Heads of the authors' sizes (S, B, L, H, g) by hidden size; only a ``config.json`` contains others."""
FRAMES, SIDE, STRIDE = 16, 224, 4
"""Clips of all published networks. Those of Something-Something have frames 2 apart; no file contains which."""
OPTIONS: Mapping[str, Any] = {"pool": "mean_then_norm", "positions": "sinusoidal_1d"}
"""What of Model 1 a VideoMAE is."""


def load_videomae_weights(
    network: ViViT, source: Source, *, key: str | None = None, load_head: bool = False
) -> LoadReport:
    """Load a VideoMAE, pre-trained or fine-tuned, into Model 1; nothing is written if anything is wrong.

    ``source`` is a file or folder of the authors or of Hugging Face. The mean and deviation of its colours are folded
    into the filter, so that the network takes [-1, 1]. Of a network that is only pre-trained the last LayerNorm starts
    fresh, as the authors' fine-tuning does. ``load_head`` loads the classifier, of as many classes. ``key`` selects one
    of several sets of weights in a file.

    Raises CheckpointError, with the tensor that does not fit, is missing or unexpected, and ConfigError for a network
    that is no VideoMAE.
    """
    return _load(network, _read(source, key), load_head=load_head)


def _load(network: ViViT, state: NeutralStateDict, *, load_head: bool) -> LoadReport:
    _check_network(network, state)
    plan = StateDictPlan(network, state)
    assign_patches(plan, "central_frame", None, None)
    if "encoder.norm.weight" not in state.tensors:
        plan.leave_initialized("encoder.norm.")
    plan.copy_encoder("encoder", "encoder")
    plan.notes.append(
        f"it was trained on clips of {FRAMES} frames, {STRIDE} apart on Kinetics and 2 on Something-Something"
    )
    assign_head(plan, load=load_head)
    return plan.apply()


def model_from_videomae(
    source: str | os.PathLike[str],
    *,
    frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
    num_heads: int | None = None,
    num_classes: int | None = None,
) -> tuple[SpatioTemporal, LoadReport]:
    """Return the network of VideoMAE weights, float32 on the CPU, and a report; it takes clips in [-1, 1].

    Sizes are read off the weights; clip and heads from ``config.json`` beside them, else they are those of the authors'
    networks. Where the weights are of pre-training and have no classifier, ``num_classes`` is needed, and the
    classifier starts at zero. Raises CheckpointError and ConfigError as ``load_videomae_weights`` does.
    """
    state = _read(source, None)
    config = _read_config(Path(source))
    typed = {"frames": frames, "height": height, "width": width, "num_heads": num_heads}
    options: dict[str, Any] = {"frames": FRAMES, "height": SIDE, "width": SIDE} | parse_config(config, source)
    options |= {name: value for name, value in typed.items() if value is not None}
    dim, _, *tubelet = _shape(state, "patches.weight", 5)
    if "num_heads" not in options:
        if dim not in HEADS:
            problem = f"neither the weights nor a {CONFIG} beside them contains the heads of a hidden size of {dim}"
            raise ConfigError("num_heads", problem=problem, remedy="set it")
        options["num_heads"] = HEADS[dim]
    depth = len({name.split(".")[2] for name in state.tensors if name.startswith("encoder.blocks.")})
    mlp_dim = _shape(state, "encoder.blocks.0.mlp.0.weight", 2)[0]
    head = state.tensors.get("head.projection.weight")
    if head is None and num_classes is None:
        raise ConfigError(
            "num_classes", problem=f"{state.label} has no classifier", remedy="set how many a new one has"
        )
    if head is not None and "encoder.norm.weight" not in state.tensors:
        problem = "its classifier takes the first token, for there is no fc_norm"
        raise CheckpointError(state.label, problem, "use one with use_mean_pooling")
    outputs = num_classes if head is None else len(head)
    record = SpatioTemporalConfig(
        num_classes=outputs or 0, depth=depth, mlp_dim=mlp_dim, gelu=state.key_format.gelu, **OPTIONS, **options
    )
    network = SpatioTemporal(Tubelets(dim=dim, tubelet=tubelet), record)
    return network, _load(network, state, load_head=head is not None)


def videomae_metadata(source: str | os.PathLike[str], crop: tuple[int, int]) -> tuple[dict[str, Any], list[str]]:
    """Return how clips of a VideoMAE are cut: the frames between those of a clip, the short side; and notes on it."""
    path = Path(source)
    folder = path if path.is_dir() else path.parent
    process = next(filter(None, (read_json(folder / name) for name in PREPROCESSING)), {})
    side, _ = parse_short_side(process, crop)
    note = f"frames {STRIDE} apart are assumed, as on Kinetics; networks of Something-Something take them 2 apart"
    return {"stride": STRIDE, "resize": side or min(crop)}, [note]


def videomae_labels(source: str | os.PathLike[str]) -> list[str] | None:
    """Return the class names, in the order of the outputs, from ``config.json``; None without any."""
    return class_names(_read_config(Path(source)))


def _read(source: Source, key: str | None) -> NeutralStateDict:
    state = read_neutral(source, key)
    if state.key_format.name not in VIDEOMAE_NAMES:
        remedy = "use weights=video" if state.is_video else "use weights=image"
        raise CheckpointError(state.label, f"is {state.key_format.name}, and no VideoMAE", remedy)
    return state


def _read_config(source: Path) -> dict[str, Any]:
    return read_json((source if source.is_dir() else source.parent) / CONFIG)


def _check_network(network: ViViT, state: NeutralStateDict) -> None:
    """Raise ConfigError unless a network computes what a VideoMAE does."""
    if type(network) is not SpatioTemporal:
        remedy = "set model=spatiotemporal"
        raise ConfigError("model", network.name, f"{state.label} is a VideoMAE, which is Model 1", remedy)
    needed: Mapping[str, Any] = {**OPTIONS, "gelu": state.key_format.gelu}
    for name, value in needed.items():
        if (actual := getattr(network.config, name)) != value:
            key = name if name == "positions" else f"model.{name}"
            raise ConfigError(key, actual, f"{state.label} is a VideoMAE, which has {value}", f"set {key}={value}")


def _shape(state: NeutralStateDict, name: str, axes: int) -> tuple[int, ...]:
    if name not in state.tensors or state.tensors[name].ndim != axes:
        raise CheckpointError(state.label, f"has no {name} of {axes} axes, as a VideoMAE does")
    return tuple(state.tensors[name].shape)
