"""Several labels a video in training: the loss is torch's, and a resume ends bit for bit where no break would."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import BATCH, FRAMES, HEIGHT, VIDEOS, WIDTH, Noise, record
from lightning import Callback, LightningModule, Trainer
from networks import make_network

from vivit.data.datasets import FlipLabelMap
from vivit.data.loader import ClipLoader, StatefulTrainLoader, WorkerConfig
from vivit.data.samplers import BalancedOrder, DistributedBatchSampler, DistributedEvalBatchSampler
from vivit.data.view_samplers import MultiViewSampler
from vivit.errors import ConfigError
from vivit.models import FactorisedEncoder, Tubelets
from vivit.structures import MultiLabel, Video
from vivit.training import BestCheckpoint, LastCheckpoint, OptimizerConfig, SoftTargetLoss, VideoClassifier

HEADS = {"kind": ("a", "b", "c"), "tags": MultiLabel(("x", "y", "z"))}
LABELS = torch.tensor([[2, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]])
CLASSES = np.array([min(row % 7 // 3, 2) for row in range(VIDEOS)])


def test_multi_label_loss_is_torch_s_binary_one_beside_the_other_head() -> None:
    logits = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    loss = SoftTargetLoss()
    targets = loss.unmixed_labels(LABELS, [3, 3], [1])
    assert targets.tolist() == [[0, 0, 1, 1, 0, 1], [1, 0, 0, 0, 0, 0], [0, 1, 0, 1, 1, 1]]
    binary = F.binary_cross_entropy_with_logits(logits[:, 3:], LABELS[:, 1:].float())
    expected = (F.cross_entropy(logits[:, :3], LABELS[:, 0]) + binary) / 2
    torch.testing.assert_close(loss(logits, targets, [3, 3], [1]), expected)


def test_label_smoothing_of_a_class_that_is_there_or_not_is_that_of_two_classes() -> None:
    targets = SoftTargetLoss(label_smoothing=0.2).unmixed_labels(LABELS[:1], [3, 3], [1])
    torch.testing.assert_close(targets[0, 3:], torch.tensor([0.9, 0.1, 0.9]))
    assert targets[0, :3].sum() == pytest.approx(1)


def test_mixup_blends_labels() -> None:
    class Half(np.random.Generator):
        def beta(self, *args: Any, **kwargs: Any) -> float:
            return 0.75

    clips = torch.zeros(3, 3, 2, 4, 5)
    _, targets = SoftTargetLoss(mixup=0.3).soft_labels(clips, LABELS, [3, 3], Half(np.random.PCG64(0)), [1])
    torch.testing.assert_close(targets[0, 3:], torch.tensor([1.0, 0.25, 1.0]))


def test_class_weights_without_a_head_of_one_label_are_refused() -> None:
    with pytest.raises(ConfigError) as error:
        SoftTargetLoss(class_weights="inverse").balance({}, {"tags": 3})
    assert error.value.key == "loss.class_weights"
    with pytest.raises(ConfigError) as error:
        SoftTargetLoss(logit_adjustment=1.0).balance({}, {"tags": 3})
    assert error.value.key == "loss.logit_adjustment"


def test_class_weights_leave_a_multi_label_head_as_it_is() -> None:
    balance = SoftTargetLoss(class_weights="inverse", logit_adjustment=1.0).balance(
        {"kind": np.array([1, 2, 3])}, {"kind": 3, "tags": 3}
    )
    assert balance is not None
    assert balance.weights is not None
    assert balance.offsets is not None
    assert balance.weights.tolist() == [2, 1, pytest.approx(2 / 3), 1, 1, 1]
    assert balance.offsets[3:].tolist() == [0, 0, 0]


def make_module() -> VideoClassifier:
    torch.manual_seed(0)
    network = make_network(
        FactorisedEncoder, Tubelets(dim=12, tubelet=(2, 4, 5)), num_classes=6, frames=FRAMES, height=HEIGHT,
        width=WIDTH, depth=2, num_heads=3, mlp_dim=20, dropout=0.3, attention_dropout=0.3, stochastic_depth=0.3,
        temporal_depth=2, temporal_num_heads=2, temporal_mlp_dim=16,
    )  # fmt: skip
    loss = SoftTargetLoss(mixup=0.3, label_smoothing=0.1, class_weights="effective", logit_adjustment=1.0)
    return VideoClassifier(
        network, heads=HEADS, loss=loss, optimizer_config=OptimizerConfig(partial(torch.optim.AdamW, lr=0.01), 0.5),
        seed=5, batch_size=BATCH, record=record(2), class_counts={"kind": np.bincount(CLASSES, minlength=3)},
    )  # fmt: skip


def make_loaders() -> tuple[StatefulTrainLoader, ClipLoader]:
    videos = [Video(f"{row}.mp4", (int(CLASSES[row]), row % 2, row % 3 // 2, row % 5 // 4)) for row in range(VIDEOS)]
    plan = MultiViewSampler(frames=FRAMES, stride=1, resize=WIDTH, crop=(HEIGHT, WIDTH))
    order = DistributedBatchSampler(VIDEOS, BATCH, seed=3, balanced=BalancedOrder(CLASSES, 0.7))
    return (
        StatefulTrainLoader(Noise(videos, plan, FlipLabelMap(), 0), order, WorkerConfig(0)),
        ClipLoader(Noise(videos[:6], plan, FlipLabelMap(), 0), DistributedEvalBatchSampler(6, BATCH), WorkerConfig(0)),
    )


class Cut(Callback):
    """Ends a run behind a step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise KeyError


@pytest.mark.parametrize("cut", [3, 7])
def test_resume_is_equal_to_the_bit_with_all_of_it_on(
    cut: int, tmp_path: Path, trainer: Callable[..., Trainer]
) -> None:
    """Before the first validation, and behind it: thresholds are in the checkpoint as well."""
    whole, resumed = make_module(), make_module()
    trainer(epochs=2).fit(whole, *make_loaders())

    def last() -> LastCheckpoint:
        return LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=1)

    with pytest.raises(KeyError):
        trainer(last(), Cut(cut), epochs=2).fit(make_module(), *make_loaders())
    between = torch.load(tmp_path / "last.ckpt", weights_only=True)["vivit"]["multi_label"]["tags"]
    assert (between == [0.5] * 3) == (cut == 3)
    trainer(last(), epochs=2).fit(resumed, *make_loaders(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    expected = whole.network.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in resumed.network.state_dict().items())
    assert resumed.record["multi_label"] == whole.record["multi_label"]
    assert len(whole.record["multi_label"]["tags"]) == 3


def test_best_checkpoint_holds_the_thresholds_of_its_own_validation(
    tmp_path: Path, trainer: Callable[..., Trainer]
) -> None:
    class Notes(Callback):
        def __init__(self) -> None:
            self.seen: list[tuple[float, list[float]]] = []

        def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
            thresholds = pl_module.record["multi_label"]["tags"]
            self.seen.append((float(trainer.callback_metrics["val/map"]), thresholds))

    notes, best = Notes(), BestCheckpoint(dirpath=str(tmp_path), monitor="val/map", mode="max")
    trainer(notes, best, epochs=3).fit(make_module(), *make_loaders())
    first_best = max(notes.seen, key=lambda each: each[0])
    saved = torch.load(tmp_path / "best.ckpt", weights_only=True)["vivit"]["multi_label"]["tags"]
    assert saved == first_best[1]


def test_a_checkpoint_of_other_multi_label_heads_is_refused(tmp_path: Path, trainer: Callable[..., Trainer]) -> None:
    last = LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=1)
    trainer(last, epochs=1).fit(make_module(), *make_loaders())
    file = torch.load(tmp_path / "last.ckpt", weights_only=True)
    file["vivit"]["multi_label"] = {"kind": [0.5] * 3}
    torch.save(file, tmp_path / "other.ckpt")
    with pytest.raises(ConfigError) as error:
        trainer(epochs=2).fit(make_module(), *make_loaders(), ckpt_path=tmp_path / "other.ckpt", weights_only=True)
    assert error.value.key == "ckpt_path"
