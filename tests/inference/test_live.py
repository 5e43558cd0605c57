"""Videos that come through a pipe: the same windows as of the file, in memory that does not grow."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from films import film, noise, piped, remuxed
from torch import nn

from vivit.data.readers.live_video import LiveVideo, is_live
from vivit.data.readers.video_error import VideoError
from vivit.data.view_samplers import MultiViewSampler
from vivit.errors import ConfigError
from vivit.inference import Predictor, Preprocessing
from vivit.inference.live import LiveClassifier, live_windows, window_step
from vivit.models import create_model

UNIFORM = {"tokeniser": {"name": "uniform_frames", "num_frames": 3}}


def predictor(model: str = "factorised_encoder", options: Any = None, **views: Any) -> Predictor:
    torch.manual_seed(0)
    net = create_model(model, size="tiny", num_classes=5, frames=8, image_size=32, depth=1, **options or {}).eval()
    nn.init.normal_(net.head.projection.weight, std=0.2)
    clip: dict[str, Any] = {"frames": 8, "resize": 36, "crop": (32, 32)} | views
    return Predictor(net, preprocessing=Preprocessing(MultiViewSampler(**clip)), batch_size=3, device="cpu")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("films")
    return {"long": film(folder / "long.mp4", noise(120), bf=2), "short": film(folder / "short.mp4", noise(5))}


@pytest.mark.parametrize(
    ("video", "format_", "model", "options", "views", "every"),
    [
        ("long", "mpegts", "factorised_encoder", None, {"stride": 1}, None),
        ("long", "matroska", "factorised_encoder", None, {"stride": 2}, 0.32),
        ("long", "flv", "average_pool", UNIFORM, {"stride": 1, "spatial": 3}, 0.2),
        ("long", "matroska", "factorised_encoder", None, {"fps": 10}, None),
        ("long", "mpegts", "factorised_encoder", None, {"fps": 12.5}, 0.24),
        ("long", "mpegts", "spatiotemporal", None, {"stride": 2}, 0.4),
        ("short", "mpegts", "factorised_encoder", None, {"stride": 1}, None),
    ],
)
def test_windows_of_a_pipe_are_those_of_the_file(
    video: str, format_: str, model: str, options: Any, views: dict, every: float | None, videos: dict[str, str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    scorer = predictor(model, options, **views)
    period = 1 / views["fps"] if "fps" in views else views["stride"] / 25
    step = window_step(scorer.network, every, period)
    expected = scorer.predict_sliding(videos[video], step * period, False)
    classifier = LiveClassifier(scorer.network, step, scorer.device)
    with piped(remuxed(videos[video], format_, tmp_path), monkeypatch), LiveVideo("-") as live:
        windows = list(live_windows(live, scorer.preprocessing, classifier))
    assert len(expected.spans) - 1 <= len(windows) <= len(expected.spans)  # of a file there is one at the end, too
    assert len(windows) > 5 or video == "short"
    for window, (start, end), logits in zip(windows, expected.spans, expected.logits, strict=False):
        assert torch.allclose(window.logits.mean(0), logits, atol=1e-5)
        assert (window.start, window.end) == pytest.approx((start, end), abs=0.021 + period)


def test_every_frame_is_encoded_once_and_no_more_are_kept_than_a_window_has(
    videos: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer, encoded = predictor(stride=1), []
    encode = scorer.network.encode_index
    monkeypatch.setattr(scorer.network, "encode_index", lambda frames: encoded.append(len(frames)) or encode(frames))
    classifier = LiveClassifier(scorer.network, 2, scorer.device)
    with piped(remuxed(videos["long"], "mpegts", tmp_path), monkeypatch), LiveVideo("-") as live:
        for _ in live_windows(live, scorer.preprocessing, classifier):
            assert len(classifier._frames) <= 8
            assert len(classifier._numbers) <= 3
    assert sum(encoded) == 60, "120 frames, tubelets of two"


def test_a_network_that_reads_all_together_is_refused_where_streaming_is_asked_for() -> None:
    scorer = predictor("spatiotemporal", stride=1)
    with pytest.raises(ConfigError, match="reads all temporal indices"):
        LiveClassifier(scorer.network, 2, scorer.device, True)


def test_steps_are_whole_frames_and_need_a_rate_where_seconds_are_typed() -> None:
    net = predictor(stride=1).network
    assert (window_step(net, None, None), window_step(net, 0.5, 0.1), window_step(net, 0.01, 0.1)) == (2, 5, 1)
    with pytest.raises(ConfigError, match="no rate") as error:
        window_step(net, 0.5, None)
    assert error.value.key == "every"


@pytest.mark.parametrize(("source", "expected"), [("-", True), ("webcam:0", True), ("webcam", False), ("-.mp4", False)])
def test_live_sources(source: str, expected: bool) -> None:
    assert is_live(source) is expected


def test_standard_input_that_sends_no_video_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(VideoError, match="which is closed; send MPEG-TS"):
        LiveVideo("-")
    terminal, other = os.openpty()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(fileno=lambda: other))
    with pytest.raises(VideoError, match="is a terminal; send MPEG-TS"):
        LiveVideo("-")
    os.close(terminal)
    os.close(other)


def test_what_is_no_video_and_a_camera_that_is_not_there_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with piped(b"no video" * 1000, monkeypatch), pytest.raises(VideoError, match="MPEG-TS, Matroska or FLV"):
        LiveVideo("-")
    with piped(b"", monkeypatch), pytest.raises(VideoError, match="webcam:0"):
        LiveVideo("webcam:77")
