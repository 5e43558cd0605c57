"""Class weights and logit adjustment: a loss that unbalanced classes do not decide by their number."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vivit.errors import ConfigError

KEY = "loss.class_weights"
Numbers: TypeAlias = Sequence[int | float]
ClassWeights: TypeAlias = str | Numbers | Mapping[str, Numbers] | None
"""A scheme, "inverse" or "effective"; or a number for each class, of several heads by head; None: no weights."""


def inverse_weights(counts: Int[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Return N / (K n) for each of the K classes that occur, with its n of N videos; 0 for the others.

    The mean over videos is 1.
    """
    occurs = counts > 0
    return np.where(occurs, counts.sum() / (occurs.sum() * counts.clip(min=1)), 0.0)


def effective_weights(counts: Int[np.ndarray, " k"], beta: float) -> Float[np.ndarray, " k"]:
    """Return weights by the effective number of videos, (1 - beta) / (1 - beta^n), 0 for classes that do not occur.

    The mean over classes that occur is 1 (Cui et al. 2019).
    """
    occurs = counts > 0
    weights = np.where(occurs, (1 - beta) / (1 - beta ** counts.clip(min=1)), 0.0)
    return weights * occurs.sum() / weights.sum()


def log_priors(counts: Int[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """Return the logarithm of each class's share of the videos; a class that does not occur counts as one video."""
    seen = counts.clip(min=1)
    return np.log(seen / seen.sum())


class ClassBalance(nn.Module):
    """Weights of classes, and what is added to their logits in training, of all heads behind one another.

    They move with the network and are in no checkpoint: a resumed run computes them again.
    """

    weights: Tensor | None
    offsets: Tensor | None

    def __init__(
        self, weights: Float[np.ndarray, " k"] | None = None, offsets: Float[np.ndarray, " k"] | None = None
    ) -> None:
        super().__init__()
        for name, numbers in (("weights", weights), ("offsets", offsets)):
            tensor = None if numbers is None else torch.tensor(numbers, dtype=torch.float32)
            self.register_buffer(name, tensor, persistent=False)


def class_balance(
    weights: ClassWeights,
    beta: float,
    adjustment: float,
    counts: Mapping[str, Int[np.ndarray, " _k"]],
    sizes: Mapping[str, int] | None = None,
) -> ClassBalance | None:
    """Return the balance of heads with so many training videos of each class; None where nothing is balanced.

    ``adjustment`` is the temperature of logit adjustment (Menon et al. 2021): the logarithm of a class's share, times
    it, is added to the class's logit. ``sizes`` is the number of classes of every head, by default those with counts;
    the others, which are multi-label, have weights of 1 and nothing added. Raises ConfigError for weights that are not
    one for each class, and where no head has counts.
    """
    if weights is None and not adjustment:
        return None
    if not counts:
        key, value, none = ("loss.logit_adjustment", adjustment, 0) if weights is None else (KEY, weights, "null")
        problem = "is for heads of which a video has one class, and there is none"
        raise ConfigError(key, value, problem, f"set {none}")
    sizes = sizes or {head: len(each) for head, each in counts.items()}
    of_heads = {} if weights is None else _weights_of_heads(weights, beta, counts)
    offsets = {head: adjustment * log_priors(each) for head, each in counts.items()}
    return ClassBalance(
        np.concatenate([of_heads.get(head, np.ones(k)) for head, k in sizes.items()]) if of_heads else None,
        np.concatenate([offsets.get(head, np.zeros(k)) for head, k in sizes.items()]) if adjustment else None,
    )


def _weights_of_heads(
    weights: str | Numbers | Mapping[str, Numbers],
    beta: float,
    counts: Mapping[str, Int[np.ndarray, " _k"]],
) -> dict[str, Float[np.ndarray, " _k"]]:
    if weights == "inverse":
        return {head: inverse_weights(each) for head, each in counts.items()}
    if weights == "effective":
        return {head: effective_weights(each, beta) for head, each in counts.items()}
    by_head = weights if isinstance(weights, Mapping) else {next(iter(counts)): weights}
    sizes = ", ".join(f"{len(each)} of {head}" for head, each in counts.items())
    if set(by_head) != set(counts) or any(len(by_head[head]) != len(each) for head, each in counts.items()):
        problem = f"are not one number for each class ({sizes})"
        raise ConfigError(KEY, weights, problem, "set inverse, effective, or as many numbers, of several heads by head")
    return {head: np.array([float(number) for number in by_head[head]]) for head in counts}
