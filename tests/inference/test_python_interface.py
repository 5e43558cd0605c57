"""The Python interface: a network, a file of weights, predictions and exact frames, without Hydra and Lightning."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from films import HEADS, film, network, noise

import vivit
from vivit.checkpoints import save_huggingface, save_scenic
from vivit.data.readers.frame_array import FrameArrayReader
from vivit.data.readers.open_video import open_video
from vivit.errors import ConfigError, DataError, UserError
from vivit.inference.load import LoadedModel
from vivit.structures import Video, normalize_frames
from vivit.tasks.weight_formats import write_vivit

CLIP = {"frames": 4, "crop": [32, 32], "stride": 2, "resize": 36}
VIEWS = {"temporal": 2, "spatial": 1, "average": "logits"}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    write_vivit(LoadedModel(network(), "", HEADS, CLIP | {"views": VIEWS}), tmp_path / "net.ckpt")
    return tmp_path / "net.ckpt"


@pytest.fixture
def clip(tmp_path: Path) -> str:
    return film(tmp_path / "clip.mp4", noise(20))


def test_predictor_answers_as_the_network_does(checkpoint: Path, clip: str) -> None:
    """By hand: the mean of the logits of both views."""
    net, preprocessing = vivit.load(checkpoint)
    with vivit.VideoReader(clip) as reader:
        frames = reader[:]
    predictor = vivit.Predictor(checkpoint, device="cpu")
    for video, logits in (
        (open_video(Video(clip, ())), predictor.logits([clip])),
        (FrameArrayReader(frames), predictor.logits([frames])),
    ):
        views = preprocessing.resampling(video, preprocessing.views(video.shape), (32, 32))
        with torch.inference_mode():
            expected = net(normalize_frames(torch.from_numpy(views), torch.float32)).mean(0)
        torch.testing.assert_close(logits[0], expected, atol=1e-5, rtol=1e-5)
    again = vivit.Predictor(net, preprocessing=preprocessing, classes=HEADS, device="cpu").logits([clip])[0]
    assert torch.equal(again, predictor.logits([clip])[0])


def test_several_videos_and_arrays_keep_their_order(checkpoint: Path, clip: str, tmp_path: Path) -> None:
    predictor = vivit.Predictor(checkpoint, device="cpu", batch_size=3)
    other = np.zeros((9, 40, 48, 3), np.uint8)
    together = predictor([other, clip, Path(clip)], top_k=2)
    assert together[1] == together[2] == predictor(clip, top_k=2)
    assert together[0] == predictor(other, top_k=2)
    assert [len(row) for row in together[0].values()] == [2, 2, 2]
    assert sum(row["probability"] for row in predictor(clip, top_k=None)["verb"]) == pytest.approx(1, abs=1e-5)


def test_views_can_be_chosen(checkpoint: Path, clip: str) -> None:
    one = vivit.Predictor(checkpoint, views="1x1", device="cpu")
    assert one.preprocessing.views.temporal == 1
    assert not torch.equal(one.logits([clip]), vivit.Predictor(checkpoint, device="cpu").logits([clip]))
    with pytest.raises(ConfigError) as error:
        vivit.Predictor(checkpoint, views="many")
    assert error.value.key == "views"


@pytest.mark.parametrize(
    "frames", [np.zeros((4, 8, 8), np.uint8), np.zeros((4, 8, 8, 3)), np.zeros((0, 8, 8, 3), np.uint8)]
)
def test_arrays_of_another_kind_are_refused(frames: np.ndarray, checkpoint: Path) -> None:
    with pytest.raises(DataError, match="uint8"):
        vivit.Predictor(checkpoint, device="cpu")(frames)


def test_foreign_files_are_loaded_with_what_they_do_not_tell(tmp_path: Path, clip: str) -> None:
    net = vivit.create_model("spatiotemporal", size="tiny", num_classes=3, frames=4, image_size=32).eval()
    torch.nn.init.normal_(net.head.projection.weight)
    save_scenic(net, tmp_path / "checkpoint")
    save_huggingface(net, tmp_path / "theirs", labels=list("abc"))
    batch = torch.rand(2, 3, 4, 32, 32) * 2 - 1
    size = {"frames": 4, "height": 32, "width": 32}
    for path, options in ((tmp_path / "checkpoint", {"model": "spatiotemporal", **size}), (tmp_path / "theirs", {})):
        again, preprocessing = vivit.load(path, **options)
        assert torch.equal(again(batch), net(batch))
        assert (preprocessing.views.frames, preprocessing.views.crop) == (4, (32, 32))
    assert {row["class"] for row in vivit.Predictor(tmp_path / "theirs")(clip)["label"]} == set("abc")
    with pytest.raises(ConfigError) as error:
        vivit.load(tmp_path / "checkpoint", frames=4)
    assert error.value.key == "model"
    with pytest.raises(ConfigError) as error:
        vivit.load(tmp_path / "theirs", sizes=4)
    assert error.value.key == "sizes"
    with pytest.raises(UserError):
        vivit.load(tmp_path / "nowhere")


def test_predictor_needs_a_name_for_each_output(checkpoint: Path) -> None:
    with pytest.raises(ConfigError) as error:
        vivit.Predictor(checkpoint, classes={"label": ["a"]})
    assert error.value.key == "classes"
    with pytest.raises(ConfigError) as error:
        vivit.Predictor(network())
    assert error.value.key == "preprocessing"
    net, preprocessing = vivit.load(checkpoint)
    with pytest.raises(ConfigError) as error:
        vivit.Predictor(net, preprocessing=preprocessing, frames=4)
    assert error.value.key == "frames"
    assert vivit.Predictor(net, preprocessing=preprocessing, num_workers=3).preprocessing.workers == 3


def test_reader_returns_the_frames_of_a_plain_decode(clip: str) -> None:
    import av

    with av.open(clip) as container:
        expected = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    with vivit.VideoReader(clip) as reader:
        assert (len(reader), reader.size, reader.fps) == (20, (40, 48), pytest.approx(25))
        assert reader.timestamps.tolist() == pytest.approx([number / 25 for number in range(20)])
        assert np.abs(reader[:].astype(int) - expected).max() <= 3  # another rounding of libswscale
        whole = reader[:]
        assert np.array_equal(reader[[3, -1, 3]], whole[[3, 19, 3]])
        assert np.array_equal(reader[np.array([7, 2])], whole[[7, 2]])
        assert np.array_equal(reader[4], whole[4])
        assert np.array_equal(np.stack(list(reader)), whole)
        assert reader[[]].shape == (0, 40, 48, 3)
        for number in (20, -21):
            with pytest.raises(IndexError, match="20"):
                reader[number]
    with vivit.VideoReader(clip, 0.2, 0.4) as part:
        assert np.array_equal(part[:], whole[5:10])


@pytest.mark.slow
def test_interface_imports_neither_hydra_nor_lightning(checkpoint: Path, clip: str) -> None:
    code = f"""
import sys, vivit
assert "torch" not in sys.modules
vivit.create_model("factorised_encoder", size="tiny", num_classes=3, frames=4, image_size=32)
vivit.load({str(checkpoint)!r})
assert vivit.Predictor({str(checkpoint)!r}, device="cpu")({clip!r}, top_k=1)
with vivit.VideoReader({clip!r}) as reader:
    reader[0]
print([name for name in ("hydra", "omegaconf", "lightning", "torchmetrics") if name in sys.modules])
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
