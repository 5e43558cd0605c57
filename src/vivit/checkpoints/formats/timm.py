"""ViTs with the names of timm.

Their files do not contain the number of heads: it must be right in the network (``size.heads``).
"""

from vivit.checkpoints.neutral_state_dict import CLASSIFIER, MASK, KeyFormat, block_names

BLOCK_PARTS = {
    "norm1": "norm_attention",
    r"attn\.qkv": "attention.qkv",
    r"attn\.proj": "attention.out",
    "norm2": "norm_mlp",
    r"mlp\.fc1": "mlp.0",
    r"mlp\.fc2": "mlp.3",
}
"""Parts of a block, with a weight and a bias each."""
TIMM = KeyFormat(
    name="a ViT of timm",
    signature=r"patch_embed\.proj\.weight",
    names={
        r"patch_embed\.proj\.(weight|bias)": r"patches.\1",
        r"cls_token": "encoder.cls",
        r"pos_embed": "encoder.positions",
        r"norm\.(weight|bias)": r"encoder.norm.\1",
        r"blocks\.(\d+)\.ls1\.gamma": r"encoder.blocks.\1.attention.layer_scale",
        r"blocks\.(\d+)\.ls2\.gamma": r"encoder.blocks.\1.mlp.layer_scale",
        **block_names(r"blocks\.(\d+)\.", BLOCK_PARTS),
    },
    ignored={r"(head|pre_logits\.fc)\.(weight|bias)": CLASSIFIER, "mask_token": MASK},
    sidecar=("colours", "activation"),
    colours_assumed=True,
)
"""Input (x - 0.5) / 0.5, as augreg and the other weights of Google's. Others of timm's (DeiT, MAE, DINO) have the mean
and deviation of ImageNet, which only a ``config.json`` beside the file contains."""
