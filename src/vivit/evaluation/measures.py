"""From a file of scores to accuracies, their uncertainty, and who is taken for whom."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int

from vivit.evaluation.averages import Average, average_named
from vivit.evaluation.intervals import of_mean, wilson
from vivit.evaluation.metrics import no_labels
from vivit.evaluation.scores_reader import ScoresFile
from vivit.evaluation.standings import ACTION, standings


@dataclass(frozen=True)
class Measured:
    """What a file of scores gives. Accuracies are fractions."""

    names: list[str | None]
    """What the data set calls the videos."""
    labels: Int[np.ndarray, "n heads"]
    said: Int[np.ndarray, "n heads"]
    """The class of every head that each video was said to be."""
    standings: Mapping[str, Int[np.ndarray, " n"]]
    """Of every head and of the action: how many classes stand before the right one."""
    metrics: dict[str, float]
    by_views: dict[str, dict[str, float]]
    """The same for every choice of views."""
    interval: dict[str, list[float]]
    """For every metric the 95 % interval that so many videos leave it."""


def measure(file: ScoresFile, *, views: str | None = None, average: str | None = None) -> Measured:
    """Compute all metrics of a file, with the views and the rule that it names unless others are given.

    Raises ``ValueError`` where the file has no such views, or where nobody tells a video's label.
    """
    about = file.about
    views, rule = views or about.views, average_named(average or about.average)
    file.chosen(views)
    if unknown := file.unlabelled():
        raise ValueError(no_labels(unknown, f"the videos in {file.file}"))
    names, labels, said, places = _gathered(file, views, rule)
    right = {name: hits(of, about.heads) for name, of in places.items()}
    by_views = {name: rates(of, labels) for name, of in right.items()}
    interval = intervals(right[views], labels)
    return Measured(names, labels, said, places[views], by_views[views], by_views, interval)


def _gathered(
    file: ScoresFile, views: str, rule: Average
) -> tuple[list[str | None], np.ndarray, np.ndarray, dict[str, dict[str, np.ndarray]]]:
    """Go through the file once: names, labels, first choices, and standings for every choice of views."""
    about = file.about
    sizes = [len(classes) for classes in about.heads.values()]
    found: dict[str, dict[str, list]] = {name: defaultdict(list) for name in about.chosen}
    names, labels, said = [], [], []
    for part in file.parts():
        names += part.names
        labels.append(part.labels)
        for name, chosen in about.chosen.items():
            scores = rule(part.views[:, list(chosen)].double(), sizes)
            for what, of in standings(scores, torch.from_numpy(part.labels).long(), about.heads).items():
                found[name][what].append(of)
            if name == views:
                said.append(torch.stack([head.argmax(1) for head in scores.split(sizes, 1)], 1).numpy())
    everything = {name: {what: np.concatenate(of) for what, of in by.items()} for name, by in found.items()}
    return names, np.concatenate(labels), np.concatenate(said), everything


def hits(
    places: Mapping[str, Int[np.ndarray, " n"]], heads: Mapping[str, Sequence[str]]
) -> dict[str, Bool[np.ndarray, " n"]]:
    """Say, under the names of ``Accuracies``, which videos are right; a top-5 of five classes or fewer is left out."""
    found: dict[str, np.ndarray] = {}
    for what, of in places.items():
        prefix = f"{what}_" if len(heads) > 1 else ""
        found[f"{prefix}acc_top1"] = of < 1
        if what == ACTION or len(heads[what]) > 5:
            found[f"{prefix}acc_top5"] = of < 5
    return found | ({"acc_top1": found[f"{ACTION}_acc_top1"]} if len(heads) > 1 else {})


def rates(right: Mapping[str, Bool[np.ndarray, " n"]], labels: Int[np.ndarray, "n heads"]) -> dict[str, float]:
    """Share of right videos and, of a single head, the mean over those classes that occur."""
    shares = {name: float(of.mean()) for name, of in right.items()}
    if labels.shape[1] == 1:
        good, total = by_class(right["acc_top1"], labels[:, 0])
        shares["acc_mean_class"] = float((good / total).mean())
    return shares


def intervals(
    right: Mapping[str, Bool[np.ndarray, " n"]], labels: Int[np.ndarray, "n heads"]
) -> dict[str, list[float]]:
    """Return the 95 % interval of every rate."""
    found = {name: list(wilson(int(of.sum()), len(of))) for name, of in right.items()}
    if labels.shape[1] == 1:
        found["acc_mean_class"] = list(of_mean(*by_class(right["acc_top1"], labels[:, 0])))
    return found


def by_class(
    right: Bool[np.ndarray, " n"], labels: Int[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Count the right and all videos of every class that occurs."""
    _, classes = np.unique(labels, return_inverse=True)
    return np.bincount(classes, right).astype(np.int64), np.bincount(classes)
