"""Clips predict_sliding a video keep time, whatever its rate: by the timestamps of its own frames."""

from pathlib import Path

import numpy as np
import pytest
import torch
from films import CLIP, film, network, noise

from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.sliding_window import SlidingVideo, Windows, nearest_frames
from vivit.data.view_samplers import MultiViewSampler
from vivit.errors import ConfigError
from vivit.evaluation import ViewAggregator, get_aggregation
from vivit.inference.predictor import Predictor, SlidingPrediction
from vivit.inference.preprocessing import Preprocessing

VIEWS = MultiViewSampler(**CLIP | {"crop": (32, 32)})
SLOW_FAST = [*range(0, 60 * 30, 30), *range(60 * 30, 70 * 30)]
"""60 frames one second apart, then 300 frames a thirtieth apart, in thirtieths."""
FAST_SLOW = [*range(300), *range(300, 300 + 60 * 30, 30)]


def slid(path: str, every: float) -> Windows:
    return SlidingVideo(path, VIEWS).windows(every)


def test_sliding_windows_once_a_second_at_two_rates(tmp_path: Path) -> None:
    """The last clip ends with the video; no clip begins behind it. Each stands for one second."""
    results = slid(film(tmp_path / "a.mp4", noise(360), 30, SLOW_FAST), 1.0)
    starts = [start for start, _ in results.spans]
    assert starts == pytest.approx([*range(70), (70 * 30 - 8) / 30], abs=1e-6)
    assert results.weights == [1] * 71
    assert results.spans[0] == pytest.approx((0, 8)), "eight frames of a second each"
    assert results.spans[56] == pytest.approx((56, 60 + 4 / 30)), "four of a second, four of a thirtieth"
    assert results.spans[-1][1] == pytest.approx(70)


def test_sliding_windows_weight_of_a_slow_end(tmp_path: Path) -> None:
    results = slid(film(tmp_path / "a.mp4", noise(360), 30, FAST_SLOW), 1.0)
    starts = [start for start, _ in results.spans]
    assert starts == pytest.approx([*range(63)]), "the last clip has the last eight of 60 seconds"
    assert results.weights == [*[1] * 62, 1 + 7], "it lasts 8 s, the shortest 0.27 s"


def test_sliding_windows_weight_of_long_frames(tmp_path: Path) -> None:
    """Twenty frames, the tenth shown for ten seconds."""
    stamps = [*range(10), *range(9 + 250, 9 + 250 + 10)]
    results = slid(film(tmp_path / "a.mp4", noise(20), 25, stamps), 0.5)
    assert [start for start, _ in results.spans] == pytest.approx([0, 9 / 25, 259 / 25, 261 / 25])
    assert results.weights == [1, 10, 10, 1], "moments 0.5 to 5.0 are nearer to the tenth frame, 5.5 to 10 to the next"


@pytest.mark.parametrize("every", [0.5, 1.0, 2.0])
def test_sliding_windows_begin_at_the_nearest_frames(every: float, shared: Path) -> None:
    file = str(shared / "cases" / "videos" / "vfr.mp4")
    with PyAVVideoReader(file) as video:
        times = (np.asarray(video.stamps) - video.stamps[0]) * float(video.time_base)
    results = slid(file, every)
    last = times[-8]
    moments = np.arange(0, last + 1e-9, every)
    nearest = [times[np.abs(times[:-7] - moment).argmin()] for moment in moments]
    assert [start for start, _ in results.spans] == pytest.approx(sorted({*nearest, last}), abs=1e-6)
    assert sum(results.weights) in (len(moments), len(moments) + 1)


@pytest.mark.parametrize("rate", [24, 25, 30, 30000 / 1001])
def test_sliding_windows_at_even_rates_do_not_drift_and_weigh_alike(rate: float) -> None:
    times = np.arange(3000) / rate
    first_frames, weights = nearest_frames(times, 0.7, 2992)
    assert set(weights) == {1}
    assert times[first_frames[:-1]] == pytest.approx(np.arange(len(first_frames) - 1) * 0.7, abs=0.5 / rate + 1e-9)
    assert first_frames[-1] == 2992


def test_sliding_windows_with_more_moments_than_frames() -> None:
    first_frames, weights = nearest_frames(np.arange(3000) / 25, 1e-7, 2992)
    assert first_frames == list(range(2993))
    assert sum(weights) == pytest.approx(2992 / 25 / 1e-7, rel=1e-6)


@pytest.mark.parametrize("every", [0.0, -1.0, float("nan"), float("inf")])
def test_sliding_windows_invalid_interval_is_refused(every: float, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        slid(film(tmp_path / "a.mp4", noise(9)), every)
    assert error.value.key == "every"


@pytest.mark.parametrize("rule", ["logits", "probabilities"])
def test_sliding_windows_prediction_of_the_video_weighs_time(rule: str) -> None:
    predictor = Predictor(
        network({"label": list("ab")}), classes={"label": list("ab")}, batch_size=1, device="cpu",
        preprocessing=Preprocessing(MultiViewSampler(**CLIP | {"crop": (32, 32)}, average=rule)),
    )  # fmt: skip
    logits = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]])
    results = predictor.aggregate(SlidingPrediction([(0.0, 1.0)] * 3, logits, [60, 1, 9]))
    each = logits if rule == "logits" else logits.softmax(1)
    expected = (each * torch.tensor([[60.0], [1.0], [9.0]])).sum(0) / 70
    torch.testing.assert_close(results.softmax(0), expected.softmax(0) if rule == "logits" else expected)
    alike = predictor.aggregate(SlidingPrediction([(0.0, 1.0)] * 3, logits, [1, 1, 1]))
    assert torch.equal(alike, ViewAggregator(get_aggregation(rule), [2])(logits[None])[0]), "to the bit as it was"
