"""Start a network from an image ViT (ViViT, section 3.4)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import nn

from vivit.models import FactorisedSelfAttention
from vivit.weights.backbone import HALF
from vivit.weights.fill import Fill, Positions
from vivit.weights.inflate import Inflation, Interpolation, fold_normalisation, grid_of, inflate_filter
from vivit.weights.report import LoadReport
from vivit.weights.scenic_windows import Network
from vivit.weights.sources import read_backbone
from vivit.weights.tensor_file import Source

TemporalAttention = Literal["zero_output", "zero", "copy", "fresh"]


def load_image_weights(
    network: Network,
    source: Source,
    *,
    frames: int,
    height: int,
    width: int,
    key: str | None = None,
    inflation: Inflation = "central_frame",
    positions: Positions = "auto",
    interpolation: Interpolation | None = None,
    temporal_attention: TemporalAttention = "zero_output",
    spatial_cls: bool = False,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    source_grid: Sequence[int] | None = None,
) -> LoadReport:
    """Start a network, built for clips of this size, from an image ViT; nothing is written where anything is amiss.

    ``source`` is a file, or a flat mapping of names: Google's ``.npz``, timm's, Hugging Face's ViT or DINOv2, or a
    network of ours that was trained on single frames. ``inflation`` is that of the tubelet filter. ``positions`` are
    repeated over time (``tile``), resized in space, or both, as the network needs: ``auto``; a named way refuses the
    rest, ``fresh`` leaves them out. ``interpolation`` is the source's own if None: bicubic for DINOv2, else bilinear
    with aligned corners as in the reference. ``source_grid`` = (rows, columns), where the image was not square.

    ``temporal_attention`` is Model 3's. ``zero_output``: a copy of the spatial one whose output projection is zero, so
    that each frame starts as the image model sees it, as the paper wants, and gradients arrive. ``zero``: the paper's
    words, all zero; then no gradient but that of the output's bias is ever other than zero. ``copy``: the released
    code's default. ``fresh``: random. No Model 3 was released, so none is known to have made the paper's numbers.

    Class token: Model 1 takes it; Model 2, as in the reference, takes its position only, unless ``spatial_cls``.
    ``mean`` and ``std``, of colours in [0, 1], are what files beside the source tell if None, else the format's own,
    with a warning where that is a guess; they are folded into the filter, so that the network takes [-1, 1] whatever
    the source took. The head and a temporal encoder stay fresh. ``key`` names one of several sets of weights in a
    file, such as an average.

    Raises ValueError naming the key that does not fit, is missing or has no explanation.
    """
    backbone = read_backbone(source, key)
    try:
        if backbone.is_video:
            raise ValueError("it has looked along time, so it is no image's: use weights=video (load_video_weights)")
        fill = Fill(network, backbone)
        t, rows, columns = network.tokeniser.grid(frames, height, width)
        old = backbone.grid or (None if source_grid is None else grid_of((1, *source_grid)))
        put_patches(fill, inflation, mean, std)
        put_class_token(fill, load=spatial_cls or fill.encoder == "encoder")
        way = interpolation or backbone.format.interpolation
        new = (1 if fill.encoder == "spatial" else t, rows, columns)
        fill.positions(fill.encoder, "encoder", old, new, positions, way)
        put_blocks(fill, temporal_attention)
        fill.keep("temporal.")
        put_head(fill, load=False)
        return fill.finish()
    except ValueError as error:
        raise ValueError(f"{backbone.label}: {error}") from None


def put_patches(fill: Fill, inflation: Inflation, mean: Sequence[float] | None, std: Sequence[float] | None) -> None:
    """Inflate the filter, after folding the source's normalisation of colours into it."""
    form, target = fill.backbone.format, "tokeniser.projection"
    if form.gelu != (own := _gelu(fill.network)):
        fill.warn(f"{form.name} has the {form.gelu} GELU, this network the {own} GELU: set model.gelu={form.gelu}")
    if inflation == "random":
        fill.pass_over("patches.", "inflation=random")
        return fill.keep(target)
    weight, bias = fill.take("patches.weight"), fill.take("patches.bias")
    if form.assumed and (mean is None or std is None):
        fill.warn(
            "nothing beside it tells how its colours were normalised: mean 0.5 and deviation 0.5 are assumed, and "
            "DeiT, MAE and others have ImageNet's; set weights.mean and weights.std"
        )
    mean, std = tuple(mean or form.mean), tuple(std or form.std)
    if not (len(mean) == len(std) == 3 and min(std) > 0):
        raise ValueError(f"weights.mean={list(mean)} and weights.std={list(std)} are three numbers each, std above 0")
    if (mean, std) != (HALF, HALF):
        weight, bias = fold_normalisation(weight, bias, torch.tensor(mean), torch.tensor(std))
        fill.notes.append(f"the filter, which takes [-1, 1] here, holds its colours' mean {mean} and deviation {std}")
    needed = fill.state[f"{target}.weight"].shape
    if weight.shape[-2:] != needed[-2:]:
        theirs, ours = ("x".join(map(str, shape[-2:])) for shape in (weight.shape, needed))
        raise ValueError(f"its patches are {theirs} pixels, those of the network {ours}: set size.patch")
    if weight.ndim == 4 and len(needed) == 5:
        weight = inflate_filter(weight, needed[2], inflation)
        fill.inflated[fill.origin("patches.weight")[0]] = f"{inflation}, {needed[2]} slices"
    fill.put(f"{target}.weight", weight, "patches.weight")
    fill.put(f"{target}.bias", bias, "patches.bias")


def _gelu(network: nn.Module) -> str:
    exact = any(isinstance(part, nn.GELU) and part.approximate == "none" for part in network.modules())
    return "erf" if exact else "tanh"


def put_class_token(fill: Fill, load: bool) -> None:
    """Take the class token along where the network has one, and it is wanted."""
    target, there = f"{fill.encoder}.cls", "encoder.cls" in fill.backbone.tensors
    if target in fill.state and there and load:
        fill.put(target, fill.take("encoder.cls"), "encoder.cls")
    elif target in fill.state:
        fill.keep(target)
        fill.pass_over("encoder.cls", "Model 2 takes its position only, as the reference; spatial_cls=true takes both")
    else:
        fill.pass_over("encoder.cls", "the network classifies the mean over tokens")


def put_blocks(fill: Fill, temporal_attention: TemporalAttention) -> None:
    """Copy the encoder; where it is a plain one and the network is Model 3, its attention becomes the spatial one."""
    if temporal_attention not in get_args(TemporalAttention):
        raise ValueError(
            f"temporal_attention={temporal_attention!r} is none of {', '.join(get_args(TemporalAttention))}"
        )
    plain = "encoder.blocks.0.norm_attention.weight" in fill.backbone.tensors
    if not (plain and isinstance(fill.network, FactorisedSelfAttention)):
        return fill.copy(fill.encoder, "encoder")
    for target in [name for name in fill.state if ".time." in name]:
        neutral = target.replace(".time.", ".")
        if ".norm." in target or temporal_attention == "fresh":
            fill.keep(target)
        elif temporal_attention == "zero" or (temporal_attention == "zero_output" and ".out." in target):
            fill.values[target] = torch.zeros_like(fill.state[target])
        else:
            fill.put(target, fill.take(neutral), neutral)
    fill.notes.append(f"temporal attention: {temporal_attention}")
    fill.copy(
        "encoder", "encoder", lambda part: part.replace(".space.norm.", ".norm_attention.").replace(".space.", ".")
    )


def put_head(fill: Fill, load: bool) -> None:
    """Take the classifier along, or leave it."""
    if load:
        for target in [name for name in fill.state if name.startswith("head.")]:
            fill.put(target, fill.take(target), target)
    else:
        fill.keep("head.")
        fill.pass_over("head.", "its classifier; a ViViT's is taken along with load_head=true")
