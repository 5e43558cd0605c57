"""Predictions of `predict.py` from a checkpoint and a file are the network's logits of those frames."""

import csv
import io
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
from films import CLIP, HEADS, film, network, noise, piped, remuxed
from omegaconf import OmegaConf

from vivit.benchmarks.storage_server import serving
from vivit.data.datamodule import VideoDataModule
from vivit.data.find_videos import find_videos
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.readers.video_error import VideoError
from vivit.data.sliding_window import SlidingVideo, nearest_frames
from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler
from vivit.data.views import CropBox
from vivit.errors import ConfigError, DataError, UserError
from vivit.evaluation import score, top_k
from vivit.inference.load import LoadedModel
from vivit.launch import Job
from vivit.structures import Video
from vivit.tasks.clip_settings import data_record
from vivit.tasks.predict import predict
from vivit.tasks.predict_live import LiveLine
from vivit.tasks.predict_sources import predict_sources
from vivit.tasks.prediction_tables import print_predictions, write_predictions_csv
from vivit.tasks.predictor import build_predictor
from vivit.tasks.weight_formats import write_vivit


@pytest.fixture
def checkpoint(composed, tmp_path: Path) -> Path:
    """A network of two heads that was tested with 3x1 views."""
    cfg = composed("data=motion_verb_noun", "views.temporal=3", "data.frames=4", "data.root=/gone")
    data: Any = OmegaConf.to_container(cfg.data, resolve=True)
    write_vivit(LoadedModel(network(), "", HEADS, **data_record(data)), tmp_path / "net.ckpt")
    return tmp_path / "net.ckpt"


@pytest.fixture
def predicted(composed, checkpoint: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Predict as the command does; give what it wrote."""

    def predicted(video: Any, *words: str) -> dict[str, Any]:
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        cfg = composed(f"ckpt_path={checkpoint}", "num_workers=0", "device=cpu", *words, name="predict")
        cfg.video = video
        cfg.paths.run = str(folder)  # Hydra names it only within a run
        predict(cfg, Job(folder=folder, choices={}, overrides=list(words), sweep=None))
        return json.loads((folder / "predictions.json").read_text())

    return predicted


@pytest.mark.slow
def test_predictions_equal_the_evaluation(predicted, small_motion: Path, capsys) -> None:
    """The loader, the views and the averaging of `eval.py`, on the files of a split."""
    found = predicted(str(small_motion / "test"), "top_k=null", "batch_size=7")
    data = VideoDataModule(
        root=str(small_motion), dataset={"name": "motion", "label_columns": ["noun", "verb"]}, **CLIP,
        augment=RandomViewSampler, views=partial(MultiViewSampler, temporal=3), batch_size=3, seed=0, num_workers=0,
    )  # fmt: skip
    with torch.inference_mode():
        logits = torch.cat([score(network(), b, clips_at_once=9).logits for b in data.test_dataloader()])
    assert found["views"] == "3x1"
    assert [Path(row["video"]).stem for row in found["predictions"]] == [f"{i:05d}" for i in range(17)]
    for row, expected in zip(found["predictions"], logits, strict=True):
        for head, part in zip(HEADS, expected.split([len(names) for names in HEADS.values()]), strict=True):
            told = {one["class"]: one["probability"] for one in row["classes"][head]}
            values = [told[name] for name in HEADS[head]]
            assert values == pytest.approx(part.softmax(0).tolist(), abs=1e-5)
        best = row["classes"]["action"][0]
        first = [row["classes"][head][0] for head in HEADS]
        assert (best["noun"], best["verb"]) == tuple(one["class"] for one in first)
        assert best["probability"] == pytest.approx(first[0]["probability"] * first[1]["probability"], rel=1e-4)
        assert len(row["classes"]["action"]) == 144
        assert sum(one["probability"] for one in row["classes"]["action"]) == pytest.approx(1, abs=1e-4)
    shown = capsys.readouterr().out
    assert first[0]["class"] in shown
    assert f"{100 * best['probability']:.1f} %" in shown


class Terminal(io.StringIO):
    """An output that is a terminal, or none."""

    def __init__(self, *, interactive: bool) -> None:
        super().__init__()
        self.isatty = lambda: interactive  # type: ignore[method-assign]


@pytest.mark.parametrize("interactive", [False, True])
def test_a_pipe_shows_its_classes_as_they_come_and_writes_every_window(
    interactive: bool, predicted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = film(tmp_path / "long.mp4", noise(75))
    expected = predicted(file, "every=0.16", "views=1x1", "top_k=null")["predictions"][0]["timeline"]
    shown = Terminal(interactive=interactive)
    with piped(remuxed(file, "matroska", tmp_path), monkeypatch):
        monkeypatch.setattr(sys, "stdout", shown)
        results = predicted("-", "top_k=null")
    rows = [json.loads(line) for line in (tmp_path / "run" / "timeline.jsonl").read_text().splitlines()]
    assert (results["windows"], results["interrupted"]) == (len(rows), False)
    assert len(rows) == len(expected) == 18
    for row, other in zip(rows[:-1], expected[:-1], strict=True):  # the last clip of a file ends with its last frame
        assert row["logits"] == pytest.approx(other["logits"], abs=2e-5)
        assert row["verb"][0]["class"] == other["verb"][0]["class"]
        assert row["start"] == pytest.approx(other["start"], abs=1e-3)
    best = f"{rows[-1]['verb'][0]['class']} {100 * rows[-1]['verb'][0]['probability']:.0f} %"
    lines = shown.getvalue().splitlines()
    if interactive:
        assert shown.getvalue().count("\r") == 18 and best in shown.getvalue()
    else:
        assert "\r" not in shown.getvalue()
        assert [float(line.split()[0]) for line in lines[:-1]] == pytest.approx([0.3, 1.1, 2.1, 3.0])
    assert lines[-1].startswith("18 windows of 3.0 s")


def test_an_interrupt_ends_a_pipe_as_its_end_does(predicted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, shown = film(tmp_path / "long.mp4", noise(75)), LiveLine.show

    def interrupt(self: LiveLine, row: Any, *others: Any) -> None:
        shown(self, row, *others)
        if row["end"] > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(LiveLine, "show", interrupt)
    with piped(remuxed(file, "mpegts", tmp_path), monkeypatch):
        results = predicted("-")
    assert results["interrupted"] is True
    assert results["windows"] == len((tmp_path / "run" / "timeline.jsonl").read_text().splitlines()) == 6


def test_a_pipe_cannot_be_explained(predicted, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can be read again") as error:
        predicted("-", "explain=true")
    assert error.value.key == "explain"


def test_top_k_of_several_heads_has_actions() -> None:
    logits = torch.tensor([0.0, 9.0, 0.0, 0.0, 9.0])
    assert top_k(logits, {"noun": ["a", "b"], "verb": ["x", "y", "z"]}, 1)["action"] == [
        {"noun": "b", "verb": "z", "probability": pytest.approx(1, abs=1e-3)}
    ]
    alone = top_k(logits, {"label": list("abcde")}, 3)
    assert list(alone) == ["label"]
    assert [row["class"] for row in alone["label"]][2] in "acd"
    assert {row["class"] for row in alone["label"][:2]} == {"b", "e"}


def test_find_videos_of_files_folders_patterns_and_lists(tmp_path: Path, monkeypatch) -> None:
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
    ("video", "words", "key", "message"),
    [
        ("no/such.mp4", [], "video", "video=no/such.mp4: there is no such file"),
        ("empty", [], "video", "video=empty: the folder contains no video"),
        ("empty/*.mp4", [], "video", r"video=empty/\*.mp4: the pattern matches no video"),
        ([], [], "video", r"video=\[\]: is an empty list"),
        ("sound.mp4", [], None, "sound.mp4: has no moving picture"),
        ("text.mp4", [], None, r"text.mp4: is text, no video; name videos themselves, as \[a,b\], or by"),
        ("good.mp4", ["ckpt_path=good.mp4"], None, "good.mp4: is not a checkpoint of this repository"),
        ("good.mp4", ["ckpt_path=gone.ckpt"], "ckpt_path", "ckpt_path=gone.ckpt: there is no such file"),
        (
            "good.mp4",
            ["ckpt_path=other.ckpt"],
            "preprocessing",
            "takes clips of 6 frames of 32x32, .* cut to 4 frames of 32x32",
        ),
        ("good.mp4", ["top_k=0"], "top_k", "top_k=0"),
        ("good.mp4", ["every=0"], "every", "every=0: is not a time between clips"),
        ("good.mp4", ["every=1", "views=4x3"], "every", "slides one clip at a time"),
        ("good.mp4", ["batch_size=0"], "batch_size", "batch_size=0: is not possible; set a number, 1 or more"),
        ("good.mp4", ["num_workers=-1"], "num_workers", "^num_workers=-1: is not possible; set a number, 0 or more"),
        ("good.mp4", ["device=abacus"], "device", "device=abacus: cannot be used here"),
        ("good.mp4", ["+modl=1"], "modl", "unknown key"),
        ("pictures", ["every=1"], None, "pictures: is a folder of pictures, which has no timestamps; leave every= out"),
    ],
)
def test_wrong_options_and_files_are_typed_errors(
    video, words, key, message, predicted, checkpoint, tmp_path: Path, monkeypatch
) -> None:
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
        content["vivit"]["config"]["frames"] = 6
        torch.save(content, "other.ckpt")
    with pytest.raises(UserError, match=message) as error:
        predicted(video, *words)
    assert getattr(error.value, "key", None) == key
    assert len(str(error.value)) < 400


def test_unreadable_videos_are_left_out(predicted, tmp_path: Path) -> None:
    film(tmp_path / "good.mp4", noise(12))
    (tmp_path / "text.mp4").write_text("no video")
    for words in ([], ["every=0.1"]):
        found = predicted(str(tmp_path / "*.mp4"), "skip_unreadable=true", *words)
        assert [Path(row["video"]).name for row in found["predictions"]] == ["good.mp4"]
        ((bad, why),) = found["skipped_videos"].items()
        assert bad.endswith("text.mp4") and "is text, no video" in why


def test_videos_without_attention_are_left_out(predicted, tmp_path: Path, monkeypatch) -> None:
    film(tmp_path / "good.mp4", noise(12))
    bad = film(tmp_path / "halfway.mp4", noise(12))

    def damaged(predictor: Any, video: Video, fuse: str, folder: Path, classes: Any, name: str) -> dict[str, Any]:
        assert name == Path(video.path).name, "what the pictures are captioned with"
        if video.path == bad:
            raise VideoError(bad, "frame 6 cannot be decoded")
        return {"moments": []}

    monkeypatch.setattr("vivit.inference.clip_attention.save_attention", damaged)
    found = predicted(str(tmp_path / "*.mp4"), "skip_unreadable=true", "explain=true")
    assert [Path(row["video"]).name for row in found["predictions"]] == ["good.mp4"]
    assert found["skipped_videos"] == {bad: f"{bad}: frame 6 cannot be decoded"}
    with pytest.raises(VideoError, match="frame 6"):
        predicted(bad, "explain=true")


def test_sliding_predictions_are_averaged_as_views(predicted, tmp_path: Path) -> None:
    file = film(tmp_path / "long.mp4", noise(60))
    words = ("every=0.2", "top_k=null", "views=1x1")
    (row,) = predicted(file, *words, "views.average=probabilities")["predictions"]
    (logits,) = predicted(file, *words)["predictions"]
    for head in HEADS:
        clips = [{one["class"]: one["probability"] for one in clip[head]} for clip in row["timeline"]]
        for one in row["classes"][head]:
            assert one["probability"] == pytest.approx(np.mean([clip[one["class"]] for clip in clips]), abs=1e-5)
    sure = [one["probability"] for one in row["classes"]["verb"]]
    assert sure != pytest.approx([one["probability"] for one in logits["classes"]["verb"]], abs=1e-3)


@pytest.mark.slow
def test_an_address_is_predicted_as_the_file_and_no_other_address_is_taken(predicted, tmp_path: Path) -> None:
    film(tmp_path / "clip.mp4", noise(60))
    with serving(tmp_path) as server:
        address = f"{server.address}/clip.mp4"
        (tmp_path / "list.csv").write_text(f"path,end\n{address}?token=hush,1\n")
        for words in ((), ("every=0.5", "views=1x1")):
            (expected,) = predicted(str(tmp_path / "clip.mp4"), *words)["predictions"]
            (row,) = predicted(address, *words)["predictions"]
            assert (row["video"], row["name"]) == (address, address)
            assert row["classes"] == expected["classes"]
        (row,) = predicted(str(tmp_path / "list.csv"))["predictions"]
        assert row["video"] == address, "without its secret"
        with pytest.raises(VideoError, match="gone.mp4: there is no such file"):
            predicted(f"{server.address}/gone.mp4")
    with pytest.raises(ConfigError, match=r"^video=s3://bucket/videos: is no address of a video"):
        predict_sources("s3://bucket/videos", None)
    with pytest.raises(ConfigError, match=r"^video=https://h/a\.mp4: was typed with a password"):
        predict_sources("https://me:hush@h/a.mp4", None)


@pytest.mark.parametrize(
    ("length", "step", "offsets"),
    [(20, 5, [0, 5, 10, 12]), (18, 5, [0, 5, 10]), (8, 3, [0]), (3, 3, [0]), (9, 50, [0, 1])],
)
def test_sliding_clips_reach_the_end(length: int, step: int, offsets: list[int]) -> None:
    first_frames, weights = nearest_frames(np.arange(length) / 25, step / 25, max(0, length - 8))
    assert first_frames == offsets and set(weights) == {1}


STAMPS = {"even": None, "uneven": sorted({*range(0, 30, 3), *range(31, 60)} - {40, 41, 45})}


@pytest.mark.parametrize("crops", [1, 3])
@pytest.mark.parametrize("times", STAMPS)
def test_sliding_predictions_equal_those_of_single_clips(times, crops, predicted, checkpoint, tmp_path: Path) -> None:
    """However the video is cut into stretches, every row says what the network says of those frames."""
    stamps = STAMPS[times]
    pixels = noise(len(stamps or range(37)))
    file = film(tmp_path / "long.mp4", pixels, stamps=stamps, bf=2)
    found = predicted(
        file, "every=0.12", "batch_size=6", "top_k=null", *([] if crops == 1 else ["views=1x1", "views.spatial=3"])
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
        assert [values[name] for name in HEADS["verb"]] == pytest.approx(
            logits[len(HEADS["noun"]) :].softmax(0).tolist(), abs=1e-5
        )
    values = {one["class"]: one["probability"] for one in row["classes"]["noun"]}
    shares = torch.tensor([float(clip["weight"]) for clip in row["timeline"]])
    mean = ((torch.stack(means) * shares[:, None]).sum(0) / shares.sum())[: len(HEADS["noun"])].softmax(0).tolist()
    assert [values[name] for name in HEADS["noun"]] == pytest.approx(mean, abs=1e-5)
    assert (tmp_path / "run" / "timeline.png").read_bytes().startswith(b"\x89PNG")


def test_sliding_prediction_of_a_short_video_has_one_clip(predicted, tmp_path: Path) -> None:
    found = predicted(film(tmp_path / "short.mp4", noise(5)), "every=0.04")
    assert [(row["start"], row["end"]) for row in found["predictions"][0]["timeline"]] == [(0.0, 0.2)]


def test_segments_of_a_long_video_share_its_timestamps(tmp_path: Path) -> None:
    views = MultiViewSampler(**{**CLIP, "crop": (32, 32)})
    video = SlidingVideo(film(tmp_path / "long.mp4", noise(60)), views)
    windows = video.windows(0.2)
    assert len(windows.spans) == 12
    found = video.segments(windows.numbers, clips_at_once=4)
    assert len(found.videos) == 3
    assert all(video.stamps is found.videos[0].stamps for video in found.videos)
    assert isinstance(found.videos[0].stamps, range)


@pytest.mark.parametrize("heads", ["mean", "max"])
def test_attention_pictures_of_the_middle_clip(heads: str, predicted, tmp_path: Path, capsys) -> None:
    film(tmp_path / "long.mp4", noise(29))
    film(tmp_path / "other.mp4", noise(12))
    both = predicted([str(tmp_path / "long.mp4"), str(tmp_path / "other.mp4")], "explain=true", f"head_fusion={heads}")
    names = ("attention.mp4", "attention.png", "moments.png")
    drawn = ", ".join(f"{folder}/{name}" for folder in ("0_long", "1_other") for name in names)
    assert f"Pictures: {drawn}\n" in capsys.readouterr().out
    moments = both["predictions"][0]["attention"]["moments"]
    assert [row["second"] for row in moments] == [0.4, 0.56]  # 29 frames, 8 of a clip: it begins with the 11th
    assert sum(row["share"] for row in moments) == pytest.approx(1)
    for folder in ("0_long", "1_other"):
        with av.open(str(tmp_path / "run" / folder / "attention.mp4")) as video:
            stream = video.streams.video[0]
            assert (stream.codec_context.name, stream.width, stream.average_rate) == ("h264", 6 * 48, Fraction(25, 2))
            assert stream.height > 6 * 40, "with a caption"
            assert len(list(video.decode(video=0))) == 4
        for name in ("attention.png", "moments.png"):
            assert (tmp_path / "run" / folder / name).read_bytes().startswith(b"\x89PNG")


def test_unknown_head_fusion_is_refused(predicted, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        predicted(film(tmp_path / "long.mp4", noise(9)), "explain=true", "head_fusion=median")
    assert str(error.value) == "head_fusion=median: is unknown; set one of mean, max"


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def test_names_tell_files_of_a_folder_apart(predicted, tmp_path: Path, capsys) -> None:
    for place in ("a", "b/c"):
        (tmp_path / "videos" / place).mkdir(parents=True)
        film(tmp_path / "videos" / place / "same.mp4", noise(12))
    typed = str(tmp_path / "videos")
    found = predicted(typed, "top_k=2")["predictions"]
    assert [row["video"] for row in found] == [f"{typed}/a/same.mp4", f"{typed}/b/c/same.mp4"]
    assert [row["name"] for row in found] == ["a/same.mp4", "b/c/same.mp4"]
    printed = capsys.readouterr().out
    assert "a/same.mp4" in printed and "b/c/same.mp4" in printed
    rows = rows_of(tmp_path / "run" / "predictions.csv")
    assert [row["video"] for row in rows] == ["a/same.mp4", "b/c/same.mp4"]
    columns = [f"{head}{part}{rank}" for head in HEADS for rank in ("", "_2") for part in ("", "_probability")]
    assert list(rows[0]) == ["video", *columns], "and no label"
    for head in HEADS:
        (first, second) = found[0]["classes"][head]
        assert (rows[0][head], rows[0][f"{head}_2"]) == (first["class"], second["class"])
        assert float(rows[0][f"{head}_probability_2"]) == pytest.approx(second["probability"], abs=1e-4)
    two = predicted([f"{typed}/a", f"{typed}/b"])["predictions"]
    assert [row["name"] for row in two] == ["same.mp4", "c/same.mp4"]
    two = predicted([f"{typed}/a", f"{typed}/b/c"])["predictions"]
    assert [row["name"] for row in two] == [f"{typed}/a/same.mp4", f"{typed}/b/c/same.mp4"], "or both were same.mp4"
    two = predicted([f"{typed}/a/same.mp4", f"{typed}/b/c/same.mp4"])["predictions"]
    assert [row["name"] for row in two] == ["a/same.mp4", "b/c/same.mp4"]
    assert predicted(f"{typed}/*/same.mp4")["predictions"][0]["name"] == "a/same.mp4"


def test_every_row_of_a_list_is_predicted(predicted, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    file = film(tmp_path / "clips" / "größe, 1.mp4", noise(60))
    (tmp_path / "list.csv").write_text(
        'path,label,start,end\n"clips/größe, 1.mp4",up,,\n"clips/größe, 1.mp4",,0.4,1.2\n"clips/größe, 1.mp4",up,,\n',
        encoding="utf-8",
    )
    first, segment, again = predicted(str(tmp_path / "list.csv"), "explain=true")["predictions"]
    assert first["video"] == again["video"] == file
    assert (first["label"], segment["label"], again["label"]) == ("up", "", "up")
    assert segment["name"] == "clips/größe, 1.mp4 0.4-1.2 s"
    of_rows = [[row["probability"] for row in each["classes"]["noun"]] for each in (first, again, segment)]
    assert of_rows[0] == pytest.approx(of_rows[1], abs=1e-5)
    assert of_rows[0] != pytest.approx(of_rows[2], abs=1e-3)
    assert len(list((tmp_path / "run").glob("*/attention.mp4"))) == 3
    rows = rows_of(tmp_path / "run" / "predictions.csv")
    assert [row["label"] for row in rows] == ["up", "", "up"]
    assert [row["video"] for row in rows] == [first["name"], segment["name"], again["name"]]
    with pytest.raises(ConfigError, match=r"every=0.5: .* is a segment"):
        predicted(str(tmp_path / "list.csv"), "every=0.5")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path\ngood.mp4\ngone.mp4\n", r"list.csv, row 3, column path: there is no .*gone.mp4; paths are relative"),
        ("film\ngood.mp4\n", "list.csv, row 1, column path: has no column path; its columns are film"),
        ("path\n", "list.csv: lists no video"),
        ("path,start,end\ngood.mp4,2,1\n", "list.csv, row 2, column end: '1' is not after the segment's start"),
    ],
)
def test_list_that_cannot_be_read_is_one_error_about_its_row(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "good.mp4").write_bytes(b"")
    (tmp_path / "list.csv").write_text(text)
    with pytest.raises(DataError, match=message):
        predict_sources(str(tmp_path / "list.csv"), None)
    with pytest.raises(ConfigError, match="gone.csv: there is no such file"):
        predict_sources(str(tmp_path / "gone.csv"), None)


def test_csv_of_one_head_has_classes_and_what_could_not_be_read(tmp_path: Path) -> None:
    answer = {"label": [{"class": "a,b", "probability": 0.75}, {"class": "c", "probability": 0.25}]}
    tags = {"label": [{"class": name, "probability": p, "threshold": 0.5} for name, p in (("x", 0.9), ("y", 0.6))]}
    for classes, expected in (
        (answer, 'video,class,probability,class_2,probability_2,problem\n1.mp4,"a,b",0.7500,c,0.2500,\n'),
        (tags, "video,class,probability,problem\n1.mp4,x; y,0.9000; 0.6000,\n"),
        ({"label": []}, "video,class,probability,problem\n1.mp4,,,\n"),
    ):
        rows = [{"name": "1.mp4", "classes": classes}]
        write_predictions_csv(tmp_path / "p.csv", rows, {"2.mp4": "2.mp4: is damaged"})
        text = (tmp_path / "p.csv").read_text()
        assert text.startswith(expected) and text.endswith("2.mp4: is damaged\n")


def test_table_of_one_head_does_not_repeat_its_name(capsys) -> None:
    rows = [{"name": "[x]/1.mp4", "classes": {"label": [{"class": "a", "probability": 0.75}]}}]
    print_predictions(rows)
    printed = capsys.readouterr().out
    assert "[x]/1.mp4" in printed and "75.0 %" in printed and "label" not in printed


def test_attention_is_drawn_on_the_video_and_not_on_the_clip(composed, checkpoint: Path, tmp_path: Path) -> None:
    """A network that sees 32 x 32 pixels of a film of 80 x 160."""
    from vivit.inference.clip_attention import rollout_video

    file = film(tmp_path / "wide.mp4", np.tile(noise(20, 80)[:, :, :80], (1, 1, 2, 1)), crf=1)
    cfg = composed(f"ckpt_path={checkpoint}", "video=x", "num_workers=0", "device=cpu", name="predict")
    attention = rollout_video(build_predictor(cfg, Job(tmp_path, {}, [], None)), file, "mean")
    assert attention.frames.shape == (4, 80, 160, 3)
    box = attention.box
    assert (box.height, box.width) == (72, 72) and box.top > 0 and box.left == pytest.approx(44, abs=2)
    pictures = attention.pictures()
    assert pictures.shape == (4, 240, 480, 3)
    outside = pictures[:, :, : 3 * box.left].astype(float)
    assert outside.mean() == pytest.approx(0.45 * attention.frames[:, :, : box.left].mean(), rel=0.05)
    assert (attention.pictures()[:, 3 * box.top : -30] != 0).any()


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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the size of this process where Linux tells it")
def test_sliding_prediction_memory_does_not_grow_with_the_video(composed, tmp_path: Path) -> None:
    """200 s and 20 s, a clip a second. Held at once, the clips of the longer one would be 110 MB, and the file over 60.

    What the allocator keeps for itself, up to 22 MB in some runs, must not tell.
    """
    heads = {"label": ["a", "b"]}
    data = {"frames": 20, "stride": 1, "resize": 96, "crop": [96, 96]}
    write_vivit(
        LoadedModel(network(heads, frames=20, height=96, width=96), "", heads, **data_record(data)),
        tmp_path / "net.ckpt",
    )
    cfg = composed(
        *(f"ckpt_path={tmp_path / 'net.ckpt'}", "video=x", "num_workers=0", "device=cpu", "every=1"), name="predict"
    )
    predictor = build_predictor(cfg, Job(tmp_path, {}, ["every=1"], None))
    files = {
        seconds: film(tmp_path / f"{seconds}.mp4", np.tile(noise(50, 192), (seconds // 10, 1, 1, 1)), rate=5, crf=4)
        for seconds in (20, 200)
    }
    assert Path(files[200]).stat().st_size > 60e6
    predictor.predict_sliding(files[20], 1.0)  # what is loaded once
    grown = {}
    for seconds, file in files.items():
        with memory() as found:
            timeline = predictor.predict_sliding(file, 1.0)
        assert len(timeline.logits) == seconds - 3
        grown[seconds] = found["mb"]
    assert grown[200] < grown[20] + 45, grown


def test_a_segment_that_cannot_be_read_is_named_and_its_neighbour_is_not(predicted, tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", noise(30))
    (tmp_path / "list.csv").write_text("path,start,end\na.mp4,0,1\na.mp4,500,501\n")
    results = predicted(str(tmp_path / "list.csv"), "skip_unreadable=true")
    assert [row["name"] for row in results["predictions"]] == ["a.mp4 0-1 s"]
    assert list(results["skipped_videos"]) == ["a.mp4 500-501 s"]
    with (tmp_path / "run" / "predictions.csv").open() as text:
        rows = [(row["video"], bool(row["class"] if "class" in row else row["verb"])) for row in csv.DictReader(text)]
    assert rows == [("a.mp4 0-1 s", True), ("a.mp4 500-501 s", False)]
