"""Films of noise, also through a pipe, and a small network of two heads that answers about them."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch
from networks import make_network
from torch import nn

from vivit.data.datasets import motion
from vivit.models import FactorisedEncoder, Tubelets

HEADS = {"noun": list(motion.NOUNS), "verb": list(motion.VERBS)}
CLIP = {"frames": 4, "stride": 2, "resize": 36, "crop": [32, 32]}


def network(heads: dict[str, list[str]] = HEADS, **changes: Any) -> nn.Module:
    torch.manual_seed(3)
    widths = {
        "depth": 1,
        "num_heads": 2,
        "mlp_dim": 12,
        "temporal_depth": 1,
        "temporal_num_heads": 2,
        "temporal_mlp_dim": 12,
    }
    sizes = {"frames": 4, "height": 32, "width": 32} | changes
    net = make_network(
        FactorisedEncoder,
        Tubelets(dim=8, tubelet=(2, 16, 16)),
        num_classes=sum(map(len, heads.values())),
        **sizes,
        **widths,
    )
    nn.init.normal_(net.head.projection.weight)
    return net.eval()


def film(path: Path, frames: np.ndarray, rate: int = 25, stamps: list[int] | None = None, **options: Any) -> str:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.codec_context.time_base = Fraction(1, rate)
        stream.codec_context.thread_count = 1
        stream.options = {"preset": "ultrafast"} | {name: str(value) for name, value in options.items()}
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = stamps[number] if stamps else number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


def noise(frames: int, side: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, side, side + 8, 3), np.uint8)


@contextmanager
def piped(data: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard input is a pipe that these bytes come through."""
    reader, writer = os.pipe()

    def write() -> None:
        with os.fdopen(writer, "wb") as file, suppress(BrokenPipeError):
            file.write(data)

    thread = threading.Thread(target=write)
    thread.start()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: reader))
    try:
        yield
    finally:
        os.close(reader)
        thread.join()


def remuxed(path: str, format_: str, folder: Path) -> bytes:
    """Return the bytes of a video in another format, its pictures as they are."""
    target = folder / f"video.{format_}"
    with av.open(path) as source, av.open(str(target), "w", format=format_) as container:
        stream = container.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    return target.read_bytes()
