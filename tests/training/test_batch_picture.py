"""``batch.png``: the clips and labels of the first step, without a change to what is trained, also in loggers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image

from vivit.clip_sheets import spread
from vivit.structures import MultiLabel
from vivit.training import BatchPicture, VideoClassifier, log_pictures
from vivit.training.callbacks.batch_picture import batch_rows, target_lines

Module = Callable[..., VideoClassifier]


class Record(Callback):
    """Records the first batch, and what the network and the loss receive in its step."""

    def __init__(self) -> None:
        self.batch = self.clips = self.targets = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: VideoClassifier, batch, batch_idx: int) -> None:
        if self.batch is None:
            self.batch, soft_labels = batch, pl_module.loss.soft_labels

            def record(*args: Any, **options: Any) -> Any:
                self.clips, self.targets = soft_labels(*args, **options)
                pl_module.loss.soft_labels = soft_labels
                return self.clips, self.targets

            pl_module.loss.soft_labels = record


def test_training_is_bit_equal_with_and_without_the_picture(tmp_path: Path, module: Module, loaders, trainer) -> None:
    weights = []
    for callbacks in ([], [BatchPicture(str(tmp_path / "run"))]):
        net = module()
        trainer(*callbacks, epochs=1, enable_checkpointing=False).fit(net, *loaders())
        weights.append(net.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    with Image.open(tmp_path / "run" / "batch.png") as picture:
        assert picture.width == 768


def test_picture_has_what_the_network_receives(module: Module, loaders, trainer) -> None:
    net, record = module(), Record()
    trainer(record, epochs=1, enable_checkpointing=False, limit_train_batches=1).fit(net, *loaders())
    rows = batch_rows(net, record.batch, 0)
    numbers = spread(record.clips.shape[2], 4)
    expected = ((record.clips[:, :, numbers] + 1) * 127.5).round().clamp(0, 255).byte().movedim(1, -1).numpy()
    assert len(rows) == len(expected) > 1
    for row, clip, target in zip(rows, expected, record.targets, strict=True):
        assert np.array_equal(row.frames, clip), "mixed by the same number"
        percents = sorted((f"{100 * share:.0f} %" for share in target.tolist() if share >= 0.005), reverse=True)
        assert sorted(
            (word for word in row.lines[0][0].replace(",", "").split(" ") if word.isdigit()), key=int
        ) == sorted((percent.removesuffix(" %") for percent in percents if percent != "100 %"), key=int)


def test_labels_are_written_as_the_loss_has_them(module: Module) -> None:
    net = module()
    assert target_lines(net, torch.tensor([0.0, 1.0, 0.0])) == ["b"]
    assert target_lines(net, torch.tensor([0.7, 0.0, 0.3])) == ["a 70 %, c 30 %"]
    net.heads, net.num_classes = {"verb": ("a", "b"), "tags": MultiLabel("xyz")}, [2, 3]
    assert target_lines(net, torch.tensor([0.0, 1.0, 1.0, 0.05, 1.0])) == ["verb: b", "tags: x, z"]
    assert target_lines(net, torch.tensor([0.0, 1.0, 0.05, 0.05, 0.05])) == ["verb: b", "tags: none"]
    net.heads, net.num_classes = {"label": [str(i) for i in range(400)]}, [400]
    (line,) = target_lines(net, torch.full((400,), 1 / 100))
    assert line == "0 1 %, 1 1 %, 2 1 % and 397 more"


def test_resumed_run_keeps_its_picture(tmp_path: Path, module: Module, loaders, trainer) -> None:
    (tmp_path / "batch.png").write_bytes(b"of the first start")
    fit = trainer(BatchPicture(str(tmp_path)), epochs=1, enable_checkpointing=False, limit_train_batches=1)
    fit.fit(module(), *loaders())
    assert (tmp_path / "batch.png").read_bytes() == b"of the first start"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_has_the_pictures(tmp_path: Path, module: Module, loaders, trainer) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logger = TensorBoardLogger(str(tmp_path), name="tensorboard", version="")
    fit = trainer(BatchPicture(str(tmp_path)), epochs=1, enable_checkpointing=False, limit_train_batches=2)
    fit.loggers = [logger]
    fit.fit(module(), *loaders())
    Image.new("RGB", (20, 10), "red").save(tmp_path / "other.png")
    log_pictures(fit, {"test/mistakes": tmp_path / "other.png", "test/gone": tmp_path / "gone.png"})
    logger.experiment.flush()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert sorted(events.Tags()["images"]) == ["test/mistakes", "train/batch"]
    (picture,) = events.Images("test/mistakes")
    assert (picture.width, picture.height, picture.step) == (20, 10, 2)
