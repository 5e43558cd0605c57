"""ViTs and ViViTs with the names of Hugging Face, as sources to start from.

Their files do not contain the number of heads: it must be right in the network (``size.heads``).
"""

from dataclasses import replace

from vivit.checkpoints.neutral_state_dict import CLASSIFIER, KeyFormat, block_names

EMBEDDINGS = {
    r"(?:\w+\.)?embeddings\.cls_token": "encoder.cls",
    r"(?:\w+\.)?embeddings\.position_embeddings": "encoder.positions",
    r"(?:\w+\.)?embeddings\.patch_embeddings\.projection\.(weight|bias)": r"patches.\1",
    r"(?:\w+\.)?layernorm\.(weight|bias)": r"encoder.norm.\1",
}
LAYER = r"(?:\w+\.)??(?:encoder\.layer|layers)\.(\d+)\."
ATTENTION = {
    r"attention\.(?:attention\.query|q_proj)": "attention.q",
    r"attention\.(?:attention\.key|k_proj)": "attention.k",
    r"attention\.(?:attention\.value|v_proj)": "attention.v",
    r"attention\.(?:output\.dense|o_proj)": "attention.out",
}
BLOCK_PARTS = {
    **ATTENTION,
    "layernorm_before": "norm_attention",
    "layernorm_after": "norm_mlp",
    r"(?:intermediate\.dense|mlp\.fc1)": "mlp.0",
    r"(?:output\.dense|mlp\.fc2)": "mlp.3",
}
"""Parts of a block, with a weight and a bias each."""
POOLER = {r"(?:classifier|(?:\w+\.)?pooler\.dense)\.(?:weight|bias)": CLASSIFIER}

HUGGINGFACE_VIT = KeyFormat(
    name="a ViT of Hugging Face",
    signature=r"(?:\w+\.)?(?:encoder\.layer|layers)\.0\.layernorm_before\.weight",
    names={
        **EMBEDDINGS,
        **block_names(LAYER, BLOCK_PARTS),
    },
    ignored=POOLER,
    sidecar=("colours", "activation"),
    colours_assumed=True,
)
"""Names as files have them, and as modules of transformers 5 have them. Their LayerNorm epsilon of 1e-12 becomes 1e-6,
which Google trained the same weights with."""

HUGGINGFACE_VIVIT = replace(
    HUGGINGFACE_VIT,
    name="a ViViT of Hugging Face",
    signature=r"vivit\.embeddings\.cls_token",
    names={**HUGGINGFACE_VIT.names, r"classifier\.(weight|bias)": r"head.projection.\1"},
    gelu="tanh",
    sidecar=("activation",),
    colours_assumed=False,
)
