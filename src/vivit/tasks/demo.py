"""The task of `demo.py`: a page in the browser."""

import logging
import os
import socket
import threading
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from omegaconf import DictConfig

from vivit.data.readers.open_video import open_video
from vivit.data.readers.video_error import VideoError
from vivit.errors import ConfigError, UserError
from vivit.inference import Predictor
from vivit.inference.attention_rollout import check_head_fusion
from vivit.inference.clip_attention import frame_seconds, save_attention
from vivit.inference.page import error_html, prediction_html
from vivit.inference.predictor import NonFiniteLogitsError
from vivit.inference.uploads import CountUploads, Uploads
from vivit.launch import Job
from vivit.models import ViViT, model_name
from vivit.structures import Video
from vivit.tasks.config_checks import check_keys
from vivit.tasks.predictor import build_predictor

NO_ANALYTICS = {"GRADIO_ANALYTICS_ENABLED": "False"}
"""Without it gradio sends usage data."""
FONTS = ["system-ui", "sans-serif"]
"""Of the visitor's own machine; gradio would download others."""
NO_LINK = ".file-preview .download { display: none; }"
"""Hides the link to an upload, which is deleted once it is predicted."""
MAX_PORT = 65535


def demo(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Serve the page until Ctrl-C or SIGTERM."""
    check_keys(cfg, "demo")
    for key in ("max_upload_mb", "max_seconds", "top_k", "port"):
        if not isinstance(cfg[key], int) or cfg[key] < 1:
            raise ConfigError(key, cfg[key], "is not possible", "set a whole number, 1 or more")
    check_head_fusion(cfg.head_fusion)
    if not find_spec("gradio"):
        raise UserError("the page needs gradio, which is not installed; `make install`, or pip install it")
    from starlette.middleware import Middleware  # a dependency of gradio

    check_address(cfg.host, cfg.port)
    predictor = build_predictor(cfg, job)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # gradio requests its own page to check that it runs
    with TemporaryDirectory(prefix="vivit-demo-", ignore_cleanup_errors=True) as folder:
        os.environ.update(NO_ANALYTICS | {"GRADIO_TEMP_DIR": folder})
        uploads = Uploads()
        page, style = build_page(cfg, predictor, Path(folder), uploads)
        middleware = {"middleware": [Middleware(CountUploads, uploads=uploads)]}
        try:
            page.launch(
                app_kwargs=middleware,
                server_name=cfg.host, server_port=cfg.port, max_file_size=f"{cfg.max_upload_mb}mb", share=False,
                ssr_mode=False, footer_links=[], quiet=True, prevent_thread_lock=True, **style,
            )  # fmt: skip
            print(f"http://{cfg.host}:{cfg.port} takes videos of up to {cfg.max_upload_mb} MB and {cfg.max_seconds} s")
            print("Ctrl-C ends it", flush=True)
            threading.Event().wait()
        except SystemExit:
            print("ended")
        finally:
            page.close(verbose=False)
    return {}


def check_address(host: str, port: int) -> None:
    """Raise ConfigError where no server can listen at an address."""
    if port > MAX_PORT:
        raise ConfigError("port", port, "is no port", f"set at most {MAX_PORT}")
    try:
        with socket.create_server((host, port)):
            return
    except OSError as error:
        raise ConfigError(
            "host", host, f"cannot be listened on at port={port} ({error})", "set another host or port"
        ) from None


def build_page(cfg: DictConfig, predictor: Predictor, folder: Path, uploads: Uploads) -> tuple[Any, dict[str, Any]]:
    """Return the page, and the options of its style. ``folder`` stores the uploads."""
    import gradio as gr  # after its settings, and only here, for it takes seconds

    def predict_and_release(upload: str | None) -> str:
        if upload is None:
            return ""
        try:
            return predict_upload(
                predictor,
                Path(upload),
                max_seconds=cfg.max_seconds,
                top_k=cfg.top_k,
                head_fusion=cfg.head_fusion,
                folder=folder,
            )
        finally:
            uploads.release(upload)

    assert isinstance(predictor.network, ViViT)
    network = f"{model_name(predictor.network)}, {sum(map(len, predictor.classes.values()))} classes"
    with gr.Blocks(title="ViViT", delete_cache=(600, 3600)) as page:
        gr.Markdown(f"# ViViT\nDrop a video, see what happens in it and where the network looked. ({network})")
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                file: Any = gr.File(label=f"Video: up to {cfg.max_seconds} s, {cfg.max_upload_mb} MB", height=180)
            with gr.Column(scale=5, min_width=320):
                prediction = gr.HTML(min_height=240)
        file.preprocess = lambda upload: upload and upload.path  # gradio's own leaves an empty file at every call
        file.upload(predict_and_release, file, prediction, concurrency_limit=1, api_name="classify")
        file.clear(lambda: "", None, prediction, api_visibility="private")
    return page, {"theme": gr.themes.Default(font=FONTS, font_mono=["monospace"]), "css": NO_LINK}


def predict_upload(
    predictor: Predictor, file: Path, *, max_seconds: int, top_k: int, head_fusion: str, folder: Path
) -> str:
    """Return the prediction of a video as HTML with all its pictures inside, or the reason why there is none."""
    if not file.is_file():  # a second request for one upload
        return error_html(f"{file.name} is deleted after its prediction; drop it once more")
    try:
        with open_video(Video(str(file), ())) as video:
            seconds = frame_seconds(video, (0, video.shape.frames - 1))[-1]
        if seconds > max_seconds:
            return error_html(f"{file.name} lasts {seconds:.0f} s; this page takes videos of up to {max_seconds} s")
        ((_, logits),) = predictor.predict([str(file)])
        with TemporaryDirectory(dir=folder) as pictures:
            save_attention(predictor, str(file), head_fusion, Path(pictures))
            return prediction_html(file.name, predictor.top_k(logits, top_k), Path(pictures))
    except (VideoError, NonFiniteLogitsError) as error:
        return error_html(str(error).replace(str(file), file.name))
