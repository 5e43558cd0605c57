"""Tell by its names which format a source is in."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from vivit.weights.backbone import Backbone, adapt
from vivit.weights.beside import with_told
from vivit.weights.flax_format import FLAX, without_prefix
from vivit.weights.image_formats import DINOV2, DINOV2_ORIGINAL, HUGGINGFACE_VIT, HUGGINGFACE_VIVIT, TIMM
from vivit.weights.own_format import OWN, grid
from vivit.weights.tensor_file import Source, read_tensors

FORMATS = (OWN, FLAX, DINOV2, HUGGINGFACE_VIVIT, HUGGINGFACE_VIT, DINOV2_ORIGINAL, TIMM)
"""Tried in this order: the names of one may be among those of a later one."""


def read_backbone(source: Source, key: str | None = None) -> Backbone:
    """Read a source of any known format into the neutral form; ``key`` names one of several sets of weights in it."""
    named = without_prefix(read_tensors(source, key))
    for form in FORMATS:
        if any(re.fullmatch(form.sign, name) for name in named.tensors):
            found = adapt(named, form)
            if form is OWN and (model := named.record.get("model")):
                t, rows, columns = grid(model)
                factorised = any(".spatial." in f".{name}" for name in named.tensors)
                named_heads = {"encoder": model.get("heads"), "temporal": model.get("temporal_heads")}
                heads = {encoder: count for encoder, count in named_heads.items() if count}
                own = replace(OWN, gelu=model.get("gelu", "tanh"))
                return replace(found, format=own, grid=(1 if factorised else t, rows, columns), heads=heads)
            return with_told(found, None if isinstance(source, Mapping) else Path(source).parent)
    known, first = "; ".join(form.name for form in FORMATS), ", ".join(list(named.tensors)[:3])
    raise ValueError(f"{named.label} is in no known format ({known}); its names start with {first or 'nothing'}")
