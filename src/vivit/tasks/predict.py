"""The task of `predict.py`."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Column, Table

from vivit.data.find_videos import find_videos
from vivit.data.readers.video_error import VideoError
from vivit.data.views import format_views
from vivit.evaluation import TopK
from vivit.inference import HEAD_FUSIONS, plot_timeline
from vivit.io import write_json
from vivit.launch import Job
from vivit.run_folder import provenance
from vivit.tasks.build import check_keys
from vivit.tasks.classifier import Classifier, timeline_rows
from vivit.tasks.explain import explained
from vivit.text import one_line

log = logging.getLogger(__name__)

PREDICT_KEYS = (
    *("ckpt_path", "video", "top", "every", "explain", "heads", "skip_bad", "batch_size", "workers", "device"),
    *("views", "resampling", "paths"),
)

LONGEST = 200
"""Bytes of a video's name in that of a folder; disks take 255 with what is put before it."""
SHOWN = 50
"""Videos in the table on the terminal, at most; all are in predictions.json."""


def predict(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Say what is in videos: on the terminal, in ``predictions.json``, and in pictures if they are asked for."""
    check_keys(cfg, PREDICT_KEYS)
    if cfg.top is not None and cfg.top < 1:
        raise ValueError(f"top={cfg.top} must be at least 1; top=null names all classes")
    if cfg.heads not in HEAD_FUSIONS:
        raise ValueError(f"heads={cfg.heads} is not one of {', '.join(HEAD_FUSIONS)}")
    classifier = Classifier.of(cfg, job)
    given = OmegaConf.to_container(cfg.video) if OmegaConf.is_list(cfg.video) else cfg.video
    files = find_videos(given)  # type: ignore[arg-type]
    bad: dict[str, str] = {}
    found = (
        _along(cfg, classifier, files, job.folder, bad)
        if cfg.every is not None
        else _whole(cfg, classifier, files, bad)
    )
    predictions = []
    for prediction in found:
        file = prediction["video"]
        if cfg.explain:
            try:
                folder = picture_folder(job.folder, files, files.index(file))
                prediction["attention"] = explained(classifier, file, cfg.heads, folder)
            except VideoError as error:  # a frame that only its picture needs
                leave_out(cfg, bad, file, error)
                continue
        predictions.append(prediction)
    views = classifier.cutting.views
    result = {"ckpt_path": str(cfg.ckpt_path), "views": format_views(views.temporal, views.spatial)}
    said = result | {"every": cfg.every, "left_out": bad, "predictions": predictions}
    write_json(job.folder / "predictions.json", said | provenance())  # before anything is shown
    show(predictions)
    print(f"Run folder: {job.folder}")
    return {}


def _whole(cfg: DictConfig, classifier: Classifier, files: list[str], bad: dict[str, str]) -> Iterator[dict[str, Any]]:
    """One answer a video, from all its views."""
    left_out: dict[int, str] | None = {} if cfg.skip_bad else None
    for file, logits in classifier.whole(files, left_out):
        yield {"video": file, "classes": classifier.said(logits, cfg.top)}
    bad.update({files[row]: why for row, why in (left_out or {}).items()})


def _along(
    cfg: DictConfig, classifier: Classifier, files: list[str], folder: Path, bad: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """One answer for every clip along a video, and their mean for the whole of it."""
    for number, file in enumerate(files):
        try:
            timeline = classifier.along(file, float(cfg.every))
        except VideoError as error:
            leave_out(cfg, bad, file, error)
            continue
        plot_timeline(
            timeline.logits, classifier.heads, timeline.spans, picture_folder(folder, files, number) / "timeline.png"
        )
        rows = timeline_rows(timeline, classifier, cfg.top)
        yield {"video": file, "classes": classifier.said(classifier.overall(timeline), cfg.top), "timeline": rows}


def leave_out(cfg: DictConfig, bad: dict[str, str], file: str, error: VideoError) -> None:
    """Note a video that cannot be read, or stop at it."""
    if not cfg.skip_bad:
        raise error
    log.warning("left out: %s", error)
    bad[file] = str(error)


def picture_folder(folder: Path, files: list[str], number: int) -> Path:
    """Where the pictures of one of several videos go: the run folder itself where it is the only one."""
    if len(files) == 1:
        return folder
    stem = one_line(Path(files[number]).stem).encode()[:LONGEST].decode(errors="ignore")
    own = folder / f"{number:0{len(str(len(files) - 1))}d}_{stem}"
    own.mkdir(exist_ok=True)
    return own


def show(predictions: Sequence[Mapping[str, Any]]) -> None:
    """Show the classes of videos as a table on the terminal, of many the first."""
    table = Table("video", "", "class", Column("probability", justify="right"))
    for prediction in predictions[:SHOWN]:
        classes: TopK = prediction["classes"]
        for head, rows in classes.items():
            for place, row in enumerate(rows):
                name = ", ".join(str(part) for key, part in row.items() if key != "probability")
                video = "" if place or head != next(iter(classes)) else Path(prediction["video"]).name
                words = map(one_line, (video, "" if place else head, name))
                table.add_row(*words, f"{100 * row['probability']:.1f} %")
        table.add_section()
    Console(markup=False, emoji=False).print(table)  # names are what they are
    if (rest := len(predictions) - SHOWN) > 0:
        print(f"and {rest} more in predictions.json")
