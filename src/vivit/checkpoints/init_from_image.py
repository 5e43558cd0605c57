"""Initialise a network from an image ViT (ViViT, section 3.4)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import nn

from vivit.checkpoints.detect_format import read_neutral
from vivit.checkpoints.formats.videomae import VIDEOMAE_NAMES
from vivit.checkpoints.inflation import Inflation, Interpolation, check_grid, fold_normalisation, inflate_filter
from vivit.checkpoints.load_report import LoadReport
from vivit.checkpoints.neutral_state_dict import HALF
from vivit.checkpoints.state_dict_loader import Positions, StateDictPlan
from vivit.checkpoints.weight_file import Source
from vivit.errors import CheckpointError, ConfigError
from vivit.models import FactorisedSelfAttention, ViViT

TemporalAttention = Literal["zero_output", "zero", "copy", "fresh"]


def load_image_weights(
    network: ViViT,
    source: Source,
    *,
    key: str | None = None,
    tubelet_init: Inflation = "central_frame",
    positions: Positions = "auto",
    interpolation: Interpolation | None = None,
    temporal_attention: TemporalAttention = "zero_output",
    load_spatial_cls: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    source_grid: Sequence[int] | None = None,
) -> LoadReport:
    """Load an image ViT into a network; nothing is written if anything is wrong.

    ``source`` is a file, or a flat mapping of names: Google's ``.npz``, timm's, Hugging Face's ViT or DINOv2, or a
    network of this repository that was trained on single frames. ``tubelet_init`` is that of the tubelet filter.
    ``positions`` are repeated over time (``tile``), resized in space, or both, as the network needs: ``auto``; a named
    way refuses the rest, ``fresh`` ignores them. ``interpolation`` is the format's if None: bicubic for DINOv2, else
    bilinear with aligned corners as in the reference. ``source_grid`` = (rows, columns) where images were not square.

    ``temporal_attention`` is Model 3's. ``zero_output``: a copy of the spatial one whose output projection is zero, so
    that each frame starts as in the image model, as in the paper, and gradients are not zero. ``zero``: the paper's
    words, all zero; then no gradient but that of the output's bias is ever other than zero. ``copy``: the released
    code's default. ``fresh``: random. No Model 3 was released, so none is known to have made the paper's numbers.

    Class token: Model 1 loads it; Model 2, as in the reference, its position only, unless ``load_spatial_cls``.
    ``mean`` and ``std``, of colours in [0, 1], are what files beside the source contain if None, else the format's,
    with a warning where that is a guess; they are folded into the filter, so that the network takes [-1, 1] whatever
    the source took. The head and a temporal encoder stay fresh. ``key`` selects one of several sets of weights in a
    file, such as an average.

    Raises CheckpointError, with the key that does not fit, is missing or unexpected, and ConfigError for arguments.
    """
    state = read_neutral(source, key)
    if state.is_video:
        choice = "videomae" if state.key_format.name in VIDEOMAE_NAMES else "video"
        remedy = f"use weights={choice} (load_{choice}_weights)"
        raise CheckpointError(state.label, f"is {state.key_format.name}, of videos", remedy)
    plan = StateDictPlan(network, state)
    old = state.grid or (None if source_grid is None else check_grid((1, *source_grid)))
    assign_patches(plan, tubelet_init, mean, std)
    assign_class_token(plan, load=load_spatial_cls or plan.encoder == "encoder")
    new = plan.grid
    resize = interpolation or state.key_format.interpolation
    plan.assign_positions(plan.encoder, "encoder", old, new, positions, resize)
    assign_blocks(plan, temporal_attention)
    plan.leave_initialized("temporal.")
    assign_head(plan, load=False)
    return plan.apply()


def assign_patches(
    plan: StateDictPlan, tubelet_init: Inflation, mean: Sequence[float] | None, std: Sequence[float] | None
) -> None:
    """Inflate the filter, after folding the source's normalisation of colours into it."""
    source, target = plan.source.key_format, "tokeniser.projection"
    if source.gelu != (gelu := _gelu(plan.network)):
        plan.warn(
            f"{source.name} has the {source.gelu} GELU, this network the {gelu} GELU: set model.gelu={source.gelu}"
        )
    if tubelet_init == "random":
        plan.ignore("patches.", "tubelet_init=random")
        return plan.leave_initialized(target)
    weight, bias = plan.get("patches.weight"), plan.get("patches.bias")
    if source.colours_assumed and (mean is None or std is None):
        plan.warn(
            "no file beside it contains how its colours were normalised: mean 0.5 and deviation 0.5 are assumed, and "
            "DeiT, MAE and others have ImageNet's; set weights.mean and weights.std"
        )
    mean, std = tuple(mean or source.mean), tuple(std or source.std)
    for name, numbers in (("weights.mean", mean), ("weights.std", std)):
        if len(numbers) != 3 or (name == "weights.std" and min(numbers) <= 0):
            raise ConfigError(name, numbers, "three numbers are needed, deviations above 0", "set three")
    if (mean, std) != (HALF, HALF):
        weight, bias = fold_normalisation(weight, bias, torch.tensor(mean), torch.tensor(std))
        plan.notes.append(f"colours of mean {mean} and deviation {std} are folded into the filter, which takes [-1, 1]")
    expected = plan.state[f"{target}.weight"].shape
    if weight.shape[-2:] != expected[-2:]:
        sides, patch = ("x".join(map(str, shape[-2:])) for shape in (weight.shape, expected))
        raise ConfigError(
            "size.patch", expected[-1], f"{plan.source.label} has patches of {sides} pixels, the network of {patch}",
            f"set size.patch={weight.shape[-1]}",
        )  # fmt: skip
    if weight.ndim == 4 and len(expected) == 5:
        weight = inflate_filter(weight, expected[2], tubelet_init)
        plan.inflated[plan.source_names("patches.weight")[0]] = f"{tubelet_init}, {expected[2]} slices"
    plan.assign(f"{target}.weight", weight, "patches.weight")
    return plan.assign(f"{target}.bias", bias, "patches.bias")


def _gelu(network: nn.Module) -> str:
    exact = any(isinstance(part, nn.GELU) and part.approximate == "none" for part in network.modules())
    return "erf" if exact else "tanh"


def assign_class_token(plan: StateDictPlan, load: bool) -> None:
    """Load the class token where the network has one, if ``load``."""
    target = f"{plan.encoder}.cls"
    if target in plan.state and "encoder.cls" in plan.source.tensors and load:
        plan.assign(target, plan.get("encoder.cls"), "encoder.cls")
    elif target in plan.state:
        plan.leave_initialized(target)
        plan.ignore(
            "encoder.cls", "Model 2 loads its position only, as the reference; load_spatial_cls=true loads both"
        )
    else:
        plan.ignore("encoder.cls", "the network classifies the mean over tokens")


def assign_blocks(plan: StateDictPlan, temporal_attention: TemporalAttention) -> None:
    """Copy the encoder; a plain one's attention becomes the spatial attention of Model 3."""
    if temporal_attention not in get_args(TemporalAttention):
        raise ConfigError(
            "weights.temporal_attention",
            temporal_attention,
            "there is no such way",
            f"set one of {', '.join(get_args(TemporalAttention))}",
        )
    plain = "encoder.blocks.0.norm_attention.weight" in plan.source.tensors
    if not (plain and isinstance(plan.network, FactorisedSelfAttention)):
        return plan.copy_encoder(plan.encoder, "encoder")
    for target in [name for name in plan.state if ".time." in name]:
        neutral = target.replace(".time.", ".")
        if ".norm." in target or temporal_attention == "fresh":
            plan.leave_initialized(target)
        elif temporal_attention == "zero" or (temporal_attention == "zero_output" and ".out." in target):
            plan.values[target] = torch.zeros_like(plan.state[target])
        else:
            plan.assign(target, plan.get(neutral), neutral)
    plan.notes.append(f"temporal attention: {temporal_attention}")
    return plan.copy_encoder(
        "encoder", "encoder", lambda part: part.replace(".space.norm.", ".norm_attention.").replace(".space.", ".")
    )


def assign_head(plan: StateDictPlan, load: bool) -> None:
    """Load the classifier, or leave it."""
    if load:
        for target in [name for name in plan.state if name.startswith("head.")]:
            plan.assign(target, plan.get(target), target)
    else:
        plan.leave_initialized("head.")
        plan.ignore("head.", "its classifier; that of a ViViT is loaded with load_head=true")
