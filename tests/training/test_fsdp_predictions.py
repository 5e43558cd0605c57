"""Two ranks that hold a network in shards score every video once, of any number, whichever are bad.

Each call of a shard waits for all ranks, so they must make as many.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, Trainer
from networks import make_network
from test_ranks import in_two_ranks

from vivit.data.dataset import ClipDataset
from vivit.data.datasets import FlipLabelMap
from vivit.data.loader import EvalLoader, WorkerConfig
from vivit.data.readers.video_error import VideoError
from vivit.data.samplers import DistributedEvalBatchSampler, SampleKey
from vivit.data.view_samplers import MultiViewSampler
from vivit.models import FactorisedEncoder, Tubelets
from vivit.models.blocks import Block
from vivit.structures import Clip, Video
from vivit.training import BlockFSDPStrategy, OptimizerConfig, SoftTargetLoss, VideoClassifier

CLIP: dict[str, Any] = {"frames": 4, "stride": 1, "resize": 15, "crop": (8, 15)}
CLIPS_AT_ONCE, VIEWS = 2, 3
VIDEOS, BAD = 5, (1,)
"""The first rank has videos 0, 2 and 4, the second 1 and 3: in validation two batches and one, in a test, of one video
in two calls of the network each, three and two, the first of the second rank without a video that can be read."""


class Noise(ClipDataset):
    """Clips are a function of the video's row."""

    def clip(self, ticket: SampleKey, rng: np.random.Generator) -> Clip:
        video = self.videos[ticket.row]
        if ticket.row in BAD:
            raise VideoError(video.path, "is damaged")
        shape = self.empty_frames().shape[1:]
        return Clip(np.random.default_rng(ticket.row).integers(0, 256, shape, np.uint8), video.labels, ticket.row)


class Said(Callback):
    """Notes what is said of every video."""

    def __init__(self) -> None:
        self.logits: dict[int, list[float]] = {}

    def on_validation_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, *_: Any) -> None:
        if outputs is not None:
            for row, logits in zip(outputs.videos.tolist(), outputs.logits.tolist(), strict=True):
                assert row not in self.logits
                self.logits[row] = logits

    on_test_batch_end = on_validation_batch_end


def scored(rank: int, folder: Path, ranks: int = 2) -> list[tuple[dict[int, list[float]], dict[str, float]]]:
    """Validate and test one network of random weights; give what is said of this rank's videos, and the metrics."""
    found = []
    for task, views, batch in (("validate", 1, CLIPS_AT_ONCE), ("test", VIEWS, 1)):
        torch.manual_seed(0)
        network = make_network(
            FactorisedEncoder, Tubelets(dim=12, tubelet=(2, 4, 5)), num_classes=3, frames=4, height=8, width=15,
            depth=2, num_heads=3, mlp_dim=20,
            temporal_depth=1, temporal_num_heads=2, temporal_mlp_dim=16,
        )  # fmt: skip
        torch.nn.init.normal_(network.head.projection.weight)
        module = VideoClassifier(
            network, heads={"label": ("a", "b", "c")}, loss=SoftTargetLoss(),
            optimizer_config=OptimizerConfig(torch.optim.SGD), seed=0,
            batch_size=CLIPS_AT_ONCE, record={},
        )  # fmt: skip
        said = Said()
        trainer = Trainer(
            accelerator="cpu", devices=ranks, strategy=shards() if ranks > 1 else "auto", callbacks=[said],
            logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
            use_distributed_sampler=False, default_root_dir=folder,
        )  # fmt: skip
        clips = Noise(
            [Video(f"{row}.mp4", (row % 3,)) for row in range(VIDEOS)],
            MultiViewSampler(**CLIP, temporal=views),
            FlipLabelMap(),
            0,
        )
        loader = EvalLoader(clips, DistributedEvalBatchSampler(VIDEOS, batch, rank, ranks), WorkerConfig(0), {})
        getattr(trainer, task)(module, loader, verbose=False)
        found.append((said.logits, {name: float(value) for name, value in trainer.callback_metrics.items()}))
    return found


def shards() -> BlockFSDPStrategy:
    """Give the strategy of trainer=fsdp."""
    return BlockFSDPStrategy(blocks=[Block], timeout=timedelta(minutes=2))  # for who waits in vain


@pytest.mark.slow
def test_fsdp_predictions_on_two_ranks_equal_one_network(tmp_path: Path) -> None:
    ranks = in_two_ranks(scored, tmp_path)
    for (alone, metrics), (first, ours), (second, theirs) in zip(scored(0, tmp_path, 1), *ranks, strict=True):
        assert ours == theirs == pytest.approx(metrics, abs=1e-5)
        assert not first.keys() & second.keys()
        assert (first | second).keys() == alone.keys() == {*range(VIDEOS)} - {*BAD}
        for row, logits in (first | second).items():
            assert logits == pytest.approx(alone[row], abs=1e-5)
