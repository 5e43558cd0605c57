"""A step that loggers do not record: no collective but the gradients', and no number read from a tensor."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from test_ranks import fit, in_two_ranks
from torch.nn.parallel import DistributedDataParallel
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils._python_dispatch import TorchDispatchMode

from vivit.data.loader import ClipLoader, StatefulTrainLoader
from vivit.signals import exit_on_signal
from vivit.training import (
    EMA,
    AtomicCheckpointIO,
    CurvePlotter,
    LastCheckpoint,
    NaNCheck,
    OptimizerConfig,
    PreemptionCheckpoint,
    RegularisationScheduler,
    SoftTargetLoss,
    StaticGraphDDPStrategy,
    ThroughputMonitor,
    TimeLimit,
    VideoClassifier,
)
from vivit.training.agreement import SECONDS, StopAgreement

Loaders = Callable[..., tuple[StatefulTrainLoader, ClipLoader]]
Module = Callable[..., VideoClassifier]
Trainers = Callable[..., Trainer]


class Calls(TorchDispatchMode):
    """Counts torch's operations of every step, by the number that ``step`` has at the time; None: nobody counts."""

    def __init__(self) -> None:
        super().__init__()
        self.step: int | None = None
        self.counts: dict[int, Counter[str]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        if self.step is not None:
            self.counts.setdefault(self.step, Counter())[str(func)] += 1
        return func(*args, **kwargs or {})

    def of(self, step: int, kind: str) -> dict[str, int]:
        return {name: count for name, count in self.counts[step].items() if name.startswith(kind)}


class Numbered(Callback):
    """Counts a step from its first hook to that of the next: with what lies between, in Lightning's loop."""

    def __init__(self, calls: Calls) -> None:
        self.calls = calls

    def on_train_batch_start(self, trainer: Trainer, *others: Any) -> None:
        self.calls.step = trainer.global_step + 1

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.calls.step = None


def watches(folder: Path) -> list[Callback]:
    """All that watches a run by default, the moving average, and a limit of time."""
    last = LastCheckpoint(dirpath=str(folder / "kept"), every_n_train_steps=100)
    usual = [PreemptionCheckpoint(), ThroughputMonitor(), CurvePlotter(str(folder)), NaNCheck()]
    return [TimeLimit("00:01:00:00"), RegularisationScheduler(mixup=0.3), EMA(), last, *usual]


def collectives(rank: int, folder: Path) -> dict[str, dict[str, int]]:
    """Count those of a step of a whole run that is not logged, of one that is, and of a bare module of torch's."""
    (folder / str(rank)).mkdir()
    options: dict[str, Any] = {"enable_checkpointing": True, "plugins": [AtomicCheckpointIO()], "max_epochs": 1}
    with Calls() as calls:
        _, module = fit(
            *("average_pool", rank, 2, Numbered(calls), *watches(folder / str(rank))),
            **options | {"log_every_n_steps": 4, "strategy": StaticGraphDDPStrategy()},
        )
    bare = DistributedDataParallel(module.network.train(), gradient_as_bucket_view=True)
    clips = torch.zeros(4, 3, 4, 8, 15)
    with Calls() as alone:
        for alone.step in range(1, 8):
            bare.zero_grad()
            bare(clips).sum().backward()
    return {
        "unlogged": calls.of(7, "c10d"),
        "logged": calls.of(8, "c10d"),
        "bare": alone.of(7, "c10d"),
    }


@pytest.mark.slow
def test_a_step_that_is_not_logged_has_the_collectives_of_ddp_alone(tmp_path: Path) -> None:
    for counted in in_two_ranks(collectives, tmp_path):
        assert counted["unlogged"] == counted["bare"]
        assert sum(counted["bare"].values()) > 0
        assert sum(counted["logged"].values()) > sum(counted["bare"].values())


@contextmanager
def arithmetic_uncounted(module: VideoClassifier, calls: Calls) -> Iterator[None]:
    """Leave out what an optimizer computes: all behind the clipping, which is the last that Lightning has it call."""
    clip, step = module.configure_gradient_clipping, 0

    def clipped(*args: Any, **options: Any) -> None:
        nonlocal step
        clip(*args, **options)
        step, calls.step = calls.step or 0, None

    def stepped(*_: Any) -> None:
        calls.step = step

    handle = register_optimizer_step_post_hook(stepped)
    module.configure_gradient_clipping = clipped  # type: ignore[method-assign]
    yield
    handle.remove()


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("fused", [True, False])
def test_a_step_that_is_not_logged_reads_no_number_of_a_tensor(
    fused: bool, parts: int, tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """With mixup, label smoothing, dropout and stochastic depth; a fused optimizer's own step reads none either."""
    net = module()
    net.loss = SoftTargetLoss(mixup=0.3, label_smoothing=0.1)
    net.optimizer_config = OptimizerConfig(partial(torch.optim.AdamW, lr=0.01), 0.5, fused=fused)
    options = {"log_every_n_steps": 4, "accumulate_grad_batches": parts, "epochs": 2}
    logged = {1: {4, 5, 8, 10}, 2: {3, 4, 6}}[parts]
    with Calls() as calls:
        run = trainer(Numbered(calls), *watches(tmp_path), **options)
        if fused:
            run.fit(net, *loaders())
        else:
            with arithmetic_uncounted(net, calls):
                run.fit(net, *loaders())
    reads = {step: sum(calls.of(step, "aten._local_scalar_dense").values()) for step in calls.counts}
    assert sorted(reads) == list(range(1, run.global_step + 1))
    assert {step for step, number in reads.items() if number} == logged, "an epoch's last step is one"


class Asked(Callback):
    """Takes ``seconds`` for a step, and sends itself SIGTERM on one rank in step ``step``."""

    def __init__(self, step: int | None, seconds: float) -> None:
        self.step, self.seconds, self.sent = step, seconds, 0.0

    def on_train_batch_start(self, trainer: Trainer, *others: Any) -> None:
        time.sleep(self.seconds)
        if self.step == trainer.global_step + 1 and trainer.global_rank == 1:
            self.sent = time.monotonic()
            os.kill(os.getpid(), signal.SIGTERM)


def preempted(rank: int, folder: Path, step: int | None, seconds: float, start: Path | None) -> dict[str, Any]:
    """Train an epoch of ten steps as one of two ranks; give when it was asked to end and did, and the weights."""
    signal.signal(signal.SIGTERM, exit_on_signal)
    last = LastCheckpoint(dirpath=str(folder / "kept"), every_n_train_steps=100)
    asked, code, weights = Asked(step, seconds), 0, {}
    options: dict[str, Any] = {"enable_checkpointing": True, "plugins": [AtomicCheckpointIO()], "max_epochs": 1}
    try:
        _, module = fit(
            *("average_pool", rank, 2, asked, PreemptionCheckpoint(), last),
            start=start, **options | {"log_every_n_steps": 1000},
        )  # fmt: skip
        weights = module.network.state_dict()
    except SystemExit as left:
        code = int(left.code or 0)
    return {"sent": asked.sent, "ended": time.monotonic(), "code": code, "weights": weights}


@pytest.mark.slow
def test_sigterm_to_one_of_two_ranks_ends_both_within_ten_seconds(tmp_path: Path) -> None:
    """Nothing is logged in an epoch of thirty seconds. What was saved goes on, and ends as a run that was not asked."""
    whole, _ = in_two_ranks(preempted, tmp_path, None, 0.0, None)
    first, second = in_two_ranks(preempted, tmp_path, 3, 3.0, None)
    assert first["code"] == second["code"] == 128 + signal.SIGTERM
    assert max(first["ended"], second["ended"]) - second["sent"] < 10
    file = tmp_path / "kept" / "last.ckpt"
    assert 3 <= torch.load(file, weights_only=True)["global_step"] < 7
    rest, other = in_two_ranks(preempted, tmp_path, None, 0.0, file)
    assert rest["code"] == 0
    for name, tensor in whole["weights"].items():
        assert torch.equal(rest["weights"][name], tensor)
        assert torch.equal(other["weights"][name], tensor)


@pytest.mark.parametrize(("seconds", "apart"), [(0.01, 100), (0.5, 10), (2.0, 2), (7.0, 1)])
def test_ranks_agree_on_stopping_every_few_seconds(seconds: float, apart: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or where loggers record, every hundred steps; the other rank's steps take as long."""
    now = 0.0
    monkeypatch.setattr("vivit.training.agreement.time.monotonic", lambda: now)
    monkeypatch.setattr("vivit.training.agreement.is_logged_step", lambda trainer, step: step % 100 == 0)
    ranks = Mock(spec=Trainer, world_size=2)
    ranks.strategy.root_device = torch.device("cpu")
    ranks.strategy.reduce = lambda tensor, reduce_op: tensor
    agreement, met = StopAgreement(), []
    for step in range(1, 401):
        now += seconds
        if agreement.is_due(ranks, step):
            assert agreement.largest(ranks, step, step) == step
            met.append(step)
    assert max(after - before for before, after in pairwise(met[2:])) == apart
    assert apart * seconds <= max(SECONDS, seconds)


def test_a_single_process_stops_at_any_step() -> None:
    alone = Mock(spec=Trainer, world_size=1)
    agreement = StopAgreement()
    assert agreement.is_due(alone, 7)
    assert agreement.largest(alone, 7, 15) == 15


def test_time_limit_makes_the_step_the_last_in_which_it_is_over(
    tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    """It is known from the step's start, so that what is logged of it is that step's."""

    class Clock(TimeLimit):
        def time_elapsed(self, *stage: Any) -> float:
            return 0.0 if steps < 3 else 7200.0

    class Rates(Callback):
        def on_train_batch_end(self, trainer: Trainer, *others: Any) -> None:
            nonlocal steps
            steps = trainer.global_step
            rates.append(float(trainer.callback_metrics.get("train/learning_rate", -1)))

    steps, rates = 0, []
    last = LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=100)
    run = trainer(Clock("00:01:00:00"), RegularisationScheduler(), Rates(), last, epochs=3)
    run.fit(module(rate=0.01), *loaders())
    assert run.global_step == 4
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 4
    assert rates[:3] == [-1, -1, -1]
    assert rates[3] > 0
