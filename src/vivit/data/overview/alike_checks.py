"""Findings about videos that look alike, by ``alike.csv``: films that are there twice, cameras in several splits."""

from collections.abc import Iterator

import pandas as pd

from vivit.data.overview.findings import Finding
from vivit.data.overview.videos import VideoFacts
from vivit.structures import label_columns, single_label_heads
from vivit.text import count, name_some


def check_alike(facts: VideoFacts) -> Iterator[Finding]:
    """Yield films that are there twice, across splits or with different labels, and cameras across splits."""
    videos = facts.videos[~facts.is_segment & facts.videos["problem"].isna()].drop_duplicates(["split", "path"])
    films = videos[videos["film"] >= 0]
    leaks = _differing(films, "film", films["split"])
    if len(leaks):
        text = f"{count(leaks['film'].nunique(), 'film is', 'films are')} in several splits, as they look: "
        remedy = "keep each in one split: such a test asks for what was trained on"
        text += _examples(leaks, "film", leaks["split"])
        yield Finding("film_in_several_splits", text, remedy, tuple(leaks["path"]))
    for head in single_label_heads(facts.heads):
        labels = pd.Series(facts.labels[films.index, label_columns(facts.heads)[head].start], films.index)
        different = _differing(films, "film", labels)
        if len(different):
            of = "labels" if len(facts.heads) == 1 else f"labels of {head}"
            text = f"{count(different['film'].nunique(), 'film has', 'films have')} different {of}, as they look: "
            text += _examples(different, "film", labels[different.index])
            remedy = "look at them: one label may be wrong"
            yield Finding("film_with_two_labels", text, remedy, tuple(different["path"]))
    alike = videos[(videos["alike"] >= 0) & ~videos["path"].isin(leaks["path"])]
    across = _differing(alike, "alike", alike["split"])
    if len(across):
        number = across["alike"].nunique()
        text = f"{count(number, 'camera or film has', 'cameras or films have')} clips in several splits, as they look: "
        text += _examples(across, "alike", across["split"])
        remedy = "give them one group (a column of the list, or data.dataset.group_before), which splits keep together"
        yield Finding("alike_in_several_splits", text, remedy, tuple(across["path"]))
    rest = films[~films["path"].isin(leaks["path"])]
    rest = rest[rest.groupby("film")["path"].transform("size") > 1]
    if len(rest):
        text = (
            f"{count(rest['film'].nunique(), 'film is', 'films are')} there more than once in one split, as they look: "
        )
        text += _examples(rest, "film", rest["path"])
        yield Finding("film_twice", text, "leave the copies out", tuple(rest["path"]), is_warning=False)


def _differing(videos: pd.DataFrame, column: str, values: "pd.Series[str]") -> pd.DataFrame:
    """Return the videos of the groups by a column that have more than one value."""
    return videos[values.groupby(videos[column]).transform("nunique") > 1] if len(videos) else videos


def _examples(videos: pd.DataFrame, column: str, values: "pd.Series[str]") -> str:
    """Return as text two videos of each of the first groups by a column, which have different values."""
    pairs = []
    for _, group in videos.groupby(column):
        other = group[values[group.index] != values[group.index[0]]]
        pairs.append(f"{group['path'].iloc[0]} = {other['path'].iloc[0]}")
    return name_some(pairs)
