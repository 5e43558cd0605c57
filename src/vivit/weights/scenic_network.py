"""Infer a network's arguments from nothing but the names and shapes of scenic's parameters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from vivit.models import (
    FactorisedDotProduct,
    FactorisedEncoder,
    FactorisedSelfAttention,
    SpatioTemporal,
    Tokeniser,
    Tubelets,
    UniformFrames,
)
from vivit.models.factorised_self_attention import Order
from vivit.weights.scenic_windows import Network

Model = Literal[
    "spatiotemporal",
    "factorised_encoder",
    "factorised_self_attention",
    "factorised_dot_product",
    "average_pool",
]


@dataclass(frozen=True, slots=True)
class Shapes:
    """Shapes of scenic's parameters by '/'-joined name, with questions to ask of them."""

    shapes: Mapping[str, tuple[int, ...]]

    def of(self, name: str, *ranks: int) -> tuple[int, ...]:
        """Look one up; raises ValueError where it is missing or has another number of axes."""
        if name not in self.shapes:
            tops = ", ".join(sorted({key.split("/")[0] for key in self.shapes})) or "nothing"
            raise ValueError(f"{name!r} is missing; is it another model? The tree has {tops}")
        shape = self.shapes[name]
        if len(shape) not in ranks:
            raise ValueError(f"{name!r} has the shape {shape}, but needs {' or '.join(map(str, ranks))} axes")
        return shape

    def encoder(
        self, name: str, attention: str = "MultiHeadDotProductAttention_0", mlp: str = "MlpBlock_0"
    ) -> dict[str, Any]:
        """Depth, heads and MLP width of the encoder called ``name``."""
        numbers = (re.match(rf"{name}/encoderblock_(\d+)/", key) for key in self.shapes)
        return {
            "depth": len({number[1] for number in numbers if number}),
            "heads": self.of(f"{name}/encoderblock_0/{attention}/query/kernel", 3)[1],
            "mlp_dim": self.of(f"{name}/encoderblock_0/{mlp}/Dense_0/kernel", 2)[1],
        }

    def pool(self, cls: str) -> Literal["cls", "mean"]:
        """Say what is classified: scenic's trees have a class token exactly where it is used."""
        return "cls" if cls in self.shapes else "mean"

    def tokeniser(self, sampled_frames: int | None) -> Tokeniser:
        """Tell tubelets (a kernel with an axis for time) from uniform frames (an image ViT's kernel)."""
        *kernel, _, dim = self.of("embedding/kernel", 4, 5)
        if len(kernel) == 3:
            if sampled_frames is not None:
                raise ValueError(f"sampled_frames={sampled_frames}, but 'embedding/kernel' cuts tubelets of {kernel}")
            return Tubelets(dim=dim, tubelet=tuple(kernel))
        if sampled_frames is None:
            raise ValueError(
                "'embedding/kernel' has no axis for time, so frames are sampled: say how many with sampled_frames"
            )
        return UniformFrames(dim=dim, frames=sampled_frames, patch=tuple(kernel))

    def head(self) -> dict[str, Any]:
        """Classes, and the width of the layer before them, if there is one."""
        representation = self.of("pre_logits/kernel", 2)[1] if "pre_logits/kernel" in self.shapes else None
        return {"classes": self.of("output_projection/kernel", 2)[1], "representation": representation}


def network(shapes: Shapes, model: Model, tokeniser: Tokeniser, size: Mapping[str, Any], order: Order) -> Network:
    """Build the network that has such parameters; ``size`` is that of the clips: frames, height and width."""
    common = {**size, **shapes.head()}
    if model == "spatiotemporal":
        return SpatioTemporal(tokeniser, **common, **shapes.encoder("Transformer"), pool=shapes.pool("cls"))
    if model == "factorised_dot_product":
        return FactorisedDotProduct(tokeniser, **common, **shapes.encoder("Transformer"))
    if model == "factorised_self_attention":
        encoder = shapes.encoder("Transformer", "MultiHeadDotProductAttention_space", "MlpBlock")
        return FactorisedSelfAttention(tokeniser, **common, **encoder, order=order)
    if model not in ("factorised_encoder", "average_pool"):
        raise ValueError(f"model={model!r} is none of {', '.join(get_args(Model))}")
    spatial = shapes.encoder("SpatialTransformer")
    temporal = spatial | {"depth": 0} if model == "average_pool" else shapes.encoder("TemporalTransformer")
    return FactorisedEncoder(
        tokeniser,
        **common,
        **spatial,
        **{f"temporal_{key}": value for key, value in temporal.items()},
        pool=shapes.pool("cls_SpatialTransformer"),
    )
