"""Table 6 of the paper: the best of their time on five data sets. None stands where the paper prints a dash."""

from dataclasses import dataclass

Number = float | None
OURS = "ViViT"
"""What the names of the paper's own rows start with."""


@dataclass(frozen=True, slots=True)
class Method:
    """A row: accuracies in per cent, in the order of the data set's ``measures``; views, and 10^12 FLOPs over all."""

    name: str
    accuracies: tuple[Number, ...]
    views: str | None = None
    tflops: Number = None


@dataclass(frozen=True, slots=True)
class Best:
    """Part of the table: the configurations ``data=`` of its data set, and the metrics that it prints."""

    name: str
    title: str
    data: tuple[str, ...]
    measures: tuple[tuple[str, str], ...]
    methods: tuple[Method, ...]


TOPS = (("test/acc_top1", "top-1"), ("test/acc_top5", "top-5"))
ACTIONS = (("test/action_acc_top1", "action"), ("test/verb_acc_top1", "verb"), ("test/noun_acc_top1", "noun"))

BEST = (
    Best(
        "kinetics400",
        "Table 6a: Kinetics-400",
        ("kinetics400",),
        TOPS,
        (
            Method("blVNet", (73.5, 91.2)),
            Method("STM", (73.7, 91.6)),
            Method("TEA", (76.1, 92.5), "10x3", 2.10),
            Method("TSM-ResNeXt-101", (76.3, None)),
            Method("I3D NL", (77.7, 93.3), "10x3", 10.77),
            Method("CorrNet-101", (79.2, None), "10x3", 6.72),
            Method("ip-CSN-152", (79.2, 93.8), "10x3", 3.27),
            Method("LGD-3D R101", (79.4, 94.4)),
            Method("SlowFast R101-NL", (79.8, 93.9), "10x3", 7.02),
            Method("X3D-XXL", (80.4, 94.6), "10x3", 5.82),
            Method("TimeSformer-L", (80.7, 94.7), "1x3", 7.14),
            Method("ViViT-L/16x2 FE", (80.6, 92.7), "1x1", 3.98),
            Method("ViViT-L/16x2 FE", (81.7, 93.8), "1x3", 11.94),
            Method("ip-CSN-152 (IG)", (82.5, 95.3), "10x3", 3.27),
            Method("ViViT-L/16x2 FE (JFT)", (83.5, 94.3), "1x3", 11.94),
            Method("ViViT-H/14x2 (JFT)", (84.9, 95.8), "4x3", 47.77),
        ),
    ),
    Best(
        "kinetics600",
        "Table 6b: Kinetics-600",
        ("kinetics600",),
        TOPS,
        (
            Method("AttentionNAS", (79.8, 94.4)),
            Method("LGD-3D R101", (81.5, 95.6)),
            Method("SlowFast R101-NL", (81.8, 95.1)),
            Method("X3D-XL", (81.9, 95.5)),
            Method("TimeSformer-L", (82.2, 95.6)),
            Method("ViViT-L/16x2 FE", (82.9, 94.6)),
            Method("ViViT-L/16x2 FE (JFT)", (84.3, 94.9)),
            Method("ViViT-H/14x2 (JFT)", (85.8, 96.5)),
        ),
    ),
    Best(
        "moments",
        "Table 6c: Moments in Time",
        ("moments",),
        TOPS,
        (
            Method("TSN", (25.3, 50.1)),
            Method("TRN", (28.3, 53.4)),
            Method("I3D", (29.5, 56.1)),
            Method("blVNet", (31.4, 59.3)),
            Method("AssembleNet-101", (34.3, 62.7)),
            Method("ViViT-L/16x2 FE", (38.5, 64.1)),
        ),
    ),
    Best(
        "epic_kitchens",
        "Table 6d: EPIC-Kitchens-100",
        ("epic_kitchens", "epic_kitchens_pictures"),
        ACTIONS,
        (
            Method("TSN", (33.2, 60.2, 46.0)),
            Method("TRN", (35.3, 65.9, 45.4)),
            Method("TBN", (36.7, 66.0, 47.2)),
            Method("TSM", (38.3, 67.9, 49.0)),
            Method("SlowFast", (38.5, 65.6, 50.0)),
            Method("ViViT-L/16x2 FE", (44.0, 66.4, 56.8)),
        ),
    ),
    Best(
        "ssv2",
        "Table 6e: Something-Something v2",
        ("ssv2",),
        TOPS,
        (
            Method("TRN", (48.8, 77.6)),
            Method("SlowFast", (61.7, None)),
            Method("TimeSformer-HR", (62.5, None)),
            Method("TSM", (63.4, 88.5)),
            Method("STM", (64.2, 89.8)),
            Method("TEA", (65.1, None)),
            Method("blVNet", (65.2, 90.3)),
            Method("ViViT-L/16x2 FE", (65.9, 89.9)),
        ),
    ),
)
