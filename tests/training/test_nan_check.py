"""A loss that is not a number ends the run with a message, before it does harm."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from vivit.data.loader import ClipLoader, StatefulTrainLoader
from vivit.structures import Batch
from vivit.training import LastCheckpoint, NaNCheck, VideoClassifier
from vivit.training.callbacks.nan_check import NonFiniteError


class Poison(Callback):
    """Makes one weight infinite before step ``at``."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *others: object) -> None:
        if trainer.global_step == self.at:
            with torch.no_grad():
                next(pl_module.network.parameters()).view(-1)[0] = torch.inf


@pytest.mark.parametrize("every", [1, 50])
def test_nan_check_names_the_step_and_leaves_the_last_checkpoint_good(
    every: int,
    tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[..., tuple[StatefulTrainLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:
    """A step that loggers record is not taken; any other is read before the next checkpoint."""
    net = module()
    before: dict[str, Tensor] = {}
    seen: list[int] = []

    class Note(Callback):
        def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
            before.update({name: tensor.clone() for name, tensor in pl_module.state_dict().items()})

        def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Batch, batch_idx: int) -> None:
            seen[:] = batch.videos.tolist()

    last = LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=1)
    run = trainer(Poison(3), Note(), NaNCheck(), last, epochs=2, log_every_n_steps=every)
    with pytest.raises(
        NonFiniteError, match=r"the loss is nan at step 3 \(epoch 1\); .*checkpoint is good: lower optim"
    ) as error:
        run.fit(net, *loaders())
    assert f"its videos are {', '.join(f'{row}.mp4' for row in seen)}; " in str(error.value)
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] == 3
    assert all(tensor.isfinite().all() for tensor in checkpoint["state_dict"].values())
    if every == 1:
        assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items()), "it took the step"


def test_errors_say_whether_there_is_a_checkpoint(
    tmp_path: Path,
    module: Callable[..., VideoClassifier],
    loaders: Callable[..., tuple[StatefulTrainLoader, ClipLoader]],
    trainer: Callable[..., Trainer],
) -> None:
    """A run that is resumed has the one that it was started from."""

    def fail(at: int, start: Path | None = None) -> str:
        last = LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=3)
        with pytest.raises(NonFiniteError) as error:
            trainer(Poison(at), NaNCheck(), last, epochs=2).fit(
                module(), *loaders(), ckpt_path=start, weights_only=True
            )
        return str(error.value)

    assert re.search(r"step 2 \(epoch 1\); .*; nothing was saved since, and there is no checkpoint yet: lower", fail(2))
    assert not list(tmp_path.glob("*.ckpt"))
    good = r"step 4 \(epoch 1\); .*; nothing was saved since, and the last checkpoint is good: lower"
    assert re.search(good, fail(4))
    assert re.search(good, fail(4, tmp_path / "last.ckpt"))
