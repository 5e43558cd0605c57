"""The task of `predict.py`."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Column, Table

from vivit.data.find_videos import find_videos
from vivit.data.readers.live_video import is_live
from vivit.data.readers.video_error import VideoError
from vivit.data.views import format_views
from vivit.errors import ConfigError
from vivit.evaluation import TopK
from vivit.inference import Predictor
from vivit.inference.attention_rollout import check_head_fusion
from vivit.inference.streaming import streaming_problem
from vivit.io import write_json
from vivit.launch import Job
from vivit.run_folder import provenance
from vivit.tasks.config_checks import check_keys
from vivit.tasks.predict_live import predict_live
from vivit.tasks.predictor import build_predictor
from vivit.text import one_line

log = logging.getLogger(__name__)

MAX_NAME_BYTES = 200
"""Bytes of a video's name in that of a folder; disks allow 255 with the number before it."""
MAX_TABLE_VIDEOS = 50
"""Videos in the table on the terminal, at most; all are in predictions.json."""

NONE = {"class": "none"}
"""Printed for a multi-label head of which no class reaches its threshold."""


def predict(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Predict the classes of videos: write ``predictions.json`` and configured pictures, print a table."""
    check_keys(cfg, "predict")
    if cfg.top_k is not None and not (type(cfg.top_k) is int and cfg.top_k >= 1):
        raise ConfigError("top_k", cfg.top_k, "is no number of classes", "set 1 or more, or null for all classes")
    if cfg.every is not None and not (type(cfg.every) in (int, float) and cfg.every > 0):
        raise ConfigError("every", cfg.every, "is not a time between clips", "set seconds, more than 0")
    check_head_fusion(cfg.head_fusion)
    if cfg.streaming not in (True, False, "auto"):
        raise ConfigError("streaming", cfg.streaming, "is none of them", "set auto, true or false")
    predictor = build_predictor(cfg, job)
    live = isinstance(cfg.video, str) and is_live(cfg.video)
    if (
        (live or cfg.every is not None)
        and cfg.streaming == "auto"
        and (problem := streaming_problem(predictor.network))
    ):
        log.info("each clip is computed on its own: %s", problem)
    if live:
        predict_live(cfg, predictor, cfg.video, job.folder)
        return {}
    sources = OmegaConf.to_container(cfg.video) if OmegaConf.is_list(cfg.video) else cfg.video
    files = find_videos(sources)  # type: ignore[arg-type]
    skipped: dict[str, str] = {}
    predictions = []
    for prediction in (
        _predict_sliding(cfg, predictor, files, job.folder, skipped)
        if cfg.every is not None
        else _predict(cfg, predictor, files, skipped)
    ):
        file = prediction["video"]
        if cfg.explain:
            from vivit.inference.clip_attention import save_attention  # here, as its libraries take half a second

            try:
                folder = output_folder(job.folder, files, files.index(file))
                prediction["attention"] = save_attention(predictor, file, cfg.head_fusion, folder)
            except VideoError as error:  # of a frame that the attention alone needs
                skip_video(cfg, skipped, file, error)
                continue
        predictions.append(prediction)
    views = predictor.preprocessing.views
    results: dict[str, Any] = {"ckpt_path": str(cfg.ckpt_path), "views": format_views(views.temporal, views.spatial)}
    results |= {"every": cfg.every, "skipped_videos": skipped, "predictions": predictions}
    write_json(job.folder / "predictions.json", results | provenance())  # before anything is printed
    print_predictions(predictions)
    print(f"Run folder: {job.folder}")
    return {}


def _predict(
    cfg: DictConfig, predictor: Predictor, files: list[str], skipped: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield one prediction a video, from all its views."""
    reasons: dict[int, str] | None = {} if cfg.skip_unreadable else None
    for file, logits in predictor.predict(files, reasons):
        yield {"video": file, "classes": predictor.top_k(logits, cfg.top_k)}
    skipped.update({files[row]: reason for row, reason in (reasons or {}).items()})


def _predict_sliding(
    cfg: DictConfig, predictor: Predictor, files: list[str], folder: Path, skipped: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield the predictions of all clips along each video, and their aggregate for the video."""
    for number, file in enumerate(files):
        try:
            sliding = predictor.predict_sliding(file, float(cfg.every), cfg.streaming)
        except VideoError as error:
            skip_video(cfg, skipped, file, error)
            continue
        picture = output_folder(folder, files, number) / "timeline.png"
        from vivit.inference.timeline_plot import plot_sliding  # here, as its library takes half a second

        plot_sliding(sliding.logits, predictor.classes, sliding.spans, picture)
        classes = predictor.top_k(predictor.aggregate(sliding), cfg.top_k)
        yield {"video": file, "classes": classes, "timeline": sliding.rows(predictor.classes, cfg.top_k)}


def skip_video(cfg: DictConfig, skipped: dict[str, str], file: str, error: VideoError) -> None:
    """Log and note a video that cannot be read; raise its error unless ``skip_unreadable``."""
    if not cfg.skip_unreadable:
        raise error
    log.warning("left out: %s", error)
    skipped[file] = str(error)


def output_folder(folder: Path, files: list[str], number: int) -> Path:
    """Return the folder for the pictures of one of several videos: the run folder where it is the only one."""
    if len(files) == 1:
        return folder
    stem = one_line(Path(files[number]).stem).encode()[:MAX_NAME_BYTES].decode(errors="ignore")
    subfolder = folder / f"{number:0{len(str(len(files) - 1))}d}_{stem}"
    subfolder.mkdir(exist_ok=True)
    return subfolder


def print_predictions(predictions: Sequence[Mapping[str, Any]]) -> None:
    """Print a table of the classes of videos, of many the first."""
    table = Table("video", "", "class", Column("probability", justify="right"))
    for prediction in predictions[:MAX_TABLE_VIDEOS]:
        classes: TopK = prediction["classes"]
        for head, rows in classes.items():
            for rank, row in enumerate(rows or [NONE]):
                name = ", ".join(str(part) for key, part in row.items() if key not in ("probability", "threshold"))
                video = "" if rank or head != next(iter(classes)) else Path(prediction["video"]).name
                cells = map(one_line, (video, "" if rank else head, name))
                table.add_row(*cells, f"{100 * row['probability']:.1f} %" if rows else "")
        table.add_section()
    Console(markup=False, emoji=False).print(table)  # names may contain what looks like markup
    if (rest := len(predictions) - MAX_TABLE_VIDEOS) > 0:
        print(f"and {rest} more in predictions.json")
