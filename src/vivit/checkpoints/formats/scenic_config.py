"""Infer a network's arguments from the names and shapes of scenic's parameters."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from vivit.checkpoints.tensor_checks import Shapes
from vivit.errors import CheckpointError, ConfigError
from vivit.models import (
    Tokeniser,
    Tubelets,
    UniformFrames,
    ViViT,
    build_model,
)
from vivit.models.factorised_self_attention import AttentionOrder

Model = Literal[
    "spatiotemporal",
    "factorised_encoder",
    "factorised_self_attention",
    "factorised_dot_product",
    "average_pool",
]


@dataclass(frozen=True, slots=True)
class ShapeInspector:
    """Shapes of scenic's parameters by '/'-joined name, and what can be inferred from them."""

    shapes: Shapes
    label: str

    def shape_of(self, name: str, *ranks: int) -> tuple[int, ...]:
        """Return one shape. Raises CheckpointError where it is missing or has another number of axes."""
        if name not in self.shapes:
            tops = ", ".join(sorted({key.split("/")[0] for key in self.shapes})) or "nothing"
            raise CheckpointError(
                self.label, f"is missing; the tree has {tops}", "set model to that of the checkpoint", key=name
            )
        shape = self.shapes[name]
        if len(shape) not in ranks:
            raise CheckpointError(
                self.label, f"has the shape {shape}, but needs {' or '.join(map(str, ranks))} axes", key=name
            )
        return shape

    def encoder(
        self, name: str, attention: str = "MultiHeadDotProductAttention_0", mlp: str = "MlpBlock_0"
    ) -> dict[str, Any]:
        """Return depth, heads and MLP width of the encoder called ``name``."""
        numbers = (re.match(rf"{name}/encoderblock_(\d+)/", key) for key in self.shapes)
        return {
            "depth": len({number[1] for number in numbers if number}),
            "num_heads": self.shape_of(f"{name}/encoderblock_0/{attention}/query/kernel", 3)[1],
            "mlp_dim": self.shape_of(f"{name}/encoderblock_0/{mlp}/Dense_0/kernel", 2)[1],
        }

    def pool(self, cls: str) -> Literal["cls", "mean"]:
        """Return what is classified: scenic's trees have a class token exactly where it is used."""
        return "cls" if cls in self.shapes else "mean"

    def tokeniser(self, sampled_frames: int | None) -> Tokeniser:
        """Return tubelets for a kernel with an axis for time, uniform frames for an image ViT's kernel.

        Raises ConfigError where ``sampled_frames`` does not fit that.
        """
        *kernel, _, dim = self.shape_of("embedding/kernel", 4, 5)
        if len(kernel) == 3:
            if sampled_frames is not None:
                raise ConfigError(
                    "sampled_frames",
                    sampled_frames,
                    f"{self.label} cuts tubelets of {kernel} ('embedding/kernel')",
                    "leave it out",
                )
            return Tubelets(dim=dim, tubelet=tuple(kernel))
        if sampled_frames is None:
            raise ConfigError(
                "sampled_frames",
                None,
                f"{self.label} samples frames ('embedding/kernel' has no axis for time)",
                "set how many",
            )
        return UniformFrames(dim=dim, num_frames=sampled_frames, patch=tuple(kernel))

    def head(self) -> dict[str, Any]:
        """Return the number of classes, and the width of the layer before them, if there is one."""
        representation = self.shape_of("pre_logits/kernel", 2)[1] if "pre_logits/kernel" in self.shapes else None
        return {
            "num_classes": self.shape_of("output_projection/kernel", 2)[1],
            "representation_size": representation,
        }


def build_network(
    shapes: ShapeInspector, model: Model, tokeniser: Tokeniser, size: Mapping[str, Any], order: AttentionOrder
) -> ViViT:
    """Return the network that has such parameters; ``size`` is that of the clips: frames, height and width.

    Raises ConfigError for another ``model``.
    """
    common = {**size, **shapes.head()}
    if model == "spatiotemporal":
        return build_model(model, tokeniser, **common, **shapes.encoder("Transformer"), pool=shapes.pool("cls"))
    if model == "factorised_dot_product":
        return build_model(model, tokeniser, **common, **shapes.encoder("Transformer"))
    if model == "factorised_self_attention":
        encoder = shapes.encoder("Transformer", "MultiHeadDotProductAttention_space", "MlpBlock")
        return build_model(model, tokeniser, **common, **encoder, attention_order=order)
    if model not in ("factorised_encoder", "average_pool"):
        raise ConfigError("model", model, "there is no such model", f"set one of {', '.join(get_args(Model))}")
    spatial = shapes.encoder("SpatialTransformer")
    temporal = spatial | {"depth": 0} if model == "average_pool" else shapes.encoder("TemporalTransformer")
    return build_model(
        model,
        tokeniser,
        **common,
        **spatial,
        **{f"temporal_{key}": value for key, value in temporal.items()},
        pool=shapes.pool("cls_SpatialTransformer"),
    )
