"""The published data sets in miniature: their annotation files and folders, around a few videos that are at hand."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

SPLITS: Mapping[str, range] = {"train": range(6), "val": range(6, 9)}
"""Videos of each split; none has a published test split with labels."""
CLASSES = {"moments": 339, "ssv2": 174}
EPIC = ["participant_id", "video_id", "narration_id", "start_timestamp", "stop_timestamp", "noun_class", "verb_class"]


def write_csv(file: Path, rows: Iterable[Sequence[object]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="") as text:
        csv.writer(text).writerows(rows)


def place(video: Path, at: Path) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    at.symlink_to(video)


def kinetics(root: Path, videos: Sequence[Path]) -> None:
    """Two classes; the files are those of the common copies of Kinetics."""
    for split, rows in SPLITS.items():
        labels = {row: ("riding a bike", "zumba")[row % 2] for row in rows}
        lines = [(label, f"id{row}", 3, 13, split) for row, label in labels.items()]
        write_csv(
            root / f"annotations/{split}.csv", [("label", "youtube_id", "time_start", "time_end", "split"), *lines]
        )
        for row, label in labels.items():
            place(videos[row], root / split / label.replace(" ", "_") / f"id{row}_000003_000013.mp4")


def moments(root: Path, videos: Sequence[Path]) -> None:
    """All of version 1's classes, of which three occur."""
    write_csv(root / "moments_categories.txt", [(f"class{number}", number) for number in range(CLASSES["moments"])])
    for split, name in {"train": "training", "val": "validation"}.items():
        paths = [f"class{row % 3}/{row}.mp4" for row in SPLITS[split]]
        write_csv(root / f"{name}Set.csv", [(path, path.split("/")[0], 3, 0) for path in paths])
        for row, path in zip(SPLITS[split], paths, strict=True):
            place(videos[row], root / name / path)


def something(root: Path, videos: Sequence[Path]) -> None:
    """All classes, the pairs that name left and right among them."""
    names = [
        *(f"Pulling something from {way}" for way in ("left to right", "right to left")),
        *(f"Pushing something from {way}" for way in ("left to right", "right to left")),
        *(f"Turning the camera {way} while filming something" for way in ("left", "right")),
    ]
    names += [f"Doing {number} with something" for number in range(CLASSES["ssv2"] - len(names))]
    labels = root / "labels"
    labels.mkdir(parents=True)
    (labels / "labels.json").write_text(json.dumps({name: str(number) for number, name in enumerate(names)}))
    for split, name in {"train": "train", "val": "validation"}.items():
        entries = [{"id": str(row), "template": names[row]} for row in SPLITS[split]]
        (labels / f"{name}.json").write_text(json.dumps(entries))
        for row in SPLITS[split]:
            place(videos[row], root / "20bn-something-something-v2" / f"{row}.webm")


def epic_kitchens(root: Path, videos: Sequence[Path]) -> None:
    """All nouns and verbs; a segment is the first half second of a video of its own; nobody trains with P02."""
    annotations = root / "annotations"
    for what, count in (("noun", 300), ("verb", 97)):
        keys = [(number, f"{what}{number}") for number in range(count)]
        write_csv(annotations / f"EPIC_100_{what}_classes.csv", [("id", "key"), *keys])
        write_csv(annotations / f"EPIC_100_tail_{what}s.csv", [(what,), (count - 60,), (count - 25,)])
    write_csv(annotations / "EPIC_100_unseen_participant_ids_validation.csv", [("participant_id",), ("P02",)])
    for (split, name), who in zip({"train": "train", "val": "validation"}.items(), ("P01", "P02"), strict=True):
        times = ("00:00:00.00", "00:00:00.50")
        segments = [(who, f"{who}_{row:02}", f"{who}_{row:02}_0", *times, 30 * row, 9 * row) for row in SPLITS[split]]
        write_csv(annotations / f"EPIC_100_{name}.csv", [EPIC, *segments])
        for row in SPLITS[split]:
            place(videos[row], root / who / "videos" / f"{who}_{row:02}.MP4")


DATA_SETS = {"kinetics": kinetics, "moments": moments, "ssv2": something, "epic": epic_kitchens}
"""By the first word of an experiment's name; Kinetics goes by k and its number of classes there."""
