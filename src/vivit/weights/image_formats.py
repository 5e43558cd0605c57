"""ViTs as PyTorch projects name them: timm, Hugging Face's ViT, DINOv2 and ViViT. One table a format.

None of their files tells the number of heads: it must be right in the network (``size.heads``).
"""

from dataclasses import replace

from vivit.weights.backbone import IMAGENET_MEAN, IMAGENET_STD, Format, blocks

CLASSIFIER = "its classifier knows images"
BOTH = ("colours", "activation")
MASK = "stands in for patches that are hidden in pre-training"

_TIMM_BLOCK = r"blocks\.(\d+)\."
TIMM = Format(
    name="a ViT of timm",
    sign=r"patch_embed\.proj\.weight",
    names={
        r"patch_embed\.proj\.(weight|bias)": r"patches.\1",
        r"cls_token": "encoder.cls",
        r"pos_embed": "encoder.positions",
        r"norm\.(weight|bias)": r"encoder.norm.\1",
        r"blocks\.(\d+)\.ls1\.gamma": r"encoder.blocks.\1.attention.layer_scale",
        r"blocks\.(\d+)\.ls2\.gamma": r"encoder.blocks.\1.mlp.layer_scale",
        **blocks(
            _TIMM_BLOCK,
            {
                "norm1": "norm_attention",
                r"attn\.qkv": "attention.qkv",
                r"attn\.proj": "attention.out",
                "norm2": "norm_mlp",
                r"mlp\.fc1": "mlp.0",
                r"mlp\.fc2": "mlp.3",
            },
        ),
    },
    ignored={r"(head|pre_logits\.fc)\.(weight|bias)": CLASSIFIER, "mask_token": MASK},
    told=BOTH,
    assumed=True,
)
"""Input (x - 0.5) / 0.5, as augreg and the other weights of Google's have it. Others of timm's (DeiT, MAE, DINO) have
ImageNet's mean and deviation, of which only a ``config.json`` beside the file tells."""

DINOV2_ORIGINAL = Format(
    name="a DINOv2 with the names of its authors",
    sign=r"blocks\.0\.ls1\.gamma",
    names=TIMM.names,
    ignored=TIMM.ignored,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    told=("colours",),
    interpolation="bicubic",
)

_EMBEDDINGS = {
    r"(?:\w+\.)?embeddings\.cls_token": "encoder.cls",
    r"(?:\w+\.)?embeddings\.position_embeddings": "encoder.positions",
    r"(?:\w+\.)?embeddings\.patch_embeddings\.projection\.(weight|bias)": r"patches.\1",
    r"(?:\w+\.)?layernorm\.(weight|bias)": r"encoder.norm.\1",
}
_LAYER = r"(?:\w+\.)??(?:encoder\.layer|layers)\.(\d+)\."
_ATTENTION = {
    r"attention\.(?:attention\.query|q_proj)": "attention.q",
    r"attention\.(?:attention\.key|k_proj)": "attention.k",
    r"attention\.(?:attention\.value|v_proj)": "attention.v",
    r"attention\.(?:output\.dense|o_proj)": "attention.out",
}
_POOLER = {r"(?:classifier|(?:\w+\.)?pooler\.dense)\.(?:weight|bias)": CLASSIFIER}

HUGGINGFACE_VIT = Format(
    name="a ViT of Hugging Face",
    sign=r"(?:\w+\.)?(?:encoder\.layer|layers)\.0\.layernorm_before\.weight",
    names={
        **_EMBEDDINGS,
        **blocks(
            _LAYER,
            {
                **_ATTENTION,
                "layernorm_before": "norm_attention",
                "layernorm_after": "norm_mlp",
                r"(?:intermediate\.dense|mlp\.fc1)": "mlp.0",
                r"(?:output\.dense|mlp\.fc2)": "mlp.3",
            },
        ),
    },
    ignored=_POOLER,
    told=BOTH,
    assumed=True,
)
"""Names as files have them, and as modules of transformers 5 have them. Their LayerNorm epsilon of 1e-12 becomes 1e-6,
which Google trained the same weights with."""

HUGGINGFACE_VIVIT = replace(
    HUGGINGFACE_VIT,
    name="a ViViT of Hugging Face",
    sign=r"vivit\.embeddings\.cls_token",
    names={**HUGGINGFACE_VIT.names, r"classifier\.(weight|bias)": r"head.projection.\1"},
    gelu="tanh",
    told=("activation",),
    assumed=False,
)

DINOV2 = Format(
    name="a DINOv2 of Hugging Face",
    sign=r"(?:\w+\.)?encoder\.layer\.0\.layer_scale1\.lambda1",
    names={
        **_EMBEDDINGS,
        _LAYER + r"layer_scale1\.lambda1": r"encoder.blocks.\1.attention.layer_scale",
        _LAYER + r"layer_scale2\.lambda1": r"encoder.blocks.\1.mlp.layer_scale",
        **blocks(
            _LAYER,
            {
                **_ATTENTION,
                "norm1": "norm_attention",
                "norm2": "norm_mlp",
                r"mlp\.fc1": "mlp.0",
                r"mlp\.fc2": "mlp.3",
            },
        ),
    },
    ignored=_POOLER | {r"(?:\w+\.)?embeddings\.mask_token": MASK},
    told=BOTH,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    interpolation="bicubic",
)
