"""All readers that are timed deliver the same clip; what is not installed is left out and named."""

import logging

import numpy as np
import pytest

from vivit.benchmarks import loader
from vivit.benchmarks.loader import installed, loader_rows, planned
from vivit.data.datasets.motion import encode
from vivit.data.view_samplers import RandomViewSampler

VIEW = RandomViewSampler(frames=6, stride=2, resize=64, crop=(48, 56), random_crop=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two videos of drifting waves, coarse enough that ways of scaling agree, in every pixel of every frame other."""
    folder = tmp_path_factory.mktemp("videos")
    y, x = (axis[..., None] for axis in np.mgrid[:72, :96])
    for name, speed in (("a", 0.5), ("b", 0.8)):
        time = np.arange(30)[:, None, None, None]
        waves = 128 + 90 * np.sin(x / 21 + y / 17 + speed * time + np.arange(3))
        encode(waves.astype(np.uint8), folder / f"{name}.mp4")
    return folder


@pytest.mark.parametrize("name", ["ours", "pytorchvideo", "torchcodec", "decord"])
def test_every_reader_delivers_the_same_clip(folder, name):
    rng = np.random.default_rng(3)
    readers = installed()
    if name not in readers:
        pytest.skip(f"{name} is not installed")
    for file in (folder / "a.mp4", folder / "b.mp4"):
        wanted = planned(file, VIEW, rng)
        clip, right = readers[name](wanted), readers["ours"](wanted)
        assert clip.shape == (6, 48, 56, 3)
        assert clip.dtype == np.uint8
        assert np.abs(clip.astype(float) - right).mean() < 4
        assert np.abs(np.roll(clip, 1, 0).astype(float) - right).mean() > 12


def test_rows_say_who_took_how_long(folder, caplog, monkeypatch):
    monkeypatch.setattr(loader, "PEERS", {"no_such_package": loader.ours})
    with caplog.at_level(logging.WARNING):
        rows = loader_rows(
            videos=str(folder), gop=6, quality=18, plans=4, frames=6, stride=2, resize=64, crop=[48, 56], workers=0,
            rounds=1, seed=1,
        )  # fmt: skip
    assert [row["name"] for row in rows] == ["ours", "bare_decode", "ours_prepared"]
    assert "no_such_package is not installed" in caplog.text
    for row in rows:
        assert 0 < row["min"] <= row["ms_per_clip"] <= row["max"]
        assert row["clips"] == 4
    assert rows[0]["clips_per_second"] > 0


def test_a_peer_that_cannot_be_loaded_is_left_out(tmp_path, monkeypatch, caplog):
    (tmp_path / "broken_peer.py").write_text("raise RuntimeError('no library\\nand much more')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(loader, "PEERS", {"broken_peer": loader.ours})
    with caplog.at_level(logging.WARNING):
        assert installed().keys() == {"ours", "bare_decode"}
    assert "left out: broken_peer cannot be loaded (is ffmpeg installed?): no library" in caplog.text
    assert "much more" not in caplog.text


def test_a_folder_without_videos_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no video"):
        loader_rows(
            videos=str(tmp_path),
            gop=6,
            quality=18,
            plans=4,
            frames=6,
            stride=2,
            resize=64,
            crop=[9, 9],
            workers=0,
            rounds=1,
            seed=1,
        )
