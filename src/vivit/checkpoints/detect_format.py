"""Recognise the format of a source by its names, and read it."""

import re
from collections.abc import Mapping
from dataclasses import replace

from vivit.checkpoints.formats.config_json import read_sidecar
from vivit.checkpoints.formats.dinov2 import DINOV2, DINOV2_ORIGINAL
from vivit.checkpoints.formats.flax import FLAX, select_parameters
from vivit.checkpoints.formats.huggingface_vit import HUGGINGFACE_VIT, HUGGINGFACE_VIVIT
from vivit.checkpoints.formats.timm import TIMM
from vivit.checkpoints.formats.videomae import VIDEOMAE_FORMATS
from vivit.checkpoints.formats.vivit import VIVIT, token_grid
from vivit.checkpoints.model_zoo import resolve_weight_file
from vivit.checkpoints.neutral_state_dict import NeutralStateDict, to_neutral
from vivit.checkpoints.weight_file import Source, read_tensors
from vivit.errors import CheckpointError

FORMATS = (VIVIT, FLAX, DINOV2, HUGGINGFACE_VIVIT, *VIDEOMAE_FORMATS, HUGGINGFACE_VIT, DINOV2_ORIGINAL, TIMM)
"""In the order in which they are tried: the names of one may be among those of a later one."""


def read_neutral(source: Source, key: str | None = None) -> NeutralStateDict:
    """Return a source of any known format under neutral names; ``key`` selects one of several sets of weights in it.

    Raises CheckpointError where the format is unknown.
    """
    named = select_parameters(read_tensors(source, key))
    for key_format in FORMATS:
        if any(re.fullmatch(key_format.signature, name) for name in named.tensors):
            state = to_neutral(named, key_format)
            if key_format is VIVIT and (model := named.record.get("config")):
                t, rows, columns = token_grid(model)
                factorised = any(".spatial." in f".{name}" for name in named.tensors)
                named_heads = {"encoder": model.get("num_heads"), "temporal": model.get("temporal_num_heads")}
                heads = {encoder: count for encoder, count in named_heads.items() if count}
                recorded = replace(VIVIT, gelu=model.get("gelu", "tanh"))
                return replace(state, key_format=recorded, grid=(1 if factorised else t, rows, columns), heads=heads)
            return read_sidecar(state, None if isinstance(source, Mapping) else resolve_weight_file(source).parent)
    known, first = "; ".join(each.name for each in FORMATS), ", ".join(list(named.tensors)[:3])
    raise CheckpointError(
        named.label, f"is in no known format; its names start with {first or 'nothing'}", f"use one of {known}"
    )
