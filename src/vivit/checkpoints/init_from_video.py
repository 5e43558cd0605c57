"""Initialise a network from another ViViT: fine-tuning on other clips, or on more of them."""

from collections.abc import Sequence

from vivit.checkpoints.detect_format import read_neutral
from vivit.checkpoints.formats.videomae import VIDEOMAE_NAMES
from vivit.checkpoints.inflation import check_grid
from vivit.checkpoints.init_from_image import assign_blocks, assign_class_token, assign_head, assign_patches
from vivit.checkpoints.load_report import LoadReport
from vivit.checkpoints.state_dict_loader import Positions, StateDictPlan
from vivit.checkpoints.weight_file import Source
from vivit.errors import CheckpointError, ConfigError
from vivit.models import ViViT
from vivit.models.pos_embed import Grid


def load_video_weights(
    network: ViViT,
    source: Source,
    *,
    key: str | None = None,
    positions: Positions = "auto",
    load_head: bool = False,
    truncate_temporal_layers: bool = False,
    source_grid: Sequence[int] | None = None,
) -> LoadReport:
    """Load a ViViT, a checkpoint of this repository or of scenic's, into a network.

    Positions are resized, in space and in time, where clips differ. ``load_head`` loads the classifier too.
    ``truncate_temporal_layers`` lets a source have more temporal layers than the network: the first ones are loaded,
    the report lists the rest (the Kinetics-400 L/16x2 of scenic has 24, the paper's other models 4). ``source_grid`` =
    (t, rows, columns) of a source that does not contain it and has other clips than the network. ``key`` selects one of
    several sets of weights in a file, such as an average.

    Raises CheckpointError, with the key that does not fit, is missing or unexpected, and ConfigError for arguments.
    """
    state = read_neutral(source, key)
    if state.key_format.name in VIDEOMAE_NAMES:
        raise CheckpointError(state.label, "is a VideoMAE", "use weights=videomae (load_videomae_weights)")
    plan = StateDictPlan(network, state)
    new = network.tokeniser.grid(*network.clip_size)
    old = state.grid or (None if source_grid is None else check_grid(source_grid))
    assign_patches(plan, "central_frame", None, None)
    assign_class_token(plan, load=True)
    _assign_positions(plan, old, new, positions)
    assign_blocks(plan, "zero_output")
    _assign_temporal_encoder(plan, truncate_temporal_layers)
    assign_head(plan, load=load_head)
    return plan.apply()


def _assign_positions(plan: StateDictPlan, old: Grid | None, new: Grid, how: Positions) -> None:
    """Resize the positions of the only encoder, or of the spatial and the temporal one."""
    tensors = plan.source.tensors
    temporal = tensors.get("temporal.positions")
    main = plan.grid
    if old is not None and temporal is not None:
        old = (1, *old[1:])
    if old is None and (table := plan.state.get(f"{plan.encoder}.positions")) is not None:
        if len(plan.get("encoder.positions")) == len(table):
            old = main
        elif temporal is None:
            raise ConfigError(
                "weights.source_grid",
                None,
                f"{plan.source.label} has clips of another size, and does not contain which",
                "set [t, rows, columns]",
            )
    plan.assign_positions(plan.encoder, "encoder", old, main, how, "bilinear")
    if temporal is not None:
        length = len(temporal) - ("temporal.cls" in tensors)
        plan.assign_positions("temporal", "temporal", (length, 1, 1), (new[0], 1, 1), how, "bilinear")


def _assign_temporal_encoder(plan: StateDictPlan, first_layers: bool) -> None:
    """Copy the temporal encoder where both have one."""
    names = [name for name in plan.source.tensors if name.startswith("temporal.")]
    if not any(name.startswith("temporal.") for name in plan.state):
        return plan.ignore("temporal.", "the network has no temporal encoder")
    if not names:
        return plan.leave_initialized("temporal.")
    if "temporal.cls" in plan.state and "temporal.cls" in names:
        plan.assign("temporal.cls", plan.get("temporal.cls"), "temporal.cls")
    plan.leave_initialized("temporal.cls")
    plan.ignore("temporal.cls", "the network classifies the mean over tokens")
    for layer in sorted({name.split(".")[2] for name in names if name.startswith("temporal.blocks.")}, key=int):
        if f"temporal.blocks.{layer}.norm_mlp.weight" not in plan.state:
            if not first_layers:
                name = plan.source_names(f"temporal.blocks.{layer}.norm_mlp.weight")[0]
                raise ConfigError(
                    "weights.truncate_temporal_layers",
                    False,
                    f"{name!r} of {plan.source.label} is of temporal layer {layer}, more than the network has",
                    "set true to load the first ones, or size.temporal_depth",
                )
            plan.ignore(f"temporal.blocks.{layer}.", f"temporal layer {layer}, beyond those of the network")
    return plan.copy_encoder("temporal", "temporal")
