"""The task of `features.py dense=true`: features along complete videos, in the files that temporal detection reads."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vivit.data import VideoDataModule
from vivit.data.datasets import SPLITS, Split
from vivit.data.sliding_window import SlidingVideo
from vivit.errors import ConfigError
from vivit.inference.dense_features import DenseEncoder, index_grid, index_pattern
from vivit.io import atomic_write, write_json
from vivit.progress_bars import ProgressBar
from vivit.structures import Video, single_label_heads

LIST = "{}.json"
"""The file of a split: what its features are of, and its videos with their labelled segments."""


def write_dense_features(
    data: VideoDataModule, encoder: DenseEncoder, splits: Sequence[Split], target: Path, described: Mapping[str, Any]
) -> dict[str, Path]:
    """Write ``<target>/<video>.npy``, float32 [t, d], for every file of some splits, and a list of each split.

    Files that are there are not written again: a command that was ended goes on. Raises ConfigError where they are of
    other features, and VideoError.
    """
    pattern, step = index_pattern(encoder.network)
    views = encoder.preprocessing.views
    rate = {"fps": views.fps} if views.fps is not None else {"stride": views.stride}
    features = {**described, **rate, "index_frames": len(pattern), "index_step": step}
    target.mkdir(parents=True, exist_ok=True)
    lists: dict[str, Path] = {split: target / LIST.format(split) for split in splits}
    for split in SPLITS:
        _check_same(target / LIST.format(split), features)
    _check_names(data, splits)
    for split in splits:
        write_json(lists[split], {"features": features, "database": {}})
        database: dict[str, Any] = {}
        for path, rows in ProgressBar(_rows_by_file(data, split).items(), desc=split, unit=" videos"):
            name = video_name(path, str(data.dataset.root))
            database[name] = {"subset": split} | _write_video(path, target / f"{name}.npy", encoder)
            database[name]["annotations"] = _annotations(rows, data, database[name]["duration"])
        write_json(lists[split], {"features": features, "database": database})
    return lists


def _check_names(data: VideoDataModule, splits: Sequence[Split]) -> None:
    """Raise ConfigError where two files have one name, and so one file of features."""
    names: dict[str, str] = {}
    for split in splits:
        for path in _rows_by_file(data, split):
            if (other := names.setdefault(video_name(path, str(data.dataset.root)), path)) != path:
                problem = f"{other} and {path} are both called {video_name(path, str(data.dataset.root))}"
                raise ConfigError("dense", True, problem, "rename one of them")


def video_name(path: str, root: str) -> str:
    """Return the name of a video: its path from the root of the data set, without suffix."""
    file = Path(path)
    return (file.relative_to(root) if file.is_relative_to(root) else Path(file.name)).with_suffix("").as_posix()


def _rows_by_file(data: VideoDataModule, split: Split) -> dict[str, list[Video]]:
    rows: dict[str, list[Video]] = defaultdict(list)
    for video in data.dataset.videos(split):
        rows[video.path].append(video)
    return rows


def _write_video(path: str, target: Path, encoder: DenseEncoder) -> dict[str, Any]:
    """Write the features of a file unless they are there; return its length, rate and number of temporal indices."""
    video = SlidingVideo(path, encoder.preprocessing.views)
    grid = index_grid(video, encoder.network)
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target) as partial, partial.open("wb") as file:
            np.save(file, encoder(video, grid))
    seconds = video.times.end
    return {"duration": seconds, "fps": video.shape.frames / seconds, "indices": len(grid.frames)}


def _annotations(rows: Sequence[Video], data: VideoDataModule, seconds: float) -> list[dict[str, Any]]:
    """Return the labelled segments of a file: of each row, and each head of which a video has one class."""
    heads = {head: (at, names) for at, (head, names) in enumerate(single_label_heads(data.heads).items())}
    return [
        {
            "segment": [row.start or 0.0, seconds if row.end is None else row.end],
            **({"head": head} if len(heads) > 1 else {}),
            "label": names[row.labels[at]],
            "label_id": row.labels[at],
        }
        for row in rows
        for head, (at, names) in heads.items()
        if row.labels[at] >= 0
    ]


def _check_same(file: Path, features: Mapping[str, Any]) -> None:
    """Raise ConfigError where a list is of other features than these."""
    if not file.is_file():
        return
    written, features = json.loads(file.read_text(encoding="utf-8"))["features"], json.loads(json.dumps(features))
    if different := sorted(key for key in {*written, *features} if written.get(key) != features.get(key)):
        problem = f"is of other features ({', '.join(different)})"
        raise ConfigError("target", file, problem, "set another target, or delete the folder")
