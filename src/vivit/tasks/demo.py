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

from vivit.checkpoints import Network
from vivit.data.readers.video_error import VideoError
from vivit.data.readers.video_reader import open_video
from vivit.inference import HEAD_FUSIONS, error_html, prediction_html
from vivit.launch import Job
from vivit.structures import Video
from vivit.tasks.build import check_keys
from vivit.tasks.classifier import Classifier, NotNumbersError
from vivit.tasks.explain import explained, seconds_of
from vivit.tasks.record import model_name
from vivit.tasks.uploads import CountUploads, Uploads

DEMO_KEYS = (
    *("ckpt_path", "host", "port", "largest", "longest", "top", "heads", "batch_size", "workers", "device"),
    *("views", "resampling", "paths"),
)
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False"}
"""What keeps gradio from calling home."""
FONTS = ["system-ui", "sans-serif"]
"""Of the visitor's own machine; gradio would fetch others."""
NO_LINK = ".file-preview .download { display: none; }"
"""To an upload, which is gone once it is answered."""


def demo(cfg: DictConfig, job: Job) -> Mapping[str, float]:
    """Serve the page until Ctrl-C or SIGTERM."""
    check_keys(cfg, DEMO_KEYS)
    for key in ("largest", "longest", "top", "port"):
        if not isinstance(cfg[key], int) or cfg[key] < 1:
            raise ValueError(f"{key}={cfg[key]} must be a whole number above 0")
    if cfg.heads not in HEAD_FUSIONS:
        raise ValueError(f"heads={cfg.heads} is not one of {', '.join(HEAD_FUSIONS)}")
    if not find_spec("gradio"):
        raise ValueError("the page needs gradio, which `make install` installs")
    from starlette.middleware import Middleware  # which gradio brings along

    check_free(cfg.host, cfg.port)
    classifier = Classifier.of(cfg, job)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # gradio calls on itself to see that it runs
    with TemporaryDirectory(prefix="vivit-demo-", ignore_cleanup_errors=True) as folder:
        os.environ.update(QUIET | {"GRADIO_TEMP_DIR": folder})
        uploads = Uploads()
        page, look = page_of(cfg, classifier, Path(folder), uploads)
        counting = {"middleware": [Middleware(CountUploads, uploads=uploads)]}
        try:
            page.launch(
                app_kwargs=counting,
                server_name=cfg.host, server_port=cfg.port, max_file_size=f"{cfg.largest}mb", share=False,
                ssr_mode=False, footer_links=[], quiet=True, prevent_thread_lock=True, **look,
            )  # fmt: skip
            print(f"http://{cfg.host}:{cfg.port} takes videos of up to {cfg.largest} MB and {cfg.longest} s")
            print("Ctrl-C ends it", flush=True)
            threading.Event().wait()
        except SystemExit:
            print("ended")
        finally:
            page.close(verbose=False)
    return {}


def check_free(host: str, port: int) -> None:
    """Raise ``ValueError`` where nothing can listen there."""
    if port > 65535:
        raise ValueError(f"port={port} must be at most 65535")
    try:
        with socket.create_server((host, port)):
            return
    except OSError as error:
        raise ValueError(f"host={host} port={port} cannot be listened on: {error}") from None


def page_of(cfg: DictConfig, classifier: Classifier, folder: Path, uploads: Uploads) -> tuple[Any, dict[str, Any]]:
    """Lay the page out; give it, and how it looks. ``folder`` takes the uploads."""
    import gradio as gr  # after its settings, and only here, for it takes seconds

    def answered(upload: str | None) -> str:
        if upload is None:
            return ""
        try:
            return answer(classifier, Path(upload), longest=cfg.longest, top=cfg.top, heads=cfg.heads, folder=folder)
        finally:
            uploads.answered(upload)

    assert isinstance(classifier.network, Network)
    network = f"{model_name(classifier.network)}, {sum(map(len, classifier.heads.values()))} classes"
    with gr.Blocks(title="ViViT", delete_cache=(600, 3600)) as page:
        gr.Markdown(f"# ViViT\nDrop a video, see what happens in it and where the network looked. ({network})")
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                file: Any = gr.File(label=f"Video: up to {cfg.longest} s, {cfg.largest} MB", height=180)
            with gr.Column(scale=5, min_width=320):
                said = gr.HTML(min_height=240)
        file.preprocess = lambda upload: upload and upload.path  # gradio's own leaves an empty file at every answer
        file.upload(answered, file, said, concurrency_limit=1, api_name="classify")
        file.clear(lambda: "", None, said, api_visibility="private")
    return page, {"theme": gr.themes.Default(font=FONTS, font_mono=["monospace"]), "css": NO_LINK}


def answer(classifier: Classifier, file: Path, *, longest: int, top: int, heads: str, folder: Path) -> str:
    """Say as HTML what is in a video, with all pictures inside; or why that cannot be said."""
    if not file.is_file():  # a second question about one upload
        return error_html(f"{file.name} is gone, for somebody has had the answer; drop it once more")
    try:
        with open_video(Video(str(file), ())) as video:
            seconds = seconds_of(video, (0, video.shape.frames - 1))[-1]
        if seconds > longest:
            return error_html(f"{file.name} lasts {seconds:.0f} s; this page takes videos of up to {longest} s")
        ((_, logits),) = classifier.whole([str(file)])
        with TemporaryDirectory(dir=folder) as pictures:
            explained(classifier, str(file), heads, Path(pictures))
            return prediction_html(file.name, classifier.said(logits, top), Path(pictures))
    except (VideoError, NotNumbersError) as error:
        return error_html(str(error).replace(str(file), file.name))
