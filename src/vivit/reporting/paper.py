"""The paper's tables and figures that sweeps reproduce, in its order: rows, printed numbers, and overrides of jobs.

Numbers are those that the paper prints (arXiv v2). What it only plots (figures 7, 8 and 9) has none. ``k400`` is top-1
on Kinetics-400 and ``epic`` that of actions on EPIC-Kitchens-100, in percent; ``gflops`` are 10^9
FLOPs as the paper counts them, ``params`` 10^6, ``ms`` measured on a TPU-v3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

VIEWS = "views=4x1"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: the overrides that identify its jobs, and the numbers that the paper prints.

    ``laptop`` are the overrides at laptop scale, and ``here`` the name of the row's stand-in, where they differ.
    """

    label: str
    overrides: Mapping[str, str]
    paper: Mapping[str, float] = field(default_factory=dict)
    laptop: Mapping[str, str] | None = None
    here: str | None = None

    def overrides_at(self, scale: str) -> Mapping[str, str]:
        """Return the overrides of this row's jobs at a scale."""
        return self.laptop if scale == "laptop" and self.laptop is not None else self.overrides

    def label_at(self, scale: str) -> str:
        """Return the name of the row, and of what stands in for it."""
        return f"{self.label} (here {self.here})" if scale == "laptop" and self.here else self.label


@dataclass(frozen=True, slots=True)
class Sweep:
    """A table or figure, its rows, and the number of seeds of each row at laptop scale."""

    name: str
    title: str
    caption: str
    rows: tuple[Row, ...]
    seeds: int = 3
    fixed: tuple[str, ...] = ()
    """Overrides of all of its jobs at the paper's scale, beside those of the rows."""
    laptop: tuple[str, ...] = ()
    """The same at laptop scale."""

    def fixed_overrides(self, scale: str) -> tuple[str, ...]:
        """Return the overrides that all of its jobs have at a scale; the embedded data's views are among them."""
        return (VIEWS, *self.laptop) if scale == "laptop" else self.fixed


MODELS = (
    ("Model 1, spatio-temporal", "spatiotemporal"),
    ("Model 2, factorised encoder", "factorised_encoder"),
    ("Model 3, factorised self-attention", "factorised_self_attention"),
    ("Model 4, factorised dot product", "factorised_dot_product"),
)
BACKBONES = (("B", "k400_base_spatiotemporal", "tiny"), ("L", "k400_large_224", "mini"))
LENGTH = "tokeniser.tubelet.0"


def _variant(label: str, model: str, *numbers: float) -> Row:
    keys = ("k400", "epic", "gflops", "params", "ms")
    return Row(label, {"experiment": f"k400_base_{model}"}, dict(zip(keys, numbers, strict=True)), {"model": model})


def _backbone(letter: str, experiment: str, here: str, t: int) -> Row:
    laptop = {"size": here, LENGTH: str(t)}
    return Row(f"{letter}/16x{t}", {"experiment": experiment, LENGTH: str(t)}, {}, laptop, f"{here}/8x{t}")


SWEEPS = (
    Sweep(
        "input_encoding",
        "Table 1: input encoding",
        "Model 1, from an image ViT: 8 frames of 32, or tubelets of four; the tubelet filter in three ways. "
        "Single frames need more epochs than these to find motion: see the order of frames, below.",
        (
            Row("uniform frame sampling", {"row": "input_encoding/uniform_frames"}, {"k400": 78.5}),
            Row("tubelets, random", {"row": "input_encoding/random"}, {"k400": 73.2}),
            Row("tubelets, filter inflation", {"row": "input_encoding/filter_inflation"}, {"k400": 77.6}),
            Row("tubelets, central frame", {"row": "input_encoding/central_frame"}, {"k400": 79.2}),
        ),
        fixed=("experiment=k400_base_spatiotemporal", VIEWS),
    ),
    Sweep(
        "model_variants",
        "Table 2: models",
        "The four models and the average-pool baseline; the paper's are B/16x2 on clips of 32 frames.",
        (
            _variant(*MODELS[0], 80.0, 43.1, 455.2, 88.9, 58.9),
            _variant(*MODELS[1], 78.8, 43.7, 284.4, 115.1, 17.4),
            _variant(*MODELS[2], 77.4, 39.1, 372.3, 117.3, 31.7),
            _variant(*MODELS[3], 76.3, 39.5, 277.1, 88.9, 22.9),
            _variant("Model 2, average pooling", "average_pool", 75.8, 38.8, 283.9, 86.7, 17.3),
        ),
        fixed=(VIEWS,),
    ),
    Sweep(
        "temporal_depth",
        "Table 3: temporal layers",
        "Layers of the factorised encoder's temporal transformer; none is average pooling.",
        tuple(
            Row(f"{layers} layer{'' if layers == '1' else 's'}", {"model.temporal_depth": layers}, {"k400": top1})
            for layers, top1 in (("0", 75.8), ("1", 78.6), ("4", 78.8), ("8", 78.8), ("12", 78.9))
        ),
        fixed=("experiment=k400_base_factorised_encoder", VIEWS),
    ),
    Sweep(
        "regularisation",
        "Table 4: regularisers",
        "Factorised encoder on EPIC-Kitchens; each row has all that stands above it.",
        tuple(
            Row(label, {"row": f"regularisation/{name}"}, {"epic": top1})
            for label, name, top1 in (
                ("random crop, flip, colour jitter", "crop_flip_jitter", 38.4),
                ("+ start from a ViViT of another data set", "initialised", 39.6),
                ("+ stochastic depth", "stochastic_depth", 40.2),
                ("+ RandAugment", "randaugment", 41.1),
                ("+ label smoothing", "label_smoothing", 43.1),
                ("+ mixup", "mixup", 43.7),
            )
        ),
        fixed=("experiment=epic_large_factorised_encoder", "size=base"),
        laptop=("data=motion_verb_noun",),
    ),
    Sweep(
        "resolution",
        "Table 5: resolution",
        "Model 1 on larger crops; the paper's is L/16x2. Its 58.9 ms also stand in Table 2, for B.",
        tuple(
            Row(
                f"{side} px",
                {"experiment": f"k400_large_{side}"},
                {"k400": top1, "gflops": gflops, "ms": ms},
                {"data.crop": f"[{small},{small}]"},
                f"{small} px",
            )
            for side, small, top1, gflops, ms in (
                (224, 32, 80.3, 1446, 58.9),
                (288, 40, 80.7, 2919, 147.6),
                (320, 48, 81.0, 3992, 238.8),
            )
        ),
        fixed=(VIEWS,),
    ),
    Sweep(
        "backbone",
        "Figure 7: backbones",
        "Model 1 in two sizes, over the length of its tubelets. The paper plots this and prints no numbers.",
        tuple(_backbone(*size, t) for size in BACKBONES for t in (8, 4, 2)),
        seeds=1,
        fixed=(VIEWS,),
    ),
    Sweep(
        "tokens",
        "Figure 8: tokens",
        "Four models over the length of their tubelets. The paper plots this and prints no numbers.",
        tuple(
            Row(
                f"{label}, {t} frames a tubelet",
                {"experiment": f"k400_base_{model}", LENGTH: str(t)},
                laptop={"model": model, LENGTH: str(t)},
            )
            for label, model in MODELS
            for t in (8, 4, 2)
        ),
        fixed=(VIEWS,),
    ),
    Sweep(
        "frames_views",
        "Figure 9: frames and views",
        "Factorised encoder; the paper's is L/16x2. It plots accuracies and prints none; FLOPs are of one view.",
        tuple(
            Row(f"{n} frames", {"data.frames": str(n)}, paper, {"data.frames": str(few)}, f"{few}")
            for n, few, paper in ((32, 4, {"gflops": 995.3}), (64, 8, {}), (128, 16, {"gflops": 3980.4}))
        ),
        seeds=1,
        fixed=("experiment=k400_large_factorised_encoder", VIEWS),
    ),
    Sweep(
        "frames_constant_tokens",
        "Longer clips, as many tokens",
        "Factorised encoder; tubelets grow with the clip (section 4.2). The paper prints no numbers.",
        tuple(
            Row(f"{n} frames", {"data.frames": str(n)}, {}, {"data.frames": str(few)}, f"{few}")
            for n, few in ((32, 8), (64, 16), (128, 32))
        ),
        seeds=1,
        fixed=("experiment=k400_base_factorised_encoder", VIEWS),
    ),
    Sweep(
        "attention_order",
        "Order of attention",
        "Model 3 (section 3.3). The paper finds no difference, and prints no numbers.",
        (
            Row("space, then time", {"model.attention_order": "space_time"}),
            Row("time, then space", {"model.attention_order": "time_space"}),
        ),
        fixed=("experiment=k400_base_factorised_self_attention", VIEWS),
    ),
    Sweep(
        "pooling",
        "Pooling",
        "Class tokens or means over tokens, in both encoders of Model 2. The paper prints no numbers.",
        (Row("class tokens", {"model.pool": "cls"}), Row("means over tokens", {"model.pool": "mean"})),
        fixed=("experiment=k400_base_factorised_encoder", VIEWS),
    ),
    Sweep(
        "temporal_init",
        "Start of temporal attention",
        "Model 3 from an image ViT (section 3.4). The paper starts at zero, and prints no numbers.",
        tuple(
            Row(label, {"weights.temporal_attention": name})
            for label, name in (
                ("a copy, its output zero", "zero_output"),
                ("all zero", "zero"),
                ("a copy", "copy"),
                ("random", "fresh"),
            )
        ),
        fixed=("experiment=k400_base_factorised_self_attention", VIEWS),
    ),
    Sweep("seeds", "The main job", "Factorised encoder; no table of the paper's.", (Row("main job", {}),)),
    Sweep(
        "time_order",
        "Does the order of frames matter?",
        "Single frames as tokens: average pooling can at best name the pair of opposite movements, 50 %.",
        (
            Row("average pooling", {"model": "average_pool"}),
            Row("factorised encoder", {"model": "factorised_encoder"}),
        ),
    ),
    Sweep(
        "precision",
        "Float32 and bfloat16",
        "Factorised encoder in both precisions; no table of the paper's.",
        (
            Row("float32", {"trainer.precision": "32-true"}),
            Row("bfloat16", {"trainer.precision": "bf16-mixed"}),
        ),
    ),
)

BY_NAME = {sweep.name: sweep for sweep in SWEEPS}
