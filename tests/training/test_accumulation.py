"""Steps of several parts against a plain loop of torch; an epoch's last step may have fewer."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger
from test_ranks import fit, in_two_ranks
from torch import Tensor
from torch.nn.functional import cross_entropy

from vivit.data.loader import ClipLoader, StatefulTrainLoader
from vivit.training import CurvePlotter, LastCheckpoint, OptimizerConfig, VideoClassifier
from vivit.training.optim import warmup_cosine

Loaders = Callable[..., tuple[StatefulTrainLoader, ClipLoader]]
Module = Callable[..., VideoClassifier]
Trainers = Callable[..., Trainer]
EPOCHS, BATCHES, RATE = 3, 5, 0.3


def sgd(module: VideoClassifier, warmup: float = 0.5) -> VideoClassifier:
    """Take AdamW's place, which does not see by how much a gradient is too small."""
    module.optimizer_config = OptimizerConfig(partial(torch.optim.SGD, lr=RATE, momentum=0.9), warmup)
    return module


def plain(net: VideoClassifier, loader: StatefulTrainLoader, parts: int) -> tuple[list[float], list[float]]:
    """Train by hand; give the rate and the mean loss of every step."""
    steps = -(-BATCHES // parts)
    warmup, total = steps // 2, steps * EPOCHS
    optimizer = torch.optim.SGD(net.network.parameters(), lr=RATE, momentum=0.9)
    rates, losses = [], []
    net.train()
    for epoch in range(EPOCHS):
        loader.batch_sampler.set_epoch(epoch)
        batches = list(loader)
        for begin in range(0, BATCHES, parts):
            group = batches[begin : begin + parts]
            optimizer.zero_grad()
            found = [
                cross_entropy(net.network(batch.normalized(torch.float32)[:, 0]), batch.labels[:, 0]) for batch in group
            ]
            loss = torch.stack(found).mean()
            loss.backward()
            rates.append(RATE * warmup_cosine(len(rates), warmup, total))
            losses.append(float(loss.detach()))
            optimizer.param_groups[0]["lr"] = rates[-1]
            optimizer.step()
    return rates, losses


class Steps(Callback):
    """Notes the rate of every step, and what a logger would be told behind it."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        self.rates.append(optimizer.param_groups[0]["lr"])

    def on_train_batch_end(self, trainer: Trainer, *others: Any) -> None:
        if not trainer.fit_loop._should_accumulate():
            self.losses.append(float(trainer.callback_metrics["train/loss"]))


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
def test_accumulation_equals_a_plain_loop_step_by_step(
    parts: int, tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """Gradient, rate, number of steps, logged loss, mean of the epoch; and a run that goes on in mid-epoch."""
    ours, theirs = (sgd(module(mixup=0.0, strength=0.0)) for _ in range(2))
    rates, losses = plain(theirs, loaders()[0], parts)
    steps, curves = Steps(), CurvePlotter(str(tmp_path))
    last = LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=100)
    options = {"epochs": EPOCHS, "accumulate_grad_batches": parts, "gradient_clip_val": None}
    run = trainer(steps, curves, last, **options)
    run.fit(ours, *loaders())
    expected = theirs.network.state_dict()
    for name, tensor in ours.network.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], atol=2e-6, rtol=1e-5, msg=name)
    assert run.global_step == len(rates) == -(-BATCHES // parts) * EPOCHS
    assert steps.rates == pytest.approx(rates)
    assert steps.losses == pytest.approx(losses, abs=1e-5)
    sizes = [min(parts, BATCHES - begin) for begin in range(0, BATCHES, parts)]
    means = np.average(np.reshape(losses, (EPOCHS, -1)), axis=1, weights=sizes)
    assert [row["train/loss"] for row in curves.epochs] == pytest.approx(means.tolist(), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("parts", [2, 3])
def test_accumulation_of_an_incomplete_step_survives_a_resume(
    parts: int, tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """Cut within the second epoch; once more with the run's end in steps, in mid-epoch."""

    class Cut(Callback):
        def on_train_batch_end(self, trainer: Trainer, *others: Any) -> None:
            if trainer.current_epoch == 1 and others[-1] == 3:
                raise KeyError

    def go_on(*callbacks: Callback, start: Path | None = None, **ends: Any) -> dict[str, Tensor]:
        net = sgd(module())
        last = LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=1)
        run = trainer(last, *callbacks, accumulate_grad_batches=parts, **ends)
        run.fit(net, *loaders(), ckpt_path=start, weights_only=True)
        return net.network.state_dict()

    for ends in ({"epochs": EPOCHS}, {"epochs": -1, "max_steps": 2 * -(-BATCHES // parts) + 1}):
        whole = go_on(**ends)
        with pytest.raises(KeyError):
            go_on(Cut(), **ends)
        rest = go_on(start=tmp_path / "last.ckpt", **ends)
        assert all(torch.equal(tensor, whole[name]) for name, tensor in rest.items())


def test_accumulation_logs_the_mean_over_a_step(
    tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    shares: dict[int, float] = {}

    class Shares(Callback):
        """Adds up what every part gives to the loss of its step."""

        def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
            shares[trainer.global_step] = shares.get(trainer.global_step, 0.0) + float(loss.detach())

    logger = CSVLogger(tmp_path, name="csv", version="")
    run = trainer(Shares(), epochs=2, accumulate_grad_batches=2, log_every_n_steps=1, logger=logger)
    run.fit(module(), *loaders())
    header, *rows = (tmp_path / "csv" / "metrics.csv").read_text().splitlines()
    at = header.split(",").index("train/loss")
    logged = [float(row.split(",")[at]) for row in rows if row.split(",")[at]]
    assert logged == pytest.approx(list(shares.values()))
    assert len(logged) == 6


def stepped(rank: int, folder: Path, ranks: int, parts: int) -> dict[str, Any]:
    """Train an epoch of ten global batches as one of some ranks; give losses of its steps, and the weights."""
    steps = Steps()
    options = {"max_epochs": 1, "accumulate_grad_batches": parts, "limit_train_batches": 5}
    _, module = fit("average_pool", rank, ranks, steps, **options)
    return {"losses": steps.losses, "weights": module.network.state_dict()}


@pytest.mark.slow
def test_accumulation_of_an_incomplete_step_on_two_ranks(tmp_path: Path) -> None:
    alone = stepped(0, tmp_path, 1, 3)
    first, second = in_two_ranks(stepped, tmp_path, 2, 3)
    assert first["losses"] == second["losses"] == pytest.approx(alone["losses"], abs=1e-5)
    for name, tensor in first["weights"].items():
        assert torch.equal(tensor, second["weights"][name])
        torch.testing.assert_close(tensor, alone["weights"][name], atol=1e-6, rtol=1e-5)
