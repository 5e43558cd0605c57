"""Table 6: the best of the paper's time on five data sets, and every run of an experiment beside them.

None stands where the paper prints a dash.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from vivit.entry_points import typed
from vivit.overrides import override_key
from vivit.reporting.load_runs import RunRecord, latest_per_seed
from vivit.reporting.row_results import single_run_interval
from vivit.reporting.sweep_results import distinguishing
from vivit.reporting.tables import Column, Table, Value, mean, stdev
from vivit.sweeps import read_sweeps

Number = float | None
PAPER_PREFIX = "ViViT"
"""Prefix of the paper's own rows."""


@dataclass(frozen=True, slots=True)
class Method:
    """A row: accuracies in per cent, in the order of the table's ``metrics``; views, and 10^12 FLOPs over all."""

    name: str
    accuracies: tuple[Number, ...]
    views: str | None = None
    tflops: Number = None


@dataclass(frozen=True, slots=True)
class SotaTable:
    """Part of the table: the configurations ``data=`` of its data set, and the metrics that it prints."""

    name: str
    title: str
    data: tuple[str, ...]
    metrics: tuple[tuple[str, str], ...]
    methods: tuple[Method, ...]


TOP_METRICS = (("test/acc_top1", "top-1"), ("test/acc_top5", "top-5"))
ACTION_METRICS = (("test/action_acc_top1", "action"), ("test/verb_acc_top1", "verb"), ("test/noun_acc_top1", "noun"))

TABLES = (
    SotaTable(
        "kinetics400",
        "Table 6a: Kinetics-400",
        ("kinetics400",),
        TOP_METRICS,
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
    SotaTable(
        "kinetics600",
        "Table 6b: Kinetics-600",
        ("kinetics600",),
        TOP_METRICS,
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
    SotaTable(
        "moments",
        "Table 6c: Moments in Time",
        ("moments",),
        TOP_METRICS,
        (
            Method("TSN", (25.3, 50.1)),
            Method("TRN", (28.3, 53.4)),
            Method("I3D", (29.5, 56.1)),
            Method("blVNet", (31.4, 59.3)),
            Method("AssembleNet-101", (34.3, 62.7)),
            Method("ViViT-L/16x2 FE", (38.5, 64.1)),
        ),
    ),
    SotaTable(
        "epic_kitchens",
        "Table 6d: EPIC-Kitchens-100",
        ("epic_kitchens", "epic_kitchens_frames"),
        ACTION_METRICS,
        (
            Method("TSN", (33.2, 60.2, 46.0)),
            Method("TRN", (35.3, 65.9, 45.4)),
            Method("TBN", (36.7, 66.0, 47.2)),
            Method("TSM", (38.3, 67.9, 49.0)),
            Method("SlowFast", (38.5, 65.6, 50.0)),
            Method("ViViT-L/16x2 FE", (44.0, 66.4, 56.8)),
        ),
    ),
    SotaTable(
        "ssv2",
        "Table 6e: Something-Something v2",
        ("ssv2",),
        TOP_METRICS,
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


def table6(runs: Sequence[RunRecord]) -> list[Table]:
    """Return the five parts of the table."""
    return [sota_table(part, runs) for part in TABLES]


def sota_table(part: SotaTable, runs: Sequence[RunRecord]) -> Table:
    """Return one part: the paper's rows in its order, then ours, one for each experiment and number of views."""
    columns = [Column("method", "method"), Column("by", "by")]
    columns += [
        Column(metric, f"{title}, %", 1, stdev=f"{metric} spread", interval=(f"{metric}_low", f"{metric}_high"))
        for metric, title in part.metrics
    ]
    columns += [Column("views", "views"), Column("tflops", "TFLOPs, all views", 2), Column("runs", "runs")]
    experiments = _experiment_lines(part, runs)
    missing = f"no experiment on data={part.data[0]} has been run: {typed('train')} experiment=..."
    lines = (*(_paper_line(part, method) for method in part.methods), *experiments)
    return Table(f"best_{part.name}", part.title, "", tuple(columns), lines, () if experiments else (missing,))


def _paper_line(part: SotaTable, method: Method) -> dict[str, Value]:
    by = "the paper" if method.name.startswith(PAPER_PREFIX) else "others, as the paper prints them"
    line: dict[str, Value] = {"method": method.name, "by": by, "views": method.views, "tflops": method.tflops}
    return line | {metric: value for (metric, _), value in zip(part.metrics, method.accuracies, strict=True)}


def _experiment_lines(part: SotaTable, runs: Sequence[RunRecord]) -> list[dict[str, Value]]:
    groups: dict[tuple[str, str, str], list[RunRecord]] = defaultdict(list)
    for run in runs:
        experiment = run.results.get("experiment")
        if run.status == "done" and experiment and run.results.get("data") in part.data:
            if run.sweep in read_sweeps():
                other = [f"sweep={run.sweep}", f"row={run.row}", *run.extra]
            else:
                other = [override for override in distinguishing(run) if override_key(override) != "experiment"]
            groups[experiment, str(run.results.get("views")), " ".join(other)].append(run)
    ordered = sorted(groups.items())
    return [_experiment_line(part, *key, list(latest_per_seed(group).values())) for key, group in ordered]


def _experiment_line(
    part: SotaTable, experiment: str, views: str, other: str, runs: Sequence[RunRecord]
) -> dict[str, Value]:
    line: dict[str, Value] = {
        "method": f"{experiment} {other}".strip(),
        "by": "ours",
        "views": views,
        "runs": len(runs),
    }
    for metric, _ in part.metrics:
        values = [100 * run.results["metrics"][metric] for run in runs if metric in run.results["metrics"]]
        line |= {metric: mean(values), f"{metric} spread": stdev(values)}
        line |= single_run_interval([run.results for run in runs], metric, metric)
    temporal, _, spatial = views.partition("x")
    if temporal.isdigit() and spatial.isdigit():
        line["tflops"] = runs[-1].results["paper_gflops"] * int(temporal) * int(spatial) / 1e3
    return line
