"""What the metadata of the files alone tell of the labels: a network may learn that in place of what is to be seen."""

import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Int
from scipy.stats import binomtest
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.tree import DecisionTreeClassifier

from vivit.data.overview.findings import Finding
from vivit.data.overview.videos import VideoFacts
from vivit.structures import label_columns, single_label_heads

SIGNS = {
    "length": ["length"],
    "picture size": ["width", "height", "rotation"],
    "frame rate": ["fps", "irregular"],
    "codec": ["codec"],
    "sound": ["sound"],
}
"""Columns of the index by what they are called."""
FOLDS, LEAF = 5, 5
"""Parts of the cross-validation, and the fewest videos of a leaf of the tree."""
MOST_VIDEOS = 3000
"""More are not needed to see it."""
LEVEL, LEAST_GAIN = 0.001, 0.05
"""Probability by which the majority's accuracy may reach the tree's, and by how much it has to be better."""


def check_metadata(facts: VideoFacts) -> Iterator[Finding]:
    """Yield a finding for each head whose classes a decision tree tells by metadata better than the majority does.

    The accuracy is that of five folds in which no group is on both sides, of the training and validation videos.
    """
    videos = facts.examined
    videos = videos[videos["split"] != "test"]
    if len(videos) > MOST_VIDEOS:
        videos = videos.sample(MOST_VIDEOS, random_state=0)
    for head in single_label_heads(facts.heads):
        labels = facts.labels[videos.index, label_columns(facts.heads)[head].start]
        frequent = np.isin(labels, np.flatnonzero(np.bincount(labels[labels >= 0], minlength=1) >= FOLDS))
        used, classes = videos[frequent], labels[frequent]
        if used["group"].nunique() < 2 * FOLDS or len(set(classes)) < 2:
            continue
        majority = np.bincount(classes).max() / len(classes)
        accuracy = _accuracy(used, classes, list(SIGNS))
        test = binomtest(round(accuracy * len(classes)), len(classes), majority, alternative="greater")
        if accuracy > majority + LEAST_GAIN and test.pvalue < LEVEL:
            single = {sign: _accuracy(used, classes, [sign]) for sign in SIGNS}
            best = max(single, key=lambda sign: single[sign])
            text = (
                f"metadata alone tell {head}: length, picture size, rate, codec and sound are right for "
                f"{100 * accuracy:.0f} % of the videos, the commonest class for {100 * majority:.0f} % "
                f"(by {best} alone {100 * single[best]:.0f} %)"
            )
            remedy = "a network may see that too: make files alike (length, size, rate), or mix sources within classes"
            yield Finding("metadata_tell", text, remedy)


def _accuracy(videos: pd.DataFrame, classes: Int[np.ndarray, " n"], signs: list[str]) -> float:
    """Return the share of the videos whose class a tree tells by some signs, in folds by group."""
    columns = videos[[column for sign in signs for column in SIGNS[sign]]].copy()
    if "codec" in columns:
        columns["codec"] = columns["codec"].astype("category").cat.codes
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    tree = DecisionTreeClassifier(min_samples_leaf=LEAF, max_depth=8, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer groups than folds
        numbers = columns.astype(float).fillna(-1.0).to_numpy()
        predicted = cross_val_predict(tree, numbers, classes, groups=videos["group"].to_numpy(), cv=folds)
    return float((predicted == classes).mean())
