"""Findings about splits, classes and labels."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from vivit.data.overview.findings import ClipPlan, Finding
from vivit.data.overview.videos import VideoFacts
from vivit.structures import label_columns, single_label_heads
from vivit.text import count, name_some

FEW_VIDEOS = 1000
"""Training videos below which probes on frozen features are the better start."""
FEW_OF_CLASS = 5
"""Training videos of a class below which nothing much can be learnt of it."""
UNBALANCED = 3
"""How many times as many videos the commonest class has as the rarest, from where on it matters."""
MISSPELT, MOST_RARE = 0.2, 200
"""Share of the videos of another class below which a class is rare, and how many of those are compared."""
MOST_NAMES = 5_000_000
"""Videos times classes, beyond which file names are not read."""
NAMED = 0.8
"""Share of the videos whose file names say their class, from where on another name is suspicious."""


def check_labels(facts: VideoFacts, plan: ClipPlan) -> Iterator[Finding]:
    """Yield the findings about splits, classes and labels."""
    yield from _splits(facts, plan)
    for head in facts.heads:
        yield from _classes(facts, head, plan)
    yield from _repeated(facts)
    yield from _groups_in_several_splits(facts)
    yield from _names(facts)


def _splits(facts: VideoFacts, plan: ClipPlan) -> Iterator[Finding]:
    if "train" not in facts.splits:  # which is scored, and nothing is trained
        return
    missing = [split for split in ("val", "test") if split not in facts.splits]
    if "val" in missing:
        text = "there are no validation videos, by which the best checkpoint is chosen"
        yield Finding(
            "no_val",
            text,
            "set data.val_share=0.2, as experiment=finetune does, which holds a fifth of the training videos out",
        )
    elif missing:
        text = "there are no test videos: those of validation are scored, which choose the checkpoint too"
        yield Finding(
            "no_test", text, "list some that nothing was chosen by, for a number to publish", is_warning=False
        )
    videos = int((facts.videos["split"] == "train").sum())
    if plan.whole_network and 0 < videos < FEW_VIDEOS:
        text = (
            f"there {'is' if videos == 1 else 'are'} only {count(videos, 'training video')} to train a whole network on"
        )
        remedy = "measure probes on frozen features first (features.py), or set model.frozen=spatial"
        yield Finding("few_videos", text, remedy, is_warning=False)


def _classes(facts: VideoFacts, head: str, plan: ClipPlan) -> Iterator[Finding]:
    """Yield what is wrong with the numbers of videos of the classes of a head."""
    counts = facts.class_counts(head)
    of = "" if len(facts.heads) == 1 else f" of {head}"
    single = head in single_label_heads(facts.heads)
    if single and len(counts) == 1:
        text = f"there is one class{of} only, {counts.index[0]}, and a classifier tells classes apart"
        yield Finding("one_class", text, "set data.root to the folder that has a folder for each class, or list others")
        return
    train = counts.get("train")
    if train is not None:
        yield from _misspelt(train, of)
        few = train[train < FEW_OF_CLASS]
        if len(few):
            names = name_some([f"{name} ({number})" for name, number in few.items()])
            have = "has" if len(few) == 1 else "have"
            text = (
                f"{count(len(few), 'class', 'classes')}{of} {have} fewer than {FEW_OF_CLASS} training videos: {names}"
            )
            yield Finding("few_of_class", text, "add videos, or leave them out")
        present = train[train > 0]
        if (
            single
            and len(present)
            and present.max() >= UNBALANCED * present.min()
            and not (plan.balance or plan.weighted)
        ):
            text = (
                f"classes{of} are unbalanced: {present.max():,} training videos of {present.idxmax()}, "
                f"{present.min():,} of {present.idxmin()}"
            )
            remedy = "set data.balance=0.5, or loss.class_weights=effective; look at the accuracy of each class"
            yield Finding("unbalanced", text, remedy)
    for split in counts.columns.drop("train", errors="ignore"):
        absent = counts.index[counts[split] == 0]
        if len(absent):
            text = f"{split} has no video of {count(len(absent), 'class', 'classes')}{of}: {name_some(absent)}"
            yield Finding("class_not_scored", text, "add some, for their accuracy is unknown")


def _misspelt(train: "pd.Series[int]", of: str) -> Iterator[Finding]:
    """Yield rare classes whose names are a letter away from that of a frequent one."""
    rare = train[(train > 0) & (train <= MISSPELT * train.max())]
    pairs = []
    for name in map(str, rare.index[:MOST_RARE]):
        frequent = train[train >= rare[name] / MISSPELT]
        near = next((str(other) for other in frequent.index if is_misspelt(name, str(other))), None)
        if near is not None:
            pairs.append(f"{name} ({rare[name]}) beside {near} ({train[near]:,})")
    if pairs:
        have = "class has a name" if len(pairs) == 1 else "classes have names"
        text = f"{len(pairs)} rare {have}{of} that may be {'another' if len(pairs) == 1 else 'others'} misspelt: "
        yield Finding("misspelt_class", text + name_some(pairs), "correct the spelling where it is one class")


def is_misspelt(name: str, other: str) -> bool:
    """Return whether two names differ by one letter, or by two neighbours that changed places; digits may not differ.

    Names of fewer than four letters are never taken for others.
    """
    name, other = name.casefold(), other.casefold()
    if min(len(name), len(other)) < 4 or re.findall(r"\d+", name) != re.findall(r"\d+", other):
        return False
    first = next((at for at, (a, b) in enumerate(zip(name, other, strict=False)) if a != b), min(len(name), len(other)))
    a, b = name[first:], other[first:]
    return a != b and (a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[1::-1] == b[:2] and a[2:] == b[2:]))


def _repeated(facts: VideoFacts) -> Iterator[Finding]:
    """Yield videos that are listed more than once; segments of one file may be."""
    files = facts.videos[~facts.is_segment]
    if files["path"].is_unique:
        return
    splits = files.groupby("path")["split"].nunique()
    shared = tuple(splits.index[splits > 1])
    if shared:
        text = f"{count(len(shared), 'video is', 'videos are')} listed in several splits: {name_some(shared)}"
        yield Finding("in_several_splits", text, "list each in one: such a test asks for what was trained on", shared)
    twice = files[files.duplicated(["split", "path"], keep=False)]
    labels = pd.Series([tuple(row) for row in facts.labels[twice.index]], index=twice["path"], dtype=object)
    contradict = labels.groupby(level=0).nunique()
    both = tuple(contradict.index[contradict > 1])
    if both:
        text = f"{count(len(both), 'video is', 'videos are')} listed with different labels: {name_some(both)}"
        remedy = "list each once; for several labels a video see data.dataset.separator"
        yield Finding("contradicting_labels", text, remedy, both)
    same = tuple(contradict.index[contradict == 1])
    if same:
        text = f"{count(len(same), 'video is', 'videos are')} listed twice in one split: {name_some(same)}"
        yield Finding("listed_twice", text, "list each once: it counts twice", same)


def _groups_in_several_splits(facts: VideoFacts) -> Iterator[Finding]:
    named = facts.videos[facts.videos["group"] != facts.videos["path"]]
    if named.empty:
        return
    splits = named.groupby("group")["split"].nunique()
    shared = list(splits.index[splits > 1])
    if shared:
        paths = tuple(named.loc[named["group"].isin(shared), "path"])
        text = f"{count(len(shared), 'group has', 'groups have')} videos in several splits: {name_some(shared)}"
        yield Finding("group_in_several_splits", text, "put those of a group into one split", paths)


def _names(facts: VideoFacts) -> Iterator[Finding]:
    """Yield videos whose file names say another class than their label, where most names say the class."""
    for head, names in single_label_heads(facts.heads).items():
        if len(names) * len(facts.videos) > MOST_NAMES:
            continue
        labels = facts.labels[:, label_columns(facts.heads)[head].start]
        stems = facts.videos["path"].str.rpartition("/")[2].str.rpartition(".")[0].str.casefold()
        in_name = _class_in_name(stems, names)
        labelled, right = labels >= 0, in_name == labels
        wrong = labelled & (in_name >= 0) & ~right
        if right.sum() >= NAMED * labelled.sum() and wrong.any():
            paths = tuple(facts.videos.loc[wrong, "path"])
            listed = [f"{path} is listed as {names[label]}" for path, label in zip(paths, labels[wrong], strict=True)]
            text = f"{count(len(paths), 'file is', 'files are')} named like another class: {name_some(listed)}"
            yield Finding("named_like_another_class", text, "look at them: the label may be wrong", paths)


def _class_in_name(stems: "pd.Series[str]", names: Sequence[str]) -> np.ndarray:
    """Return the number of the one class whose name each text has, between what are no letters; -1: none or several."""
    in_name, hits = np.full(len(stems), -1), np.zeros(len(stems), int)
    for number, name in enumerate(names):
        has = stems.str.contains(rf"(?<![^\W\d_]){re.escape(name.casefold())}(?![^\W\d_])", regex=True).to_numpy(bool)
        in_name[has] = number
        hits += has
    in_name[hits != 1] = -1
    return in_name
