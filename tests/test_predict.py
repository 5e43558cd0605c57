"""A checkpoint and a file are enough: what `predict.py` says is what the network says of those frames."""

import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from films import CLIP, HEADS, film, network, noise
from omegaconf import OmegaConf

from vivit.data.datamodule import VideoDataModule
from vivit.data.datasets import Motion
from vivit.data.find_videos import find_videos
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.readers.video_error import VideoError
from vivit.data.sliding_window import nearest_frames, sliding_windows
from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler
from vivit.data.views import CropBox
from vivit.evaluation import score, top_k
from vivit.launch import Job
from vivit.tasks import predict
from vivit.tasks.classifier import Classifier
from vivit.tasks.formats import Weights, write_ours


@pytest.fixture
def checkpoint(composed, tmp_path: Path) -> Path:
    """A network of two heads that was tested with 3x1 views."""
    cfg = composed("data=motion_verb_noun", "views.temporal=3", "data.frames=4", "data.root=/gone")
    data: Any = OmegaConf.to_container(cfg.data, resolve=True)
    write_ours(Weights(network(), "", HEADS, data), tmp_path / "net.ckpt")
    return tmp_path / "net.ckpt"


@pytest.fixture
def said(composed, checkpoint: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Predict as the command does; give what it wrote."""

    def said(video: Any, *words: str) -> dict[str, Any]:
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        cfg = composed(f"ckpt_path={checkpoint}", "workers=0", "device=cpu", *words, name="predict")
        cfg.video = video
        cfg.paths.run = str(folder)  # Hydra names it only within a run
        predict(cfg, Job(folder=folder, choices={}, overrides=list(words), sweep=None))
        return json.loads((folder / "predictions.json").read_text())

    return said


def test_answers_are_those_of_the_evaluation(said, small_motion: Path, capsys) -> None:
    """The loader, the views and the averaging of `eval.py`, on the files of a split."""
    found = said(str(small_motion / "test"), "top=null", "batch_size=7")
    data = VideoDataModule(
        root=str(small_motion), catalogue=partial(Motion, columns=["noun", "verb"]), **CLIP, augment=RandomViewSampler,
        views=partial(MultiViewSampler, temporal=3), batch_size=3, seed=0, workers=0,
    )  # fmt: skip
    with torch.inference_mode():
        logits = torch.cat([score(network(), b, clips_at_once=9).logits for b in data.test_dataloader()])
    assert found["views"] == "3x1"
    assert [Path(row["video"]).stem for row in found["predictions"]] == [f"{i:05d}" for i in range(17)]
    for row, expected in zip(found["predictions"], logits, strict=True):
        for head, part in zip(HEADS, expected.split([6, 8]), strict=True):
            told = {one["class"]: one["probability"] for one in row["classes"][head]}
            values = [told[name] for name in HEADS[head]]
            assert values == pytest.approx(part.softmax(0).tolist(), abs=1e-5)
        best = row["classes"]["action"][0]
        first = [row["classes"][head][0] for head in HEADS]
        assert (best["noun"], best["verb"]) == tuple(one["class"] for one in first)
        assert best["probability"] == pytest.approx(first[0]["probability"] * first[1]["probability"], rel=1e-4)
        assert len(row["classes"]["action"]) == 48
        assert sum(one["probability"] for one in row["classes"]["action"]) == pytest.approx(1, abs=1e-4)
    shown = capsys.readouterr().out
    assert first[0]["class"] in shown
    assert f"{100 * best['probability']:.1f} %" in shown


def test_the_last_head_counts_fastest_and_one_head_has_no_action() -> None:
    logits = torch.tensor([0.0, 9.0, 0.0, 0.0, 9.0])
    assert top_k(logits, {"noun": ["a", "b"], "verb": ["x", "y", "z"]}, 1)["action"] == [
        {"noun": "b", "verb": "z", "probability": pytest.approx(1, abs=1e-3)}
    ]
    alone = top_k(logits, {"label": list("abcde")}, 3)
    assert list(alone) == ["label"]
    assert [row["class"] for row in alone["label"]][2] in "acd"
    assert {row["class"] for row in alone["label"][:2]} == {"b", "e"}


def test_files_folders_patterns_and_lists_name_videos(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a/b").mkdir(parents=True)
    for name in ("a/2.mp4", "a/b/1.MKV", "a/notes.txt", "odd[1].mp4", "strange.xyz"):
        Path(name).write_bytes(b"")
    assert find_videos("a") == ["a/2.mp4", "a/b/1.MKV"]
    assert find_videos("a/*") == ["a/2.mp4", "a/b/1.MKV"], "a folder that matches stands for all below it"
    assert find_videos("**/*.MKV") == ["a/b/1.MKV"]
    assert find_videos(["strange.xyz", "a", "a/2.mp4"]) == ["strange.xyz", "a/2.mp4", "a/b/1.MKV"]
    assert find_videos("odd[1].mp4") == ["odd[1].mp4"], "a file that is there is no pattern"
    Path("pictures").mkdir()
    Path("pictures/frame_0000000007.jpg").write_bytes(b"")
    assert find_videos("pictures") == ["pictures"]


@pytest.mark.parametrize(
    ("video", "words", "message"),
    [
        ("no/such.mp4", [], "video=no/such.mp4: there is no such file"),
        ("empty", [], "video=empty: the folder contains no video"),
        ("empty/*.mp4", [], r"video=empty/\*.mp4: the pattern matches no video"),
        ([], [], r"video=\[\]: is an empty list"),
        ("sound.mp4", [], "sound.mp4: has no moving picture"),
        ("text.mp4", [], r"text.mp4: is text, no video; name videos themselves, as \[a,b\], or by"),
        (
            "good.mp4",
            ["ckpt_path=good.mp4"],
            "good.mp4 is not a checkpoint of this repository: it is no file that torch.save writes",
        ),
        ("good.mp4", ["ckpt_path=gone.ckpt"], "ckpt_path=gone.ckpt is not a file"),
        ("good.mp4", ["ckpt_path=other.ckpt"], "takes clips of 6 frames of 32x32, .* cut to 4 frames of 32x32"),
        ("good.mp4", ["top=0"], "top=0 must be at least 1"),
        ("good.mp4", ["every=0"], "every=0: is not a time between clips"),
        ("good.mp4", ["every=1", "views=4x3"], "every= slides one clip at a time"),
        ("good.mp4", ["batch_size=0"], "batch_size=0 must be a number, 1 or more"),
        ("good.mp4", ["workers=-1"], "^workers=-1 must be a number, 0 or more"),
        ("good.mp4", ["device=abacus"], "device=abacus cannot be used here"),
        ("good.mp4", ["+modl=1"], "unknown key 'modl'"),
        ("pictures", ["every=1"], "pictures: is a folder of pictures, which has no timestamps; leave every= out"),
    ],
)
def test_bad_input_is_one_clear_error(video, words, message, said, checkpoint, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("text.mp4").write_text("no video")
    film(Path("good.mp4"), noise(12))
    Path("pictures").mkdir()
    picture = av.VideoFrame.from_ndarray(noise(1)[0], format="rgb24").to_image()
    picture.save("pictures/frame_0000000001.jpg")
    with av.open("sound.mp4", "w") as container:
        stream = container.add_stream("aac", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    if "other.ckpt" in str(words):
        content = torch.load(checkpoint, weights_only=True)
        content["state_dict"] = {f"network.{k}": v for k, v in network(frames=6).state_dict().items()}
        content["vivit"]["model"]["frames"] = 6
        torch.save(content, "other.ckpt")
    with pytest.raises((ValueError, OSError), match=message) as error:
        said(video, *words)
    assert len(str(error.value)) < 400


def test_bad_videos_may_be_left_out_and_are_named(said, tmp_path: Path) -> None:
    film(tmp_path / "good.mp4", noise(12))
    (tmp_path / "text.mp4").write_text("no video")
    for words in ([], ["every=0.1"]):
        found = said(str(tmp_path / "*.mp4"), "skip_bad=true", *words)
        assert [Path(row["video"]).name for row in found["predictions"]] == ["good.mp4"]
        ((bad, why),) = found["left_out"].items()
        assert bad.endswith("text.mp4") and "is text, no video" in why


def test_a_clip_that_only_attention_cannot_read_may_be_left_out_too(said, tmp_path: Path, monkeypatch) -> None:
    film(tmp_path / "good.mp4", noise(12))
    bad = film(tmp_path / "halfway.mp4", noise(12))

    def damaged(classifier: Any, file: str, fuse: str, folder: Path) -> dict[str, Any]:
        if file == bad:
            raise VideoError(file, "frame 6 cannot be decoded")
        return {"moments": []}

    monkeypatch.setattr(sys.modules["vivit.tasks.predict"], "explained", damaged)
    found = said(str(tmp_path / "*.mp4"), "skip_bad=true", "explain=true")
    assert [Path(row["video"]).name for row in found["predictions"]] == ["good.mp4"]
    assert found["left_out"] == {bad: f"{bad}: frame 6 cannot be decoded"}
    with pytest.raises(VideoError, match="frame 6"):
        said(bad, "explain=true")


def test_clips_along_a_video_are_averaged_as_its_views_are(said, tmp_path: Path) -> None:
    file = film(tmp_path / "long.mp4", noise(60))
    words = ("every=0.2", "top=null", "views=1x1")
    (row,) = said(file, *words, "views.average=probabilities")["predictions"]
    (logits,) = said(file, *words)["predictions"]
    for head in HEADS:
        clips = [{one["class"]: one["probability"] for one in clip[head]} for clip in row["timeline"]]
        for one in row["classes"][head]:
            assert one["probability"] == pytest.approx(np.mean([clip[one["class"]] for clip in clips]), abs=1e-5)
    sure = [one["probability"] for one in row["classes"]["verb"]]
    assert sure != pytest.approx([one["probability"] for one in logits["classes"]["verb"]], abs=1e-3)


@pytest.mark.parametrize(
    ("length", "step", "offsets"),
    [(20, 5, [0, 5, 10, 12]), (18, 5, [0, 5, 10]), (8, 3, [0]), (3, 3, [0]), (9, 50, [0, 1])],
)
def test_clips_slide_to_the_very_end(length: int, step: int, offsets: list[int]) -> None:
    first_frames, weights = nearest_frames(np.arange(length) / 25, step / 25, max(0, length - 8))
    assert first_frames == offsets and set(weights) == {1}


STAMPS = {"even": None, "uneven": sorted({*range(0, 30, 3), *range(31, 60)} - {40, 41, 45})}


@pytest.mark.parametrize("crops", [1, 3])
@pytest.mark.parametrize("times", STAMPS)
def test_a_slid_clip_is_the_clip_at_its_place(times, crops, said, checkpoint, tmp_path: Path) -> None:
    """However the video is cut into stretches, every row says what the network says of those frames."""
    stamps = STAMPS[times]
    pixels = noise(len(stamps or range(37)))
    file = film(tmp_path / "long.mp4", pixels, stamps=stamps, bf=2)
    found = said(
        file, "every=0.12", "batch_size=6", "top=null", *([] if crops == 1 else ["views=1x1", "views.spatial=3"])
    )
    (row,) = found["predictions"]
    assert found["views"] == f"1x{crops}"
    seconds = (np.asarray(stamps or range(37)) - (stamps or [0])[0]) / 25
    until = [*seconds[1:], 2 * seconds[-1] - seconds[-2]]
    moments = np.arange(0, seconds[-8] + 1e-9, 0.12)
    offsets = sorted({int(np.abs(seconds - moment).argmin()) for moment in moments} | {len(seconds) - 8})
    assert len(row["timeline"]) == len(offsets) > 6
    views = MultiViewSampler(**{**CLIP, "crop": (32, 32)}, spatial=crops)
    with PyAVVideoReader(file) as video:
        whole = video.read(range(len(seconds)), [CropBox(0, 0, 40, 48)], (40, 48))[0]
        windows = list(dict.fromkeys(view.crop_box for view in views(video.shape)))
        shown = video.read(range(len(seconds)), windows, (32, 32))
    assert whole.shape[0] == len(seconds)
    means = []
    for told, offset in zip(row["timeline"], offsets, strict=True):
        clips = torch.from_numpy(shown[:, offset : offset + 8 : 2]).movedim(-1, 1).float() * 2 / 255 - 1
        with torch.inference_mode():
            logits = network()(clips).mean(0)
        means.append(logits)
        assert told["start"] == pytest.approx(seconds[offset], abs=1e-3)
        assert told["end"] == pytest.approx(until[offset + 7], abs=1e-3)
        values = {one["class"]: one["probability"] for one in told["verb"]}
        assert [values[name] for name in HEADS["verb"]] == pytest.approx(logits[6:].softmax(0).tolist(), abs=1e-5)
    values = {one["class"]: one["probability"] for one in row["classes"]["noun"]}
    shares = torch.tensor([float(clip["weight"]) for clip in row["timeline"]])
    mean = ((torch.stack(means) * shares[:, None]).sum(0) / shares.sum())[:6].softmax(0).tolist()
    assert [values[name] for name in HEADS["noun"]] == pytest.approx(mean, abs=1e-5)
    assert (tmp_path / "run" / "timeline.png").read_bytes().startswith(b"\x89PNG")


def test_a_video_shorter_than_a_clip_has_one(said, tmp_path: Path) -> None:
    found = said(film(tmp_path / "short.mp4", noise(5)), "every=0.04")
    assert [(row["start"], row["end"]) for row in found["predictions"][0]["timeline"]] == [(0.0, 0.2)]


def test_the_stretches_of_a_long_video_share_its_timestamps(tmp_path: Path) -> None:
    views = MultiViewSampler(**{**CLIP, "crop": (32, 32)})
    found = sliding_windows(film(tmp_path / "long.mp4", noise(60)), views, 0.2, clips_at_once=4)
    assert len(found.spans) == 12
    assert len(found.videos) == 3
    assert all(video.stamps is found.videos[0].stamps for video in found.videos)
    assert isinstance(found.videos[0].stamps, range)


@pytest.mark.parametrize("heads", ["mean", "max"])
def test_attention_is_drawn_for_the_clip_in_the_middle(heads: str, said, tmp_path: Path) -> None:
    film(tmp_path / "long.mp4", noise(29))
    film(tmp_path / "other.mp4", noise(12))
    both = said([str(tmp_path / "long.mp4"), str(tmp_path / "other.mp4")], "explain=true", f"heads={heads}")
    moments = both["predictions"][0]["attention"]["moments"]
    assert [row["second"] for row in moments] == [0.4, 0.56]  # 29 frames, 8 of a clip: it begins with the 11th
    assert sum(row["share"] for row in moments) == pytest.approx(1)
    for folder in ("0_long", "1_other"):
        with av.open(str(tmp_path / "run" / folder / "attention.mp4")) as video:
            stream = video.streams.video[0]
            assert (stream.codec_context.name, stream.height, stream.average_rate) == ("h264", 224, Fraction(25, 2))
            assert len(list(video.decode(video=0))) == 4
        for name in ("attention.png", "moments.png"):
            assert (tmp_path / "run" / folder / name).read_bytes().startswith(b"\x89PNG")


def test_heads_are_merged_by_name(said, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="heads=median is not one of mean, max"):
        said(film(tmp_path / "long.mp4", noise(9)), "explain=true", "heads=median")


@contextmanager
def memory() -> Iterator[dict[str, float]]:
    """Measure by how many MB this process grows at most."""
    found, done = {"mb": 0.0}, threading.Event()

    def now() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

    base = now()

    def watch() -> None:
        while not done.is_set():
            found["mb"] = max(found["mb"], now() - base)
            time.sleep(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield found
    finally:
        done.set()
        watcher.join()


@pytest.mark.skipif(sys.platform != "linux", reason="reads the size of this process where Linux tells it")
def test_memory_does_not_grow_with_the_length_of_a_video(composed, tmp_path: Path) -> None:
    """200 s and 20 s, a clip a second. Held at once, the clips of the longer one would be 110 MB, and the file over 60.

    What the allocator keeps for itself, up to 22 MB in some runs, must not tell.
    """
    heads = {"label": ["a", "b"]}
    data = {"frames": 20, "stride": 1, "resize": 96, "crop": [96, 96]}
    write_ours(Weights(network(heads, frames=20, height=96, width=96), "", heads, data), tmp_path / "net.ckpt")
    cfg = composed(
        *(f"ckpt_path={tmp_path / 'net.ckpt'}", "video=x", "workers=0", "device=cpu", "every=1"), name="predict"
    )
    classifier = Classifier.of(cfg, Job(tmp_path, {}, ["every=1"], None))
    files = {
        seconds: film(tmp_path / f"{seconds}.mp4", np.tile(noise(50, 192), (seconds // 10, 1, 1, 1)), rate=5, crf=4)
        for seconds in (20, 200)
    }
    assert Path(files[200]).stat().st_size > 60e6
    classifier.along(files[20], 1.0)  # what is loaded once
    grown = {}
    for seconds, file in files.items():
        with memory() as found:
            timeline = classifier.along(file, 1.0)
        assert len(timeline.logits) == seconds - 3
        grown[seconds] = found["mb"]
    assert grown[200] < grown[20] + 45, grown
