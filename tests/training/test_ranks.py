"""Two ranks of the CPU train as one with the doubled batch does, and score every video once.

The rate is low, because at higher ones training itself blows rounding up: at five times this rate, the losses of two
ranks are 1e-4 from those of one after fifty steps, after less than 1e-5 in the first twenty.
"""

import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from forked import forking
from lightning import Callback, LightningModule, Trainer

from vivit import models
from vivit.data.dataset import ClipDataset
from vivit.data.datasets import FlipLabelMap
from vivit.data.loader import EvalLoader, StatefulTrainLoader, WorkerConfig, available_cpus
from vivit.data.samplers import BalancedOrder, DistributedBatchSampler, DistributedEvalBatchSampler, SampleKey
from vivit.data.view_samplers import MultiViewSampler
from vivit.structures import Clip, MultiLabel, Video
from vivit.training import (
    AtomicCheckpointIO,
    LastCheckpoint,
    NaNCheck,
    OptimizerConfig,
    SoftTargetLoss,
    VideoClassifier,
)
from vivit.training.wandb_logger import ResumableWandbLogger

VIDEOS, SCORED, BATCH, STEPS, EPOCHS = 84, 7, 8, 10, 5
"""A step takes ``BATCH`` of the videos, on all ranks together; ranks do not divide those that are scored."""
FRAMES, HEIGHT, WIDTH = 4, 8, 15
SHAPE = {
    "num_classes": 3,
    "frames": FRAMES,
    "height": HEIGHT,
    "width": WIDTH,
    "depth": 3,
    "num_heads": 3,
    "mlp_dim": 20,
}
TEMPORAL = {"temporal_num_heads": 2, "temporal_mlp_dim": 16}
NETWORKS: dict[str, dict[str, Any]] = {
    "spatiotemporal": {},
    "factorised_encoder": {"temporal_depth": 2, **TEMPORAL},
    "factorised_self_attention": {},
    "factorised_dot_product": {},
    "average_pool": TEMPORAL,
}


class Noise(ClipDataset):
    """Clips whose brightness hints at their label."""

    def clip(self, ticket: SampleKey, rng: np.random.Generator) -> Clip:
        epoch, row = ticket.epoch, ticket.row
        labels = self.videos[row].labels
        frames = np.random.default_rng([epoch, row]).integers(60 * labels[0], 256, (1, FRAMES, HEIGHT, WIDTH, 3))
        return Clip(frames.astype(np.uint8), labels, row)


class Losses(Callback):
    """Notes the loss of every step and every validation, and how many videos each validation counted on this rank."""

    def __init__(self) -> None:
        self.train: list[float] = []
        self.val: list[float] = []
        self.counted: list[int] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.train.append(float(trainer.callback_metrics["train/loss"]))

    def on_validation_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, *_: Any
    ) -> None:
        self.counted += batch.videos.tolist()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.val += [float(trainer.callback_metrics[name]) for name in ("val/loss", "val/acc_top1")]


def trained(name: str, rank: int, ranks: int) -> dict[str, list]:
    """Train one network for ``EPOCHS`` epochs on one of ``ranks`` ranks, stochastic depth on."""
    losses = Losses()
    fit(name, rank, ranks, losses)
    return {"train": losses.train, "val": losses.val, "counted": losses.counted}


def fit(
    name: str,
    rank: int,
    ranks: int,
    *callbacks: Callback,
    start: Path | None = None,
    rate: float = 0.002,
    frozen: str | None = None,
    optimizer: Any = None,
    batch: int | None = None,
    **others: Any,
) -> tuple[Trainer, VideoClassifier]:
    """Train one network, watched by ``callbacks``; go on with the checkpoint ``start``. A rank has ``batch`` clips."""
    batch = batch or BATCH // ranks
    torch.manual_seed(0)
    heads = {"num_heads": 4} if name == "factorised_dot_product" else {}
    tokeniser = models.Tubelets(dim=12, tubelet=(2, 4, 5))
    shape = SHAPE | NETWORKS[name] | heads | {"frozen": frozen}
    network = models.build_model(name, tokeniser, **shape, stochastic_depth=0.5)
    module = VideoClassifier(
        network, heads={"label": ("a", "b", "c")}, loss=SoftTargetLoss(), seed=5, batch_size=batch, record={},
        optimizer_config=OptimizerConfig(optimizer or partial(torch.optim.SGD, lr=rate, momentum=0.9), 0.5),
    )  # fmt: skip
    videos = [Video(f"{row}.mp4", (row % 3,)) for row in range(VIDEOS)]
    plan = MultiViewSampler(frames=FRAMES, stride=1, resize=WIDTH, crop=(HEIGHT, WIDTH))
    train = DistributedBatchSampler(VIDEOS, batch, 3, rank, ranks)
    usual = {"max_epochs": EPOCHS, "logger": False, "enable_checkpointing": False, "log_every_n_steps": 1}
    options: dict[str, Any] = usual | {"strategy": "ddp" if ranks > 1 else "auto"} | others
    trainer = Trainer(
        accelerator="cpu", devices=ranks, callbacks=list(callbacks), enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False, gradient_clip_val=1.0,
        **options,
    )  # fmt: skip
    trainer.fit(
        module,
        StatefulTrainLoader(Noise(videos, plan, FlipLabelMap(), 0), train, WorkerConfig(0)),
        scored(rank, ranks),
        ckpt_path=start,
        weights_only=True,
    )
    return trainer, module


def scored(rank: int, ranks: int) -> EvalLoader:
    """Load the videos of this rank that validation and tests score."""
    videos = [Video(f"{row}.mp4", (row % 3,)) for row in range(SCORED)]
    plan = MultiViewSampler(frames=FRAMES, stride=1, resize=WIDTH, crop=(HEIGHT, WIDTH))
    return EvalLoader(
        Noise(videos, plan, FlipLabelMap(), 0),
        DistributedEvalBatchSampler(SCORED, BATCH // ranks, rank, ranks),
        WorkerConfig(0),
    )


def as_rank(rank: int, port: int, task: Callable[..., Any], folder: Path, *words: Any) -> None:
    """Do something as one of two ranks that somebody else has started, and keep what it gives."""
    torch.set_num_threads(1)  # threads of two ranks on two cores wait for each other most of the time
    variables = {"LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": 2, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in variables.items()} | {"MASTER_ADDR": "127.0.0.1"})
    torch.save(task(rank, folder, *words), folder / f"{rank}.pt")


def in_two_ranks(task: Callable[..., Any], folder: Path, *words: Any) -> list[Any]:
    """Do ``task(rank, folder, *words)`` in two ranks; give what each of them gave."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [forking().Process(target=as_rank, args=(rank, port, task, folder, *words)) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(900)
        assert process.exitcode == 0
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def all_trained(rank: int, folder: Path) -> dict[str, dict[str, list]]:
    return {name: trained(name, rank, 2) for name in NETWORKS}


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, list]]]:
    """What each of two ranks noted, for every network."""
    return in_two_ranks(all_trained, tmp_path_factory.mktemp("ranks"))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_ddp_on_two_ranks_learns_as_one_with_the_doubled_batch(
    name: str, together: list[dict[str, dict[str, list]]]
) -> None:
    alone, (first, second) = trained(name, 0, 1), (rank[name] for rank in together)
    assert len(alone["train"]) == STEPS * EPOCHS == 50
    assert np.ptp(alone["train"]) > 0.02, "it does not learn, so the comparison says little"
    np.testing.assert_allclose(first["train"], alone["train"], rtol=0, atol=1e-5)
    assert first["train"] == second["train"]
    np.testing.assert_allclose(first["val"], alone["val"], rtol=0, atol=1e-5)
    assert sorted(first["counted"] + second["counted"]) == sorted(alone["counted"]) == sorted([*range(SCORED)] * EPOCHS)


SEVERAL = {"kind": ("a", "b", "c"), "tags": MultiLabel("xyz")}


class Thresholds(Losses):
    """Notes mean average precision too, and the thresholds that every validation chose."""

    def __init__(self) -> None:
        super().__init__()
        self.thresholds: list[list[float]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        names = ("val/loss", "val/map", "val/tags_map", "val/acc_top1", "val/kind_acc_top1")
        self.val += [float(trainer.callback_metrics[name]) for name in names]
        record: Any = pl_module.record
        self.thresholds.append(record["multi_label"]["tags"])


def balanced(rank: int, ranks: int) -> dict[str, list]:
    """Train on several labels a video, and on rare classes more often, with mixup off: it mixes within a rank."""
    videos = [Video(f"{row}.mp4", (min(row % 7 // 3, 2), row % 2, row % 3 // 2, 0)) for row in range(VIDEOS)]
    plan = MultiViewSampler(frames=FRAMES, stride=1, resize=WIDTH, crop=(HEIGHT, WIDTH))
    torch.manual_seed(0)
    network = models.build_model(
        "factorised_encoder", models.Tubelets(dim=12, tubelet=(2, 4, 5)),
        **(SHAPE | {"num_classes": 6} | NETWORKS["factorised_encoder"]), stochastic_depth=0.5,
    )  # fmt: skip
    classes = np.array([video.labels[0] for video in videos])
    module = VideoClassifier(
        network, heads=SEVERAL, seed=5, batch_size=BATCH // ranks, record={},
        loss=SoftTargetLoss(label_smoothing=0.1, class_weights="effective", logit_adjustment=1.0),
        optimizer_config=OptimizerConfig(partial(torch.optim.SGD, lr=0.002, momentum=0.9), 0.5),
        class_counts={"kind": np.bincount(classes, minlength=3)},
    )  # fmt: skip
    order = BalancedOrder(classes, 0.7)
    train = DistributedBatchSampler(VIDEOS, BATCH // ranks, 3, rank, ranks, balanced=order)
    notes, data = Thresholds(), Noise(videos, plan, FlipLabelMap(), 0)
    trainer = Trainer(
        accelerator="cpu", devices=ranks, callbacks=[notes], enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, use_distributed_sampler=False, max_epochs=2, logger=False, enable_checkpointing=False,
        log_every_n_steps=1, strategy="ddp" if ranks > 1 else "auto",
    )  # fmt: skip
    trainer.fit(
        module,
        StatefulTrainLoader(data, train, WorkerConfig(0)),
        EvalLoader(
            Noise(videos[:SCORED], plan, FlipLabelMap(), 0),
            DistributedEvalBatchSampler(SCORED, BATCH // ranks, rank, ranks),
            WorkerConfig(0),
        ),
    )
    return {"train": notes.train, "val": notes.val, "thresholds": notes.thresholds}


def balanced_as_rank(rank: int, folder: Path) -> dict[str, list]:
    return balanced(rank, 2)


@pytest.mark.slow
def test_two_ranks_have_the_losses_and_the_average_precision_of_one_on_several_labels(tmp_path: Path) -> None:
    """Seven videos are scored, so one rank has fewer; one class of a multi-label head has no video at all."""
    first, second = in_two_ranks(balanced_as_rank, tmp_path)
    alone = balanced(0, 1)
    assert np.ptp(alone["train"]) > 0.02, "it does not learn, so the comparison says little"
    for name in ("train", "val", "thresholds"):
        assert first[name] == second[name]
        np.testing.assert_allclose(first[name], alone[name], rtol=0, atol=1e-5)
    assert {thresholds[2] for thresholds in alone["thresholds"]} == {0.5}


def counted(rank: int, folder: Path) -> list[int]:
    """Count the cores of a rank that may use twelve of its own, then of one that may use the same as the other."""
    found = []
    torch.distributed.init_process_group("gloo", rank=rank)
    for allowed in (range(12 * rank, 12 * rank + 12), range(12)):
        os.sched_getaffinity = lambda _, allowed=allowed: set(allowed)  # type: ignore[misc]
        found.append(available_cpus())
    torch.distributed.destroy_process_group()
    return found


@pytest.mark.slow
def test_ddp_ranks_divide_the_cores_that_they_share(tmp_path: Path) -> None:
    assert in_two_ranks(counted, tmp_path) == [[12, 6], [12, 6]]


class Poison(Callback):
    """Spoils the clips of step 3 on one rank; the weights, which all ranks share, are well."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == 3 and trainer.global_rank == 1:
            network: Any = pl_module.network
            network.tokeniser.register_forward_hook(lambda *_: _[-1] * torch.nan)


def poisoned(rank: int, folder: Path) -> str:
    """Say why a run ends whose second rank alone meets a loss that is not a number."""
    last = LastCheckpoint(dirpath=str(folder / "kept"), every_n_train_steps=1)
    plugins = [AtomicCheckpointIO()]
    try:
        fit("factorised_encoder", rank, 2, Poison(), NaNCheck(), last, enable_checkpointing=True, plugins=plugins)
    except ValueError as error:
        assert getattr(error, "on_every_rank", False)
        return str(error)
    return "it went on"


@pytest.mark.slow
def test_ddp_nan_loss_on_one_rank_stops_both_with_the_same_error(tmp_path: Path) -> None:
    first, second = in_two_ranks(poisoned, tmp_path)
    assert first == second
    assert first.startswith("the loss is nan on rank 1 at step 3 (epoch 1); ")
    assert "lower optim.optimizer.lr" in first
    checkpoint = torch.load(tmp_path / "kept" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 3
    assert all(tensor.isfinite().all() for tensor in checkpoint["state_dict"].values())


def tracked(rank: int, folder: Path, start: Path | None) -> str | None:
    """Train an epoch more with W&B, offline; give the id of the run where this rank has one."""
    os.environ |= {f"WANDB_{name}_DIR": str(folder / name) for name in ("CONFIG", "CACHE", "DATA")}
    os.environ["WANDB_SILENT"] = "true"
    run = ResumableWandbLogger(str(folder / "run"), offline=True)
    last = LastCheckpoint(dirpath=str(folder / "kept"), every_n_train_steps=100)
    options = {"logger": run, "enable_checkpointing": True, "plugins": [AtomicCheckpointIO()], "log_every_n_steps": 1}
    fit("average_pool", rank, 2, last, start=start, max_epochs=1 if start is None else 2, **options)
    return getattr(run.experiment, "id", None) if rank == 0 else None


@pytest.mark.slow
def test_wandb_of_two_ranks_is_one_run_also_after_a_resume(tmp_path: Path) -> None:
    before, _ = in_two_ranks(tracked, tmp_path, None)
    after, _ = in_two_ranks(tracked, tmp_path, tmp_path / "kept" / "last.ckpt")
    assert before == after == (tmp_path / "run" / "wandb_id.txt").read_text()
    kept = [folder.name for folder in (tmp_path / "run" / "wandb").glob("offline-run-*")]
    assert len(kept) == 2, "one of the first rank for each time"
    assert all(name.endswith(f"-{before}") for name in kept)
