"""The task of `predict.py`."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vivit.data.readers.live_video import is_live
from vivit.data.readers.video_error import VideoError
from vivit.data.views import format_views
from vivit.errors import ConfigError
from vivit.inference import Predictor
from vivit.inference.attention_rollout import check_head_fusion
from vivit.inference.moments import class_moments
from vivit.inference.streaming import streaming_problem
from vivit.io import write_json
from vivit.launch import Job
from vivit.run_folder import provenance
from vivit.tasks.config_checks import check_keys
from vivit.tasks.predict_live import predict_live
from vivit.tasks.predict_sources import Source, predict_sources
from vivit.tasks.prediction_tables import print_predictions, write_predictions_csv
from vivit.tasks.predictor import build_predictor
from vivit.text import name_some, one_line

log = logging.getLogger(__name__)

PICTURES = ("attention.mp4", "attention.png", "moments.png", "timeline.png")
"""What ``explain=`` and ``every=`` draw of a video."""

MAX_NAME_BYTES = 200
"""Bytes of a video's name in that of a folder; disks allow 255 with the number before it."""


def predict(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Predict the classes of videos: write them as JSON and CSV, and configured pictures; print a table."""
    check_keys(cfg, "predict")
    if cfg.top_k is not None and not (type(cfg.top_k) is int and cfg.top_k >= 1):
        raise ConfigError("top_k", cfg.top_k, "is no number of classes", "set 1 or more, or null for all classes")
    if cfg.every is not None and not (type(cfg.every) in (int, float) and cfg.every > 0):
        raise ConfigError("every", cfg.every, "is not a time between clips", "set seconds, more than 0")
    check_head_fusion(cfg.head_fusion)
    if cfg.streaming not in (True, False, "auto"):
        raise ConfigError("streaming", cfg.streaming, "is none of them", "set auto, true or false")
    predictor = build_predictor(cfg, job)
    live, problem = isinstance(cfg.video, str) and is_live(cfg.video), streaming_problem(predictor.network)
    if (live or cfg.every is not None) and cfg.streaming == "auto" and problem:
        log.info("each clip is computed on its own: %s", problem)
    if live:
        predict_live(cfg, predictor, cfg.video, job.folder)
        return {}
    typed: Any = OmegaConf.to_container(cfg.video) if OmegaConf.is_list(cfg.video) else cfg.video
    sources = predict_sources(typed, cfg.frames_fps)
    if cfg.every is not None and (segment := next((each for each in sources if each.is_segment), None)):
        problem = f"slides along whole files, and {segment.name} is a segment"
        raise ConfigError("every", cfg.every, problem, "leave it out, or leave start and end out of the list")
    skipped: dict[str, str] = {}
    predictions = []
    for number, prediction in (
        _predict_sliding(cfg, predictor, sources, job.folder, skipped)
        if cfg.every is not None
        else _predict(cfg, predictor, sources, skipped)
    ):
        source = sources[number]
        if cfg.explain:
            from vivit.inference.clip_attention import save_attention  # here, as its libraries take half a second

            try:
                folder, classes = output_folder(job.folder, sources, number), prediction["classes"]
                prediction["attention"] = save_attention(
                    predictor, source.video, cfg.head_fusion, folder, classes, source.name
                )
            except VideoError as error:  # of a frame that the attention alone needs
                skip_video(cfg, skipped, source, error)
                continue
        label = {} if source.label is None else {"label": source.label}
        predictions.append({"video": source.path, "name": source.name, **label, **prediction})
    views = predictor.preprocessing.views
    results: dict[str, Any] = {"ckpt_path": str(cfg.ckpt_path), "views": format_views(views.temporal, views.spatial)}
    results |= {"every": cfg.every, "skipped_videos": skipped, "predictions": predictions}
    write_json(job.folder / "predictions.json", results | provenance())  # before anything is printed
    problems = {source.name: skipped[name_skipped(source)] for source in sources if name_skipped(source) in skipped}
    write_predictions_csv(job.folder / "predictions.csv", predictions, problems)
    print_predictions(predictions)
    files = (output_folder(job.folder, sources, at) / name for at in range(len(sources)) for name in PICTURES)
    if pictures := [str(file.relative_to(job.folder)) for file in files if file.is_file()]:
        print(f"Pictures: {name_some(pictures, 6)}")
    print(f"Run folder: {job.folder}")
    return {}


def name_skipped(source: Source) -> str:
    """Return under which name a video is listed that was left out: its path, of a segment its name."""
    return source.name if source.is_segment else source.path


def _predict(
    cfg: DictConfig, predictor: Predictor, sources: Sequence[Source], skipped: dict[str, str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of every video and its prediction, from all its views."""
    reasons: dict[int, str] | None = {} if cfg.skip_unreadable else None
    for number, logits in predictor.predict([source.video for source in sources], reasons):
        yield number, {"classes": predictor.top_k(logits, cfg.top_k)}
    skipped.update({name_skipped(sources[number]): reason for number, reason in (reasons or {}).items()})


def _predict_sliding(
    cfg: DictConfig, predictor: Predictor, sources: Sequence[Source], folder: Path, skipped: dict[str, str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the number of every video and the predictions of all clips along it, with their aggregate."""
    for number, source in enumerate(sources):
        try:
            sliding = predictor.predict_sliding(source.video, float(cfg.every), cfg.streaming)
        except VideoError as error:
            skip_video(cfg, skipped, source, error)
            continue
        picture = output_folder(folder, sources, number) / "timeline.png"
        from vivit.inference.timeline_plot import plot_sliding  # here, as its library takes half a second

        plot_sliding(sliding.logits, predictor.classes, sliding.spans, picture)
        classes = predictor.top_k(predictor.aggregate(sliding), cfg.top_k)
        moments = class_moments(sliding.logits, predictor.classes, sliding.spans)
        timeline = sliding.rows(predictor.classes, cfg.top_k)
        yield number, {"classes": classes, "moments": moments, "timeline": timeline}


def skip_video(cfg: DictConfig, skipped: dict[str, str], source: Source, error: VideoError) -> None:
    """Log and note a video that cannot be read; raise its error unless ``skip_unreadable``."""
    if not cfg.skip_unreadable:
        raise error
    log.warning("left out: %s", error)
    skipped[name_skipped(source)] = str(error)


def output_folder(folder: Path, sources: Sequence[Source], number: int) -> Path:
    """Return the folder for the pictures of one of several videos: the run folder where it is the only one."""
    if len(sources) == 1:
        return folder
    stem = one_line(Path(sources[number].path).stem).encode()[:MAX_NAME_BYTES].decode(errors="ignore")
    subfolder = folder / f"{number:0{len(str(len(sources) - 1))}d}_{stem}"
    subfolder.mkdir(exist_ok=True)
    return subfolder
