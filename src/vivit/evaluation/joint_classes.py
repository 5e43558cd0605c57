"""Combinations of the classes of several heads, such as a noun and a verb: their log-probabilities and numbers."""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor


def joint_log_probs(logits: Sequence[Float[Tensor, "b _"]]) -> Float[Tensor, "b pairs"]:
    """Return log-probabilities of all combinations of classes, the last head fastest: pair = noun * verbs + verb."""
    total = logits[0].log_softmax(1)
    for head in logits[1:]:
        total = (total[:, :, None] + head.log_softmax(1)[:, None, :]).flatten(1)
    return total


def joint_labels(labels: Int[Tensor, "b heads"], num_classes: Sequence[int]) -> Int[Tensor, " b"]:
    """Return the index of each video's combination of classes, in the order of ``joint_log_probs``."""
    index = labels[:, 0]
    for head, size in list(enumerate(num_classes))[1:]:
        index = index * size + labels[:, head]
    return index
