"""The file of scores of a test: the same whatever ranks, workers and portions; each video once, none left behind."""

import csv
import os
import socket
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from forked import forking
from lightning import Trainer
from networks import make_network

from vivit.data import VideoDataModule
from vivit.data.datasets import Motion
from vivit.data.readers.video_error import VideoError
from vivit.data.view_samplers import MultiViewSampler, RandomViewSampler
from vivit.evaluation.metrics import compute_metrics
from vivit.evaluation.predictions_reader import PredictionsFile
from vivit.models import FactorisedEncoder, Tubelets
from vivit.tasks.build import build_aggregator
from vivit.tasks.test import prepare_test, run_test
from vivit.training import OptimizerConfig, SoftTargetLoss, VideoClassifier

VIDEOS = 17
CLIP: dict[str, Any] = {"frames": 4, "stride": 2, "resize": 18, "crop": (12, 16)}


def motion(root: Path, views: partial[MultiViewSampler], **keys: Any) -> VideoDataModule:
    keys = {"batch_size": 6, "num_workers": 0} | keys
    return VideoDataModule(
        root=str(root), dataset={"name": "motion", "label_columns": ["noun", "verb"], "score_by": ["frames"]}, **CLIP,
        augment=RandomViewSampler, views=views, seed=3, **keys,
    )  # fmt: skip


def scored(data: VideoDataModule, folder: Path, ranks: int = 1, **trainer: Any) -> PredictionsFile | None:
    """Test a network of random weights, as ``train.py`` and ``eval.py`` do."""
    torch.manual_seed(0)
    network = make_network(
        FactorisedEncoder, Tubelets(dim=12, tubelet=(2, 4, 4)), num_classes=24, frames=4, height=12, width=16,
        depth=2, num_heads=3, mlp_dim=20,
        temporal_depth=1, temporal_num_heads=2, temporal_mlp_dim=16,
    )  # fmt: skip
    torch.nn.init.normal_(network.head.projection.weight)
    data.prepare_data()
    about = prepare_test(data)
    module = VideoClassifier(
        network, heads=data.heads, loss=SoftTargetLoss(), optimizer_config=OptimizerConfig(torch.optim.SGD), seed=0,
        record={}, batch_size=data.batch_size, aggregator=build_aggregator(data),
    )  # fmt: skip
    quiet = Trainer(
        accelerator="cpu", devices=ranks, strategy="ddp" if ranks > 1 else "auto", logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, default_root_dir=folder,
        use_distributed_sampler=False, **trainer,
    )  # fmt: skip
    folder.mkdir(exist_ok=True)
    file, _ = run_test(quiet, module, data, about, folder, None)
    return file


VIEWS = partial(MultiViewSampler, temporal=2, spatial=3)


def as_rank(rank: int, port: int, root: Path, folder: Path) -> None:
    """Test as one of two ranks that somebody else has started."""
    torch.set_num_threads(1)
    variables = {"LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in variables.items()} | {"MASTER_ADDR": "127.0.0.1"})
    scored(motion(root, VIEWS, batch_size=12), folder, ranks=2)


@pytest.fixture(scope="module")
def alone(small_motion: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = scored(motion(small_motion, VIEWS, batch_size=12), tmp_path_factory.mktemp("alone"))
    assert file is not None
    return file.file


def test_predictions_file_has_every_view_of_every_video(alone: Path, small_motion: Path) -> None:
    rows = pq.read_table(alone).to_pylist()
    videos = Motion(root=small_motion, label_columns=["noun", "verb"]).videos("test")
    assert [row["video"] for row in rows] == [video for video in range(VIDEOS) for _ in range(6)]
    assert [(row["view"], row["temporal"], row["spatial"]) for row in rows[:6]] == [
        *((0, 0, 0), (1, 0, 1), (2, 0, 2)),
        *((3, 1, 0), (4, 1, 1), (5, 1, 2)),
    ]
    assert {row["first"] for row in rows if row["temporal"] == 0} == {0}
    assert all(row["first"] > 0 for row in rows if row["temporal"] == 1)
    for row in rows:
        assert videos[row["video"]].path == str(small_motion / row["path"])
        assert videos[row["video"]].labels == (row["label_noun"], row["label_verb"])
        assert len(row["logits"]) == 24
    with (small_motion / "test.csv").open() as file:
        frames = [float(row["frames"]) for row in csv.DictReader(file)]
    assert [row["by_frames"] for row in rows[::6]] == frames
    about = PredictionsFile(alone).metadata
    (edges,) = about.score_by.values()
    assert (edges[0][0], edges[-1][1]) == (min(frames), max(frames))
    assert list(about.heads) == ["noun", "verb"]
    assert (about.views, about.average, about.split, about.listed) == ("2x3", "logits", "test", VIDEOS)
    assert [file.name for file in alone.parent.iterdir()] == ["scores.parquet"], "no part is left"


@pytest.mark.slow
def test_predictions_of_two_ranks_are_the_same_file(alone: Path, small_motion: Path, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [forking().Process(target=as_rank, args=(rank, port, small_motion, tmp_path)) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(300)
        assert process.exitcode == 0
    assert (tmp_path / "scores.parquet").read_bytes() == alone.read_bytes()


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")
@pytest.mark.parametrize("workers", [1, 4])
def test_predictions_are_the_same_file_with_any_number_of_workers(
    workers: int, alone: Path, small_motion: Path, tmp_path: Path
) -> None:
    file = scored(motion(small_motion, VIEWS, batch_size=12, num_workers=workers), tmp_path)
    assert file is not None
    assert file.file.read_bytes() == alone.read_bytes()


@pytest.mark.parametrize("batch_size", [1, 5, 1000])
def test_predictions_do_not_depend_on_the_batch_size(
    batch_size: int, alone: Path, small_motion: Path, tmp_path: Path
) -> None:
    file = scored(motion(small_motion, VIEWS, batch_size=batch_size), tmp_path)
    assert file is not None
    found, expected = pq.read_table(file.file), pq.read_table(alone)
    assert found.drop_columns("logits").equals(expected.drop_columns("logits"))
    logits = [np.array(table["logits"].to_pylist()) for table in (found, expected)]
    np.testing.assert_allclose(*logits, atol=5e-5)
    assert (compute_metrics(file).predicted == compute_metrics(PredictionsFile(alone)).predicted).all()


@pytest.mark.slow
@pytest.mark.parametrize("average", ["logits", "probabilities"])
def test_predictions_of_several_view_counts_equal_one_pass_each(
    average: str, small_motion: Path, tmp_path: Path
) -> None:
    """The union of 1, 2, 4, 5 and 7 temporal views, against a test with each number alone."""
    counts = [1, 2, 5, 7]
    views = partial(MultiViewSampler, temporal=4, also_report=counts, average=average)
    together = scored(motion(small_motion, views, batch_size=1000), tmp_path)
    assert together is not None
    by_views, all_logits = (
        compute_metrics(together).metrics_by_views,
        pq.read_table(together.file)["logits"].to_pylist(),
    )
    logits = np.array(all_logits).reshape(VIDEOS, -1, 24)
    assert logits.shape[1] == 1 + 2 + 2 + 2 + 3, "the middle, both ends, what else 4 and 5 views see, and what 7 do"
    assert list(by_views) == ["1x1", "2x1", "4x1", "5x1", "7x1"]
    for count in [*counts, 4]:
        views = partial(MultiViewSampler, temporal=count, average=average)
        file = scored(motion(small_motion, views, batch_size=1000), tmp_path / str(count))
        assert file is not None
        own = np.array(pq.read_table(file.file)["logits"].to_pylist()).reshape(VIDEOS, count, 24)
        np.testing.assert_allclose(logits[:, together.view_indices(f"{count}x1")], own, atol=1e-5)
        assert by_views[f"{count}x1"] == compute_metrics(file).metrics
    assert compute_metrics(together).metrics == by_views["4x1"]


def test_predictions_of_a_failed_test_are_deleted(small_motion: Path, tmp_path: Path) -> None:
    data = motion(small_motion, VIEWS)
    (tmp_path / "broken").mkdir()
    for file in small_motion.iterdir():
        (tmp_path / "broken" / file.name).symlink_to(file)
    (tmp_path / "broken" / "test").unlink()
    (tmp_path / "broken" / "test").mkdir()
    for file in sorted((small_motion / "test").iterdir()):
        if file.name == "00009.mp4":
            (tmp_path / "broken" / "test" / file.name).write_bytes(bytes(1000))
        else:
            (tmp_path / "broken" / "test" / file.name).symlink_to(file)
    data = motion(tmp_path / "broken", VIEWS)
    with pytest.raises(VideoError, match=r"00009\.mp4"):
        scored(data, tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []
    kept = scored(motion(tmp_path / "broken", VIEWS, skip_unreadable=True), tmp_path / "run")
    assert kept is not None
    assert kept.metadata.skipped_videos["test"]["videos"] == 1
    rows = sorted(set(pq.read_table(kept.file)["video"].to_pylist()))
    assert rows == [row for row in range(VIDEOS) if row != 9]
