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

from omegaconf import DictConfig, OmegaConf

from vivit.data.readers.open_video import open_video
from vivit.errors import ConfigError, UserError
from vivit.evaluation import TopK
from vivit.inference import Predictor
from vivit.inference.attention_rollout import check_head_fusion
from vivit.inference.clip_attention import frame_seconds, save_attention
from vivit.inference.page import PREVIEW, error_html, prediction_html
from vivit.inference.preview import write_preview
from vivit.inference.uploads import CountUploads, Uploads
from vivit.launch import Job
from vivit.models import ViViT, model_name
from vivit.tasks.config_checks import check_keys
from vivit.tasks.predict_sources import predict_sources
from vivit.tasks.predictor import build_predictor
from vivit.text import one_line

NO_ANALYTICS = {"GRADIO_ANALYTICS_ENABLED": "False"}
"""Without it gradio sends usage data."""
FONTS = ["system-ui", "sans-serif"]
"""Of the visitor's own machine; gradio would download others."""
NO_LINK = ".file-preview .download { display: none; }"
"""Hides the link to an upload, which is deleted once it is predicted."""
MAX_PORT = 65535
MAX_EXAMPLES = 12


def demo(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Serve the page until Ctrl-C or SIGTERM."""
    check_keys(cfg, "demo")
    for key in ("max_upload_mb", "max_seconds", "top_k", "port"):
        if not isinstance(cfg[key], int) or cfg[key] < 1:
            raise ConfigError(key, cfg[key], "is not possible", "set a whole number, 1 or more")
    check_head_fusion(cfg.head_fusion)
    if not find_spec("gradio"):
        raise UserError("the page needs gradio, which is not installed; `make install`, or pip install it")
    from starlette.middleware import Middleware  # a dependency of gradio, as are those of the service

    from vivit.inference.json_service import PredictionService

    check_address(cfg.host, cfg.port)
    examples = find_examples(cfg.examples)
    predictor = OneAtATime(build_predictor(cfg, job), cfg)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # gradio requests its own page to check that it runs
    with TemporaryDirectory(prefix="vivit-demo-", ignore_cleanup_errors=True) as folder:
        os.environ.update(NO_ANALYTICS | {"GRADIO_TEMP_DIR": folder})
        uploads = Uploads()
        page, style = build_page(cfg, predictor, Path(folder), uploads, examples)
        service = PredictionService(predictor.plain, Path(folder), cfg.max_upload_mb * 1_000_000)
        application = {"middleware": [Middleware(CountUploads, uploads=uploads)], "routes": service.routes}
        try:
            page.launch(
                app_kwargs=application,
                server_name=cfg.host, server_port=cfg.port, max_file_size=f"{cfg.max_upload_mb}mb", share=False,
                ssr_mode=False, footer_links=[], quiet=True, prevent_thread_lock=True, **style,
            )  # fmt: skip
            print(f"http://{cfg.host}:{cfg.port} takes videos of up to {cfg.max_upload_mb} MB and {cfg.max_seconds} s")
            print(f"curl -F video=@clip.mp4 http://{cfg.host}:{cfg.port}/predict answers in JSON")
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


def find_examples(examples: Any) -> dict[str, str]:
    """Return the example clips by name: those of the key ``examples``, at most ``MAX_EXAMPLES``."""
    if examples is None:
        return {}
    typed: Any = OmegaConf.to_container(examples) if OmegaConf.is_list(examples) else examples
    try:
        sources = predict_sources(typed, None)[:MAX_EXAMPLES]
    except ConfigError as error:  # which calls the key video
        raise ConfigError("examples", typed, *str(error).partition(": ")[2].split("; ", 1)) from None
    if segment := next((source for source in sources if source.is_segment), None):
        problem = f"shows whole files, and {segment.name} is a segment"
        raise ConfigError("examples", typed, problem, "leave start and end out of the list")
    return {one_line(source.name): source.path for source in sources}


class OneAtATime:
    """A predictor that predicts one video at a time, whoever asks: visitors of the page, or programs."""

    def __init__(self, predictor: Predictor, cfg: DictConfig) -> None:
        self.predictor, self.cfg = predictor, cfg
        self._lock = threading.Lock()

    def plain(self, file: Path) -> dict[str, Any]:
        """Return the prediction of a file in plain values. Raises UserError where there is none."""
        with self._lock:
            return {"video": file.name, "seconds": round(self._seconds(file), 3), "classes": self._classes(file)}

    def html(self, file: Path, folder: Path) -> str:
        """Return the prediction of a file as HTML with all its pictures inside, or the reason why there is none."""
        if not file.is_file() and not file.is_dir():  # a second request for one upload
            return error_html(f"{file.name} is deleted after its prediction; drop it once more")
        try:
            with self._lock, TemporaryDirectory(dir=folder) as pictures:
                self._seconds(file)
                classes = self._classes(file)
                save_attention(self.predictor, str(file), self.cfg.head_fusion, Path(pictures), classes)
                limit = self.cfg.max_seconds
                write_preview(self.predictor.video(str(file)), Path(pictures) / PREVIEW, max_seconds=limit)
                return prediction_html(file.name, classes, Path(pictures))
        except UserError as error:
            return error_html(str(error).replace(str(file), file.name))

    def _seconds(self, file: Path) -> float:
        """Return how long a video lasts. Raises UserError where that is too long."""
        with open_video(self.predictor.video(str(file))) as video:
            seconds = frame_seconds(video, (0, video.shape.frames - 1))[-1]
        if seconds > self.cfg.max_seconds:
            limit = self.cfg.max_seconds
            raise UserError(f"{file.name} lasts {seconds:.0f} s; this page takes videos of up to {limit} s")
        return seconds

    def _classes(self, file: Path) -> TopK:
        ((_, logits),) = self.predictor.predict([str(file)])
        return self.predictor.top_k(logits, self.cfg.top_k)


def build_page(
    cfg: DictConfig, predictor: OneAtATime, folder: Path, uploads: Uploads, examples: Mapping[str, str]
) -> tuple[Any, dict[str, Any]]:
    """Return the page, and the options of its style. ``folder`` stores the uploads."""
    import gradio as gr  # after its settings, and only here, for it takes seconds

    def predict_and_release(upload: str | None) -> str:
        if upload is None:
            return ""
        try:
            return predictor.html(Path(upload), folder)
        finally:
            uploads.release(upload)

    def predict_example(name: str) -> str:
        return predictor.html(Path(examples[name]), folder)

    network = predictor.predictor.network
    assert isinstance(network, ViViT)
    kind = f"{model_name(network)}, {sum(map(len, predictor.predictor.classes.values()))} classes"
    with gr.Blocks(title="ViViT", delete_cache=(600, 3600)) as page:
        gr.Markdown(f"# ViViT\nDrop a video, see what happens in it and where the network looked. ({kind})")
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                file: Any = gr.File(label=f"Video: up to {cfg.max_seconds} s, {cfg.max_upload_mb} MB", height=180)
                chosen = gr.Radio(list(examples), label="Examples", visible=bool(examples))
            with gr.Column(scale=5, min_width=320):
                prediction = gr.HTML(min_height=240)
        file.preprocess = lambda upload: upload and upload.path  # gradio's own leaves an empty file at every call
        file.upload(predict_and_release, file, prediction, concurrency_limit=1, api_name="classify")
        file.clear(lambda: "", None, prediction, api_visibility="private")
        if examples:
            chosen.input(predict_example, chosen, prediction, concurrency_limit=1, api_visibility="private")
    return page, {"theme": gr.themes.Default(font=FONTS, font_mono=["monospace"]), "css": NO_LINK}
