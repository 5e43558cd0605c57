"""All readers return the same clip; those that are not installed are left out with a warning."""

import logging

import numpy as np
import pytest

from vivit.benchmarks import loader
from vivit.benchmarks.loader import available_readers, loader_rows, plan_clip
from vivit.data.datasets.motion import encode
from vivit.data.view_samplers import RandomViewSampler
from vivit.errors import ConfigError

VIEW = RandomViewSampler(frames=6, stride=2, resize=64, crop=(48, 56), random_crop=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two videos of drifting waves, coarse enough that ways of scaling agree; every frame differs in every pixel."""
    folder = tmp_path_factory.mktemp("videos")
    y, x = (axis[..., None] for axis in np.mgrid[:72, :96])
    for name, speed in (("a", 0.5), ("b", 0.8)):
        time = np.arange(30)[:, None, None, None]
        waves = 128 + 90 * np.sin(x / 21 + y / 17 + speed * time + np.arange(3))
        encode(waves.astype(np.uint8), folder / f"{name}.mp4")
    return folder


@pytest.mark.parametrize("name", ["ours", "pytorchvideo", "torchcodec", "decord"])
def test_readers_return_the_same_clip(folder, name):
    rng = np.random.default_rng(3)
    readers = available_readers()
    if name not in readers:
        pytest.skip(f"{name} is not installed")
    for file in (folder / "a.mp4", folder / "b.mp4"):
        request = plan_clip(file, VIEW, rng)
        clip, expected = readers[name](request), readers["ours"](request)
        assert clip.shape == (6, 48, 56, 3)
        assert clip.dtype == np.uint8
        assert np.abs(clip.astype(float) - expected).mean() < 4
        assert np.abs(np.roll(clip, 1, 0).astype(float) - expected).mean() > 12


def test_loader_rows_have_the_times_of_installed_readers(folder, caplog, monkeypatch):
    monkeypatch.setattr(loader, "BASELINES", {"no_such_package": loader.read_native})
    with caplog.at_level(logging.WARNING):
        rows = loader_rows(
            videos=str(folder), gop=6, crf=18, num_clips=4, frames=6, stride=2, resize=64, crop=[48, 56], num_workers=0,
            num_passes=1, seed=1,
        )  # fmt: skip
    assert [row["name"] for row in rows] == ["ours", "bare_decode", "ours_prepared"]
    assert "no_such_package is not installed" in caplog.text
    for row in rows:
        assert 0 < row["min"] <= row["ms_per_clip"] <= row["max"]
        assert row["clips"] == 4
    assert rows[0]["clips_per_second"] > 0


def test_reader_that_cannot_be_loaded_is_left_out(tmp_path, monkeypatch, caplog):
    (tmp_path / "broken_package.py").write_text("raise RuntimeError('no library\\nand much more')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(loader, "BASELINES", {"broken_package": loader.read_native})
    with caplog.at_level(logging.WARNING):
        assert available_readers().keys() == {"ours", "bare_decode"}
    assert "left out: broken_package cannot be loaded (is ffmpeg installed?): no library" in caplog.text
    assert "much more" not in caplog.text


@pytest.mark.parametrize("folder", ["", "missing"])
def test_folder_without_videos_is_a_config_error(tmp_path, folder):
    with pytest.raises(ConfigError) as error:
        loader_rows(
            videos=str(tmp_path / folder),
            gop=6,
            crf=18,
            num_clips=4,
            frames=6,
            stride=2,
            resize=64,
            crop=[9, 9],
            num_workers=0,
            num_passes=1,
            seed=1,
        )
    assert (error.value.key, error.value.value) == ("bench.videos", str(tmp_path / folder))
