"""`features.py`: the same file over ranks and after a kill, equal to a forward pass; and what it refuses."""

import csv
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from films import film, noise
from forked import Command, start
from networks import image_vit, make_network
from omegaconf import OmegaConf
from torch import nn

from vivit.data import VideoDataModule
from vivit.data.datasets import motion
from vivit.data.readers.pyav_reader import PyAVVideoReader
from vivit.data.sliding_window import SlidingVideo
from vivit.data.transforms.resize import ReferenceResize
from vivit.data.view_samplers import MultiViewSampler
from vivit.errors import ConfigError, DataError
from vivit.features.feature_file import FeatureFile, Pieces
from vivit.inference.dense_features import DenseEncoder, index_grid
from vivit.inference.load import LoadedModel
from vivit.inference.preprocessing import Preprocessing
from vivit.launch import Job
from vivit.models import FactorisedEncoder, SpatioTemporal, Tubelets, ViViT
from vivit.structures import normalize_frames
from vivit.tasks.clip_settings import data_record
from vivit.tasks.features import check_dense, extract_features
from vivit.tasks.weight_formats import write_vivit

Extract = Callable[..., Command]


def make_net(classes: int = len(motion.VERBS)) -> ViViT:
    torch.manual_seed(3)
    net = make_network(
        FactorisedEncoder, Tubelets(dim=8, tubelet=(2, 16, 16)), num_classes=classes,
        frames=4, height=32, width=32, depth=1, num_heads=2, mlp_dim=12,
        temporal_depth=1, temporal_num_heads=2, temporal_mlp_dim=12,
    )  # fmt: skip
    nn.init.normal_(net.head.projection.weight, std=3)
    return net


@pytest.fixture
def extract(composed: Callable[..., Any], small_motion: Path, tmp_path: Path) -> Extract:
    """Start the command with a checkpoint of random weights, with three views of the test videos."""
    clips = (f"data.root={small_motion}", "data=motion", "views.temporal=3", "data.frames=4", "resampling=reference")
    data: Any = OmegaConf.to_container(composed(*clips).data, resolve=True)
    heads = {"verb": list(motion.VERBS)}
    write_vivit(LoadedModel(make_net(), "", heads, **data_record(data)), tmp_path / "net.ckpt")

    def extract(target: str, *words: str, checkpoint: str = "net.ckpt") -> Command:
        fixed = (f"paths.logs={tmp_path}", f"target={tmp_path / target}", "splits=[test]", "num_workers=0")
        source = (f"ckpt_path={tmp_path / checkpoint}",) if checkpoint else ()
        return start(tmp_path / f"{target}.txt", "src/features.py", *source, *fixed, *words)

    return extract


def test_features_equal_the_network_s_and_ranks_and_a_kill_change_no_byte(
    extract: Extract, small_motion: Path, tmp_path: Path
) -> None:
    one = extract("one")
    two = extract("two", "trainer=ddp_cpu")
    assert (one.wait(), two.wait()) == (0, 0), one.said + two.said
    expected = (tmp_path / "one" / "test.arrow").read_bytes()
    assert (tmp_path / "two" / "test.arrow").read_bytes() == expected
    assert [file.name for file in (tmp_path / "two").iterdir()] == ["test.arrow"], "pieces are gone"

    data = VideoDataModule(
        root=str(small_motion), frames=4, stride=2, resize=36, crop=(32, 32), num_workers=0, batch_size=1, seed=0,
        views=lambda **clip: MultiViewSampler(temporal=3, **clip), dataset={"name": "motion"},
        resampling=ReferenceResize(),
    )  # fmt: skip
    features, net = FeatureFile(tmp_path / "one" / "test.arrow").read(), make_net().eval()
    assert features.frames.shape == (17, 3, 2, 8)
    for row, batch in enumerate(data.test_dataloader()):
        with torch.inference_mode():
            frames, video = net.features(batch.normalized(torch.float32)[0])
        assert np.allclose(features.frames[row], frames, atol=1e-6)
        assert np.allclose(features.video[row], video.mean(0), atol=1e-6)
        assert features.labels[row].tolist() == batch.labels[0].tolist()
    listed = [line.split(",")[0] for line in (small_motion / "test.csv").read_text().splitlines()[1:]]
    metadata = FeatureFile(tmp_path / "one" / "test.arrow").metadata
    assert metadata.clips["resampling"] == "reference", "the checkpoint's, not the command's default"
    assert metadata.data["root"] == str(small_motion)
    assert [Path(path).name for path in features.paths] == [Path(path).name for path in listed]


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_to_the_same_file(extract: Extract, tmp_path: Path) -> None:
    undisturbed = extract("undisturbed", "batch_size=1")
    assert undisturbed.wait() == 0, undisturbed.said
    folder = tmp_path / "killed" / ".test.arrow.parts"

    def written() -> int:
        return sum(file.stat().st_size for file in folder.glob("*.arrows"))

    def stopped(command: Command, before: int) -> bool:
        """Hold the run still once it has written more, and look whether it is under way."""
        if written() < before + 2500:
            return False
        os.kill(command.pid, signal.SIGSTOP)
        if folder.is_dir():
            return True
        os.kill(command.pid, signal.SIGCONT)
        return False

    for _ in range(2):
        before = written()
        command = extract("killed", "batch_size=1")
        command.wait_for(partial(stopped, command, before))
        os.killpg(command.pid, signal.SIGKILL)
        command.process.join()
    (piece, *_) = sorted(folder.glob("*.arrows"))
    piece.write_bytes(piece.read_bytes()[:-5])  # and its last batch is torn
    last = extract("killed", "batch_size=1")
    assert last.wait() == 0, last.said
    assert "of 17 videos of the split test are done" in last.said
    ours, expected = ((tmp_path / name / "test.arrow").read_bytes() for name in ("killed", "undisturbed"))
    assert ours == expected
    again = extract("undisturbed")
    assert again.wait() == 0
    assert "test.arrow is complete" in again.said


def test_other_features_under_the_same_name_are_refused(extract: Extract, tmp_path: Path) -> None:
    assert extract("one").wait() == 0
    other = extract("one", "layer=1")
    assert other.wait() == 1
    assert "target=" in other.said
    assert "is of other features (layer" in other.said
    metadata = FeatureFile(tmp_path / "one" / "test.arrow").metadata
    pieces = Pieces(tmp_path / "new.arrow", metadata)
    writer = pieces.open(0)
    writer.add(np.array([4]), np.array([[1]]), np.ones((1, *metadata.shape), np.float32), np.ones((1, 8), np.float32))
    writer.close()
    assert pieces.rows() == [4]
    with pytest.raises(ConfigError, match=r"are of other features \(fingerprint\)"):
        Pieces(tmp_path / "new.arrow", replace(metadata, fingerprint="0" * 16)).rows()


@pytest.mark.parametrize(
    ("words", "checkpoint", "said"),
    [
        (("splits=[test,rest]",), "net.ckpt", "splits=rest: is not a split; set some of train, val, test"),
        (("model=spatiotemporal",), "net.ckpt", "model: has no effect beside ckpt_path="),
        (("data=motion", "data.frames=8"), "net.ckpt", "data.frames=8: has no effect here"),
        ((), "", "ckpt_path: is not set; set it, or weights=image"),
        (("layer=2",), "net.ckpt", "layer=2: the encoder has 1; set 1 to 1"),
        (("layer=last",), "net.ckpt", "layer=last: is no number of blocks"),
        (("splits=rest",), "net.ckpt", "splits=rest: is not a split"),
        (("splits=[]",), "net.ckpt", "splits=[]: is not a split"),
        (("probes=forest",), "", "probes=forest: there is no such probe; set some of knn"),
        (("probes=knn", "folds=5"), "", "there is no such file; set the folder that features.py has written"),
    ],
)
def test_wrong_options_are_errors_about_their_keys(
    words: tuple[str, ...], checkpoint: str, said: str, extract: Extract
) -> None:
    command = extract("one", *words, checkpoint=checkpoint)
    assert command.wait() == 1
    assert said in command.said


def test_an_image_model_s_features_are_those_of_single_frames(
    extract: Extract, small_motion: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    torch.save(image_vit(64, 8, 2), tmp_path / "vit.pt")
    words = ("size=tiny", "weights=image", f"weights.source={tmp_path / 'vit.pt'}", "tokeniser.tubelet.0=1")
    clips = ("data=motion", f"data.root={small_motion}", "positions=learned", "views=1x1", "data.frames=3")
    command = extract("image", *words, *clips, checkpoint="")
    assert command.wait() == 0, command.said
    file = FeatureFile(tmp_path / "image" / "test.arrow")
    assert file.metadata.shape == (1, 3, 64)
    assert file.metadata.weights == str(tmp_path / "vit.pt")
    features = file.read()
    assert np.allclose(features.frames[:, 0].mean(1), features.video, atol=1e-5)
    assert not np.allclose(features.frames[:, 0, 0], features.frames[:, 0, 2])
    assert "load_spatial_cls=true loads both" not in command.said, "the class token is loaded"


def test_probes_do_not_mix_features(extract: Extract, tmp_path: Path) -> None:
    assert extract("one").wait() == 0
    assert extract("layers", "splits=train", "layer=1").wait() == 0
    (tmp_path / "one" / "train.arrow").write_bytes((tmp_path / "layers" / "train.arrow").read_bytes())
    command = extract("one", "splits=[train,test]", "probes=knn", "folds=3", checkpoint="")
    assert command.wait() == 1
    assert "is of other features than its neighbours (layer)" in command.said


def test_a_file_of_something_else_is_none_of_features(tmp_path: Path) -> None:
    file = tmp_path / "test.arrow"
    for content in (b"", b"ARROW1"):
        file.write_bytes(content)
        with pytest.raises(DataError, match="is no file of features"):
            FeatureFile(file)
    table = pa.table({"a": [1]})
    with pa.ipc.new_file(str(file), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(DataError, match="is no file of features"):
        FeatureFile(file)
    with pytest.raises(ConfigError, match="there is no such file"):
        FeatureFile(tmp_path / "none.arrow")


def test_probes_run_on_features_that_are_there(extract: Extract, tmp_path: Path) -> None:
    every = extract("every", "splits=[train,val,test]", "probes=[logistic,knn]")
    assert every.wait() == 0, every.said
    assert "Probes on frozen features" in every.said
    folds = extract("every", "splits=[train,val,test]", "probes=[knn]", "folds=3", f"hydra.run.dir={tmp_path}/folds",
                    checkpoint="")  # fmt: skip
    assert folds.wait() == 0, folds.said
    (row,) = csv.DictReader((tmp_path / "folds" / "probes.csv").read_text().splitlines())
    assert (row["videos"], row["folds"], row["probe"]) == ("81", "3", "knn")
    files = ("doubtful_labels.csv", "probe_videos.csv")
    doubtful, videos = (list(csv.DictReader((tmp_path / "folds" / file).read_text().splitlines())) for file in files)
    wrong = {(video["path"], video["label"], video["knn"]) for video in videos if video["knn"] != video["label"]}
    assert {(doubt["path"], doubt["label"], doubt["answer"]) for doubt in doubtful} == wrong
    margins = [float(doubt["margin"]) for doubt in doubtful]
    assert margins == sorted(margins, reverse=True)
    if doubtful:
        assert f"{len(doubtful)} label" in folds.said
    assert float(row["low"]) <= float(row["accuracy"]) <= float(row["high"])


def test_dense_features_are_those_of_every_temporal_index_along_each_file(
    composed: Callable[..., Any], tmp_path: Path
) -> None:
    """With the segments that the data set labels; a file that is there is not written again."""
    (tmp_path / "videos" / "sub").mkdir(parents=True)
    for name, frames in (("sub/a.mp4", 37), ("b.mp4", 3)):
        film(tmp_path / "videos" / name, noise(frames))
    rows = "path,label,start,end\nsub/a.mp4,run,0.2,0.8\nsub/a.mp4,walk,0.9,1.3\nb.mp4,walk,,\n"
    for split in ("train", "val"):
        (tmp_path / "videos" / f"{split}.csv").write_text(rows)
    clip = ["data=csv", f"data.root={tmp_path / 'videos'}", "data.frames=4", "data.crop=[32,32]", "data.resize=36"]
    record: Any = OmegaConf.to_container(composed(*clip).data, resolve=True)
    write_vivit(LoadedModel(make_net(2), "", {"label": ["run", "walk"]}, **data_record(record)), tmp_path / "net.ckpt")
    words = (f"ckpt_path={tmp_path / 'net.ckpt'}", f"target={tmp_path / 'out'}", "splits=[val]", "num_workers=0")
    cfg, other = (composed(*words, "dense=true", word, name="features") for word in ("batch_size=5", "views.spatial=3"))
    cfg.paths.run = other.paths.run = str(tmp_path)  # Hydra names it only within a run
    job = Job(folder=tmp_path, choices={}, overrides=list(words), sweep=None)
    extract_features(cfg, job)

    views = MultiViewSampler(frames=2, stride=2, resize=36, crop=(32, 32))
    net = make_net(2).eval()
    for name, frames in (("sub/a", 37), ("b", 3)):
        features = np.load(tmp_path / "out" / f"{name}.npy")
        firsts = range(0, frames, 4)
        assert features.shape == (len(firsts), 8)
        assert features.dtype == np.float32
        with PyAVVideoReader(str(tmp_path / "videos" / f"{name}.mp4")) as video:
            numbers = [min(first + more, frames - 1) for first in firsts for more in (0, 2)]
            shown = video.read(numbers, [views(video.shape)[0].crop_box], (32, 32))[0]
        with torch.inference_mode():
            clips = normalize_frames(torch.from_numpy(shown).unflatten(0, (-1, 2)), torch.float32)
            assert np.allclose(features, net.encode_index(clips), atol=1e-5)
    listed = json.loads((tmp_path / "out" / "val.json").read_text())
    assert set(listed["database"]) == {"sub/a", "b"}
    entry = listed["database"]["sub/a"]
    assert (entry["subset"], entry["indices"]) == ("val", 10)
    assert (entry["duration"], entry["fps"]) == (pytest.approx(37 / 25), pytest.approx(25))
    assert entry["annotations"] == [
        {"segment": [0.2, 0.8], "label": "run", "label_id": 0}, {"segment": [0.9, 1.3], "label": "walk", "label_id": 1}
    ]  # fmt: skip
    assert listed["database"]["b"]["annotations"][0]["segment"] == [0.0, pytest.approx(3 / 25)]
    assert {key: listed["features"][key] for key in ("stride", "index_frames", "index_step")} == {
        "stride": 2, "index_frames": 2, "index_step": 2
    }  # fmt: skip

    file = tmp_path / "out" / "b.npy"
    before = file.stat().st_mtime_ns
    extract_features(cfg, job)
    assert file.stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="is of other features") as error:
        extract_features(other, replace(job, overrides=[*words, "views.spatial=3"]))
    assert error.value.key == "target"


@pytest.mark.parametrize(
    ("word", "key"), [("probes=[knn]", "probes"), ("layer=1", "layer"), ("trainer=ddp_cpu", "trainer.devices")]
)
def test_dense_features_have_no_probes_layers_and_ranks(word: str, key: str, composed: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError) as error:
        check_dense(composed("target=x", "dense=true", word, name="features"), ["knn"] if key == "probes" else [])
    assert error.value.key == key


def test_dense_features_of_a_network_that_reads_all_of_a_clip_are_refused() -> None:
    net = make_network(
        SpatioTemporal, Tubelets(dim=8, tubelet=(2, 16, 16)), num_classes=2, frames=4, height=32, width=32, depth=1,
        num_heads=2, mlp_dim=12,
    )  # fmt: skip
    views = MultiViewSampler(frames=4, stride=2, resize=36, crop=(32, 32))
    with pytest.raises(ConfigError, match="reads all temporal indices") as error:
        DenseEncoder(net, Preprocessing(views), 4, torch.device("cpu"))
    assert error.value.key == "dense"


def test_temporal_indices_by_seconds_last_as_long_whatever_the_rate(tmp_path: Path) -> None:
    views = MultiViewSampler(frames=4, fps=10, resize=36, crop=(32, 32))
    grids = [
        index_grid(SlidingVideo(film(tmp_path / f"{rate}.mp4", noise(2 * rate), rate), views), make_net(2))
        for rate in (10, 30)
    ]
    for grid in grids:
        assert grid.begins == pytest.approx(np.arange(10) / 5)
    assert np.array_equal(grids[0].frames, np.arange(20).reshape(10, 2))
    assert np.abs(grids[1].frames - 3 * grids[0].frames).max() <= 1


def test_two_files_of_one_name_are_refused_before_any_is_encoded(composed: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    for name in ("a.mp4", "a.mkv"):
        film(tmp_path / "videos" / name, noise(5))
    for split in ("train", "val"):
        (tmp_path / "videos" / f"{split}.csv").write_text("path,label\na.mp4,run\na.mkv,walk\n")
    clip = ["data=csv", f"data.root={tmp_path / 'videos'}", "data.frames=4", "data.crop=[32,32]", "data.resize=36"]
    record: Any = OmegaConf.to_container(composed(*clip).data, resolve=True)
    write_vivit(LoadedModel(make_net(2), "", {"label": ["run", "walk"]}, **data_record(record)), tmp_path / "net.ckpt")
    words = (f"ckpt_path={tmp_path / 'net.ckpt'}", f"target={tmp_path / 'out'}", "num_workers=0", "dense=true")
    cfg = composed(*words, name="features")
    cfg.paths.run = str(tmp_path)
    with pytest.raises(ConfigError, match="are both called a; rename one") as error:
        extract_features(cfg, Job(folder=tmp_path, choices={}, overrides=list(words), sweep=None))
    assert error.value.key == "dense"
    assert not list((tmp_path / "out").glob("*.npy"))
