"""Accuracy of the direction of time: a movement told apart from the one that it is when the film runs backwards."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from vivit.wilson import wilson


def direction_accuracies(
    backwards: Mapping[str, Mapping[str, str]],
    heads: Mapping[str, Sequence[str]],
    labels: Int[np.ndarray, "n heads"],
    predicted: Int[np.ndarray, "n heads"],
) -> dict[str, tuple[float, list[float]]]:
    """Return the accuracy of direction of every head that has one, by metric's name, with its 95 % interval (Wilson).

    ``backwards`` is what a clip run backwards is called, by head and class. Of the videos that are called either their
    class or the one that they are backwards, it is the share that are called their class: 0.5 for a network that does
    not see the order of frames. A head without such videos is left out.
    """
    answer = {}
    for column, (head, classes) in enumerate(heads.items()):
        opposite = np.arange(len(classes))
        for name, other in backwards.get(head, {}).items():
            opposite[classes.index(name)] = classes.index(other)
        label, answered = labels[:, column], predicted[:, column]
        has_opposite = opposite[label] != label
        right = int((has_opposite & (answered == label)).sum())
        turned = int((has_opposite & (answered == opposite[label])).sum())
        if right + turned:
            name = f"{head}_acc_direction" if len(heads) > 1 else "acc_direction"
            answer[name] = right / (right + turned), list(wilson(right, right + turned))
    return answer
