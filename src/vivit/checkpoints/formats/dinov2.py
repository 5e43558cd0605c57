"""DINOv2 with the names of its authors and of Hugging Face.

Their files do not contain the number of heads: it must be right in the network (``size.heads``).
"""

from vivit.checkpoints.formats.huggingface_vit import ATTENTION, EMBEDDINGS, LAYER, POOLER
from vivit.checkpoints.formats.timm import TIMM
from vivit.checkpoints.neutral_state_dict import IMAGENET_MEAN, IMAGENET_STD, MASK, KeyFormat, block_names

DINOV2_ORIGINAL = KeyFormat(
    name="a DINOv2 with the names of its authors",
    signature=r"blocks\.0\.ls1\.gamma",
    names=TIMM.names,
    ignored=TIMM.ignored,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    sidecar=("colours",),
    interpolation="bicubic",
)

DINOV2 = KeyFormat(
    name="a DINOv2 of Hugging Face",
    signature=r"(?:\w+\.)?encoder\.layer\.0\.layer_scale1\.lambda1",
    names={
        **EMBEDDINGS,
        LAYER + r"layer_scale1\.lambda1": r"encoder.blocks.\1.attention.layer_scale",
        LAYER + r"layer_scale2\.lambda1": r"encoder.blocks.\1.mlp.layer_scale",
        **block_names(
            LAYER,
            {
                **ATTENTION,
                "norm1": "norm_attention",
                "norm2": "norm_mlp",
                r"mlp\.fc1": "mlp.0",
                r"mlp\.fc2": "mlp.3",
            },
        ),
    },
    ignored=POOLER | {r"(?:\w+\.)?embeddings\.mask_token": MASK},
    sidecar=("colours", "activation"),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    interpolation="bicubic",
)
