"""Start a network from another ViViT: fine-tuning on other clips, or on more of them."""

from collections.abc import Sequence

from vivit.weights.fill import Fill, Positions
from vivit.weights.image import put_blocks, put_class_token, put_head, put_patches
from vivit.weights.inflate import Grid, grid_of
from vivit.weights.report import LoadReport
from vivit.weights.scenic_windows import Network
from vivit.weights.sources import read_backbone
from vivit.weights.tensor_file import Source


def load_video_weights(
    network: Network,
    source: Source,
    *,
    frames: int,
    height: int,
    width: int,
    key: str | None = None,
    positions: Positions = "auto",
    load_head: bool = False,
    first_temporal_layers: bool = False,
    source_grid: Sequence[int] | None = None,
) -> LoadReport:
    """Start a network, built for clips of this size, from a ViViT: a checkpoint of ours or of scenic's.

    Positions are resized, in space and in time, where clips differ. ``load_head`` takes the classifier along.
    ``first_temporal_layers`` lets a source have more temporal layers than the network: the first ones are kept, the
    report lists the rest (the Kinetics-400 L/16x2 of scenic has 24, the paper's other models 4).
    ``source_grid`` = (t, rows, columns) of a source that does not tell and has other clips than the network. ``key``
    names one of several sets of weights in a file, such as an average.

    Raises ValueError naming the key that does not fit, is missing or has no explanation.
    """
    backbone = read_backbone(source, key)
    try:
        fill = Fill(network, backbone)
        new = network.tokeniser.grid(frames, height, width)
        old = backbone.grid or (None if source_grid is None else grid_of(source_grid))
        put_patches(fill, "central_frame", None, None)
        put_class_token(fill, load=True)
        _positions(fill, old, new, positions)
        put_blocks(fill, "zero_output")
        _temporal_encoder(fill, first_temporal_layers)
        put_head(fill, load=load_head)
        return fill.finish()
    except ValueError as error:
        raise ValueError(f"{backbone.label}: {error}") from None


def _positions(fill: Fill, old: Grid | None, new: Grid, how: Positions) -> None:
    """Fit the positions of the only encoder, or of the spatial and the temporal one."""
    tensors = fill.backbone.tensors
    temporal = tensors.get("temporal.positions")
    main: Grid = (1, *new[1:]) if fill.encoder == "spatial" else new
    if old is not None and temporal is not None:
        old = (1, *old[1:])
    if old is None and (ours := fill.state.get(f"{fill.encoder}.positions")) is not None:
        if len(fill.take("encoder.positions")) == len(ours):
            old = main
        elif temporal is None:
            raise ValueError(
                "its clips have another size, and it does not tell which: say source_grid=[t, rows, columns]"
            )
    fill.positions(fill.encoder, "encoder", old, main, how, "bilinear")
    if temporal is not None:
        length = len(temporal) - ("temporal.cls" in tensors)
        fill.positions("temporal", "temporal", (length, 1, 1), (new[0], 1, 1), how, "bilinear")


def _temporal_encoder(fill: Fill, first_layers: bool) -> None:
    """Copy the temporal encoder where both have one."""
    theirs = [name for name in fill.backbone.tensors if name.startswith("temporal.")]
    if not any(name.startswith("temporal.") for name in fill.state):
        return fill.pass_over("temporal.", "the network has no temporal encoder")
    if not theirs:
        return fill.keep("temporal.")
    if "temporal.cls" in fill.state and "temporal.cls" in theirs:
        fill.put("temporal.cls", fill.take("temporal.cls"), "temporal.cls")
    fill.keep("temporal.cls")
    fill.pass_over("temporal.cls", "the network classifies the mean over tokens")
    for layer in sorted({name.split(".")[2] for name in theirs if name.startswith("temporal.blocks.")}, key=int):
        if f"temporal.blocks.{layer}.norm_mlp.weight" not in fill.state:
            if not first_layers:
                name = fill.origin(f"temporal.blocks.{layer}.norm_mlp.weight")[0]
                raise ValueError(
                    f"{name!r} is of temporal layer {layer}, more than the network has: set "
                    "first_temporal_layers=true to keep the first ones, or size.temporal_depth"
                )
            fill.pass_over(f"temporal.blocks.{layer}.", f"temporal layer {layer}, beyond those of the network")
    fill.copy("temporal", "temporal")
    return None
