"""Probes: small classifiers on frozen features, chosen on validation videos and scored on others.

k nearest neighbours, logistic regression, a linear layer, and an attentive probe: a linear layer on what one learned
query reads from the features of all temporal indices. The last two are trained in a bank: every
rate and decay at once, over the same batches.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.nn import functional as F

from vivit.models.factorised_encoder import AttentivePool

EPOCHS, BATCH = 60, 64
HEADS = 4
"""Of the attentive probe; a dimension that is no multiple of it has one."""
TEMPERATURE = 0.07
"""Of the votes of neighbours, which are weighted by their cosine, as DINO's are."""


class LabelledFeatures(NamedTuple):
    """Features and labels of some videos, for one head."""

    frames: Float[np.ndarray, "n s d"]
    """Of every temporal index of every view."""
    video: Float[np.ndarray, "n d"]
    labels: Int[np.ndarray, " n"]

    def take(self, rows: Int[np.ndarray, " m"]) -> "LabelledFeatures":
        """Return those of some rows."""
        return LabelledFeatures(*(column[rows] for column in self))


Setting = Mapping[str, float | int]
Fit = Callable[[LabelledFeatures, LabelledFeatures, Sequence[Setting], int, int], Float[np.ndarray, "settings n k"]]
"""Trains with every setting; returns the scores of other videos: (train, others, settings, classes, seed)."""


@dataclass(frozen=True)
class Probe:
    """A kind of probe, and the settings among which validation videos choose; of equals the first."""

    fit: Fit
    settings: Sequence[Setting]
    gives_logits: bool = False
    """Whether its scores are logits; otherwise they are probabilities."""


class ProbeResult(NamedTuple):
    """What a probe answers for test videos, the setting that was chosen, and its accuracy on validation videos."""

    probabilities: Float[np.ndarray, "n k"]
    setting: Setting
    val_accuracy: float

    @property
    def predicted(self) -> Int[np.ndarray, " n"]:
        """The most probable class of each video."""
        return self.probabilities.argmax(1)


def run_probe(
    probe: Probe,
    train: LabelledFeatures,
    val: LabelledFeatures,
    test: LabelledFeatures,
    *,
    classes: int,
    seed: int = 0,
) -> ProbeResult:
    """Choose a setting on validation videos, train with it on these too, and predict the test videos."""
    scores = probe.fit(train, val, probe.settings, classes, seed)
    accuracies = (scores.argmax(2) == val.labels).mean(1)
    best = int(accuracies.argmax())
    both = LabelledFeatures(*(np.concatenate(pair) for pair in zip(train, val, strict=True)))
    (final,) = probe.fit(both, test, [probe.settings[best]], classes, seed)
    probabilities = softmax(final, axis=1) if probe.gives_logits else final
    return ProbeResult(probabilities, probe.settings[best], float(accuracies[best]))


def fit_neighbours(
    train: LabelledFeatures, others: LabelledFeatures, settings: Sequence[Setting], classes: int, seed: int
) -> Float[np.ndarray, "settings n k"]:
    """Return the shares of the votes of the ``k`` nearest training videos by cosine."""

    def weights(distances: np.ndarray) -> np.ndarray:
        return np.exp((1 - distances) / TEMPERATURE)

    numbers = [min(int(setting["k"]), len(train.labels)) for setting in settings]
    models = [KNeighborsClassifier(number, metric="cosine", weights=weights) for number in numbers]
    return _fit_models(models, train, others, classes)


def fit_logistic(
    train: LabelledFeatures, others: LabelledFeatures, settings: Sequence[Setting], classes: int, seed: int
) -> Float[np.ndarray, "settings n k"]:
    """Return the probabilities of a logistic regression on standardised features; ``c`` is its inverse penalty."""
    regressions = [LogisticRegression(C=setting["c"], max_iter=3000) for setting in settings]
    models = [make_pipeline(StandardScaler(), regression) for regression in regressions]
    return _fit_models(models, train, others, classes)


def _fit_models(
    models: Sequence[Any], train: LabelledFeatures, others: LabelledFeatures, classes: int
) -> Float[np.ndarray, "settings n k"]:
    """Return the probabilities by models of scikit-learn, zero for classes that no training video has."""
    scores = np.zeros((len(models), len(others.labels), classes), np.float32)
    for row, model in enumerate(models):
        model.fit(train.video, train.labels)
        scores[row][:, model.classes_] = model.predict_proba(others.video)
    return scores


def _attentive_probe(dim: int, classes: int) -> nn.Module:
    return nn.Sequential(AttentivePool(dim, HEADS), nn.Linear(dim, classes))


def fit_linear(
    train: LabelledFeatures, others: LabelledFeatures, settings: Sequence[Setting], classes: int, seed: int
) -> Float[np.ndarray, "settings n k"]:
    """Return the logits of linear layers on the standardised features of clips."""
    return _fit_bank(nn.Linear, train.video, others.video, train.labels, settings, classes, seed)


def fit_attentive(
    train: LabelledFeatures, others: LabelledFeatures, settings: Sequence[Setting], classes: int, seed: int
) -> Float[np.ndarray, "settings n k"]:
    """Return the logits of attentive probes on the standardised features of all temporal indices."""
    return _fit_bank(_attentive_probe, train.frames, others.frames, train.labels, settings, classes, seed)


def _fit_bank(
    build: Callable[[int, int], nn.Module],
    inputs: Float[np.ndarray, "n *s d"],
    others: Float[np.ndarray, "m *s d"],
    labels: Int[np.ndarray, " n"],
    settings: Sequence[Setting],
    classes: int,
    seed: int,
) -> Float[np.ndarray, "settings m k"]:
    """Train a module for every setting, all from the same start and on the same batches; return the logits of others.

    AdamW with a cosine to zero; ``lr`` and ``weight_decay`` are the setting's.
    """
    axes = tuple(range(inputs.ndim - 1))
    mean, std = (torch.from_numpy(part) for part in (inputs.mean(axes), inputs.std(axes) + 1e-6))
    x, y = (torch.from_numpy(inputs.copy()) - mean) / std, torch.from_numpy(labels.copy()).long()
    bank: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        for _ in settings:
            torch.manual_seed(seed)
            bank.append(build(x.shape[-1], classes))
        generator = torch.Generator().manual_seed(seed)
        steps = EPOCHS * -(-len(x) // BATCH)
        optimizers: list[Any] = []
        for module, setting in zip(bank, settings, strict=True):
            optimizer = torch.optim.AdamW(module.parameters(), lr=setting["lr"], weight_decay=setting["weight_decay"])
            optimizers.append((optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)))
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(x), generator=generator).split(BATCH):
                for module, (optimizer, schedule) in zip(bank, optimizers, strict=True):
                    optimizer.zero_grad()
                    F.cross_entropy(module(x[rows]), y[rows]).backward()
                    optimizer.step()
                    schedule.step()
    with torch.inference_mode():
        return torch.stack([module.eval()((torch.from_numpy(others.copy()) - mean) / std) for module in bank]).numpy()


RATES = [{"lr": lr, "weight_decay": decay} for lr, decay in product((1e-4, 1e-3, 1e-2), (1e-1, 1e-3))]
PROBES: Mapping[str, Probe] = {
    "knn": Probe(fit_neighbours, [{"k": k} for k in (1, 5, 10, 20, 50)]),
    "logistic": Probe(fit_logistic, [{"c": c} for c in (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)]),
    "linear": Probe(fit_linear, RATES, gives_logits=True),
    "attentive": Probe(fit_attentive, RATES, gives_logits=True),
}
"""All probes by name."""
