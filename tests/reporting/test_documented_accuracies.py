"""Every accuracy and interval that docs/sweeps.md quotes is one that the records in docs/results have."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
SECTION = (DOCS / "sweeps.md").read_text(encoding="utf-8").partition("## What came out")[2]

TABLE_2 = {
    "Model 1, spatio-temporal": "spatiotemporal",
    "Model 2, factorised encoder": "factorised_encoder",
    "Model 3, factorised self-attention": "factorised_self_attention",
    "Model 4, factorised dot product": "factorised_dot_product",
    "average pooling": "average_pool",
}
TABLE_3 = {"none": "0_layers", "1": "1_layer", "4": "4_layers", "8": "8_layers", "12": "12_layers"}
TABLE_1 = {
    "8 frames of 32": "uniform_frames",
    "tubelets, no image weights": "from_scratch",
    "tubelets, random filter": "random",
    "tubelets, filter inflation": "filter_inflation",
    "tubelets, central frame": "central_frame",
}
TRANSFER = {
    "random weights, all": "scratch",
    "image ViT, all": "fine_tuned",
    "image ViT, all, smaller rates below": "layer_decay",
    "image ViT frozen, Model 2's temporal encoder": "frozen",
    "image ViT frozen, attentive probe": "attentive",
    "image ViT frozen, linear probe": "linear",
}
TOP1 = "/test/acc_top1"


def accuracies(values: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield the metrics of a record, those by numbers of views too, with their names."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from accuracies(value, f"{name}/{key}")
    elif isinstance(values, float):
        yield name, 100 * values


def recorded() -> dict[str, dict[str, list[float]]]:
    """Return the accuracies over seeds, in percent, by sweep and row, and by metric."""
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted((DOCS / "results").glob("*/*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for part in ("metrics", "metrics_by_views"):
            for name, value in accuracies(record.get(part, {})):
                rows[f"{record['sweep']}/{record['row']}"][name].append(value)
    return rows


def spread(values: list[float]) -> str:
    """Return mean and sample standard deviation as the page writes them."""
    return f"{mean(values):.1f} ± {stdev(values):.1f}"


def cells(label: str) -> list[str]:
    """Return the cells behind a label in the tables of the page."""
    (line,) = re.findall(rf"^ *\| {re.escape(label)} \| (.+) \|$", SECTION, re.MULTILINE)
    return line.split(" | ")


def test_the_tables_are_those_of_the_records() -> None:
    rows = recorded()
    top1 = {row: spread(metrics[TOP1]) for row, metrics in rows.items() if len(metrics[TOP1]) > 1}
    for (label, model), (layers, depth) in zip(TABLE_2.items(), TABLE_3.items(), strict=True):
        wanted = [top1[f"model_variants/{model}"], layers, top1[f"temporal_depth/{depth}"]]
        assert cells(label) == wanted, label
    for label, row in TABLE_1.items():
        metrics = rows[f"input_encoding/{row}"]
        heads = [f"{mean(metrics[f'/test/{head}_acc_top1']):.1f}" for head in ("verb", "noun")]
        assert cells(label) == [top1[f"input_encoding/{row}"], *heads], label
    for label, row in TRANSFER.items():
        assert cells(label) == [top1[f"transfer/{row}_{videos}"] for videos in (96, 300, 996, 3168)], label


def test_accuracies_in_sentences_are_those_of_the_records() -> None:
    spreads = {spread(values) for metrics in recorded().values() for values in metrics.values() if len(values) > 1}
    quoted = re.findall(r"\d+\.\d ± \d+\.\d", SECTION)
    assert len(quoted) > 50
    assert [text for text in quoted if text not in spreads] == []


def test_intervals_in_sentences_are_those_of_the_claims() -> None:
    """A difference may be told the other way round: then its signs, and the ends of its interval, change."""
    pattern = r"([+-]?\d+\.\d) \[(-?\d+\.\d), (-?\d+\.\d)\]"
    page = " ".join((DOCS / "claims.md").read_text(encoding="utf-8").split())
    claims = {tuple(map(float, found)) for found in re.findall(pattern, page)}
    claims |= {(-difference, -high, -low) for difference, low, high in claims}
    quoted = [tuple(map(float, found)) for found in re.findall(pattern, " ".join(SECTION.split()))]
    assert len(quoted) > 10
    assert [interval for interval in quoted if interval not in claims] == []
