"""VideoMAE and VideoMAE v2 (Tong et al. 2022, Wang et al. 2023), with the names of its authors and of Hugging Face.

Model 1 in this repository's terms: tubelets of two frames, fixed sines over all tokens, no class token, the mean of all
tokens before the last LayerNorm, and no bias of keys.
"""

import re
from collections.abc import Iterable

from vivit.checkpoints.formats import huggingface_vit, timm
from vivit.checkpoints.formats.huggingface_vit import LAYER
from vivit.checkpoints.neutral_state_dict import IMAGENET_MEAN, IMAGENET_STD, MASK, KeyFormat, block_names

DECODER = "belongs to the decoder of pre-training"
ALL_TOKENS = "normalises all tokens for pre-training's decoder; that of their mean starts fresh, as the authors' does"
HEAD = {r"fc_norm\.(weight|bias)": r"encoder.norm.\1", r"(?:head|classifier)\.(weight|bias)": r"head.projection.\1"}
_BLOCK = r"(?:encoder\.)?blocks\.(\d+)\."

VIDEOMAE = KeyFormat(
    name="a VideoMAE with the names of its authors",
    signature=r"(?:encoder\.)?blocks\.0\.attn\.q_bias",
    names={
        **HEAD,
        r"(?:encoder\.)?patch_embed\.proj\.(weight|bias)": r"patches.\1",
        _BLOCK + r"attn\.([qv])_bias": r"encoder.blocks.\1.attention.\2.bias",
        **block_names(_BLOCK, timm.BLOCK_PARTS),
    },
    ignored={
        r"decoder\..*|encoder_to_decoder\..*": DECODER,
        "mask_token": MASK,
        r"(?:encoder\.)?norm\.(weight|bias)": ALL_TOKENS,
    },
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    has_key_bias=False,
)

HUGGINGFACE_VIDEOMAE = KeyFormat(
    name="a VideoMAE of Hugging Face",
    signature=r"(?:videomae\.)?encoder\.layer\.0\.attention\.attention\.q_bias"
    r"|videomae\.encoder\.layer\.0\.attention\.attention\.query\.bias",
    names={
        **HEAD,
        r"(?:\w+\.)?embeddings\.patch_embeddings\.projection\.(weight|bias)": r"patches.\1",
        LAYER + r"attention\.attention\.([qv])_bias": r"encoder.blocks.\1.attention.\2.bias",
        **block_names(LAYER, huggingface_vit.BLOCK_PARTS),
    },
    ignored={
        r"decoder\..*|encoder_to_decoder\..*": DECODER,
        "mask_token": MASK,
        r"(?:\w+\.)?layernorm\.(weight|bias)": ALL_TOKENS,
    },
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    sidecar=("colours", "activation"),
    has_key_bias=False,
)
"""Biases of queries and values are ``q_bias`` and ``v_bias`` in the hub's files, ``query.bias`` and ``value.bias`` in
modules of transformers 5."""

VIDEOMAE_FORMATS = (VIDEOMAE, HUGGINGFACE_VIDEOMAE)
VIDEOMAE_NAMES = {each.name for each in VIDEOMAE_FORMATS}


def is_videomae(names: Iterable[str]) -> bool:
    """Whether tensors of these names are a VideoMAE's."""
    return any(re.fullmatch(each.signature, name) for name in names for each in VIDEOMAE_FORMATS)
