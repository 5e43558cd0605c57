"""A run that takes a second: noise for clips, a tiny network, and all that is random in a step."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, Trainer
from networks import make_network
from torch import nn

from vivit.data.dataset import ClipDataset
from vivit.data.datasets import FlipLabelMap
from vivit.data.loader import ClipLoader, StatefulTrainLoader, WorkerConfig
from vivit.data.samplers import DistributedBatchSampler, DistributedEvalBatchSampler, SampleKey
from vivit.data.view_samplers import MultiViewSampler
from vivit.models import FactorisedDotProduct, FactorisedEncoder, FactorisedSelfAttention, SpatioTemporal, Tubelets
from vivit.structures import Clip, Video
from vivit.training import AtomicCheckpointIO, OptimizerConfig, SoftTargetLoss, VideoClassifier

VIDEOS, BATCH, FRAMES, HEIGHT, WIDTH = 22, 4, 4, 8, 15
STEPS = VIDEOS // BATCH
MODELS: Mapping[str, tuple[type[nn.Module], Mapping[str, int]]] = {
    "spatiotemporal": (SpatioTemporal, {"num_heads": 3}),
    "factorised_encoder": (
        FactorisedEncoder, {"num_heads": 3, "temporal_depth": 2, "temporal_num_heads": 2, "temporal_mlp_dim": 16}
    ),
    "factorised_self_attention": (FactorisedSelfAttention, {"num_heads": 3}),
    "factorised_dot_product": (FactorisedDotProduct, {"num_heads": 4}),
}  # fmt: skip
HEADS = {"label": ("a", "b", "c")}


class Noise(ClipDataset):
    """Clips that are a function of (epoch, row), as decoded ones are."""

    def clip(self, ticket: SampleKey, rng: np.random.Generator) -> Clip:
        epoch, row = ticket.epoch, ticket.row
        rng = np.random.default_rng([epoch, row])
        frames = rng.integers(0, 256, (1, FRAMES, HEIGHT, WIDTH, 3), np.uint8)
        return Clip(frames, self.videos[row].labels, row)


@pytest.fixture
def loaders() -> Callable[..., tuple[StatefulTrainLoader, ClipLoader]]:
    """Make new loaders for training and validation."""
    videos = [Video(f"{row}.mp4", (row % 3,)) for row in range(VIDEOS)]
    plan = MultiViewSampler(frames=FRAMES, stride=1, resize=WIDTH, crop=(HEIGHT, WIDTH))

    def loaders(batch: int = BATCH, clips: int | None = None) -> tuple[StatefulTrainLoader, ClipLoader]:
        train, val = Noise(videos, plan, FlipLabelMap(), 0), Noise(videos[:6], plan, FlipLabelMap(), 0)
        return (
            StatefulTrainLoader(train, DistributedBatchSampler(VIDEOS, batch, seed=3, clips=clips), WorkerConfig(0)),
            ClipLoader(val, DistributedEvalBatchSampler(6, BATCH), WorkerConfig(0)),
        )

    return loaders


def record(depth: int) -> dict[str, Any]:
    return {"model": "factorised_encoder", "config": {"tokeniser": {"name": "tubelet", "dim": 12}, "depth": depth}}


@pytest.fixture
def module() -> Callable[..., VideoClassifier]:
    """Make a new module, always with the same weights."""

    def module(
        *, depth: int = 2, mixup: float = 0.3, strength: float = 0.3, rate: float = 0.01,
        model: str = "factorised_encoder", checkpointing: bool = False,
    ) -> VideoClassifier:  # fmt: skip
        torch.manual_seed(0)
        kind, own = MODELS[model]
        network = make_network(
            kind, Tubelets(dim=12, tubelet=(2, 4, 5)), num_classes=3, frames=FRAMES, height=HEIGHT, width=WIDTH,
            depth=depth, mlp_dim=20, dropout=strength, attention_dropout=strength, stochastic_depth=strength,
            gradient_checkpointing=checkpointing, **own,
        )  # fmt: skip
        return VideoClassifier(
            network, heads=HEADS, loss=SoftTargetLoss(mixup=mixup, label_smoothing=0.0),
            optimizer_config=OptimizerConfig(partial(torch.optim.AdamW, lr=rate), 0.5),
            seed=5, batch_size=BATCH, record=record(depth),
        )  # fmt: skip

    return module


@pytest.fixture
def trainer(tmp_path: Path) -> Callable[..., Trainer]:
    """Make a quiet trainer with the atomic checkpoints of the repository."""

    def trainer(*callbacks: Callback, epochs: int = 3, **others: Any) -> Trainer:
        quiet: dict[str, Any] = {
            "accelerator": "cpu",
            "devices": 1,
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "enable_checkpointing": bool(callbacks),
            "num_sanity_val_steps": 0,
            "use_distributed_sampler": False,
            "gradient_clip_val": 1.0,
            "default_root_dir": tmp_path,
            "plugins": [AtomicCheckpointIO()],
        }
        return Trainer(**quiet | others, callbacks=list(callbacks), max_epochs=epochs)

    return trainer
