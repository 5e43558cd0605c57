"""What a run that goes on from a checkpoint takes from it, and what its own configuration decides."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from vivit.data.loader import ClipLoader, StatefulTrainLoader
from vivit.errors import ConfigError
from vivit.training import LastCheckpoint, LayerDecay, LRFinder, OptimizerConfig, VideoClassifier
from vivit.training.optim import warmup_cosine

Loaders = Callable[..., tuple[StatefulTrainLoader, ClipLoader]]
Module = Callable[..., VideoClassifier]
Trainers = Callable[..., Trainer]
ADAMW, SGD, STEPS = torch.optim.AdamW, torch.optim.SGD, 5


class Used(Callback):
    """Notes rate, decay and momentum of every step, and the weights behind it."""

    def __init__(self) -> None:
        self.steps: dict[int, tuple[Any, ...]] = {}
        self.weights: dict[str, Tensor] = {}

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        (group,) = optimizer.param_groups
        self.steps[trainer.global_step] = (
            *(group["lr"], group["weight_decay"], group.get("betas", group.get("momentum"))),
            len(optimizer.state),
        )

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *others: Any) -> None:
        network: Any = pl_module.network
        self.weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.fixture
def go_on(tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers) -> Callable[..., Used]:
    """Train with an optimizer, from the checkpoint behind ``start`` steps, and keep last.ckpt."""

    def go_on(
        optimizer: Any = ADAMW, *callbacks: Callback, start: int | None = None, stop: int | None = None,
        clips: int = 4, parts: int = 1, of_epoch: int | None = None, epochs: int = 3, groups: Any = None,
        **settings: Any,
    ) -> Used:  # fmt: skip
        class Stop(Callback):
            def on_train_batch_start(self, trainer: Trainer, *others: Any) -> None:
                if trainer.global_step == stop:
                    raise KeyError

        net, used = module(), Used()
        net.batch_size = clips
        recipe = {"param_groups": groups} if groups else {}
        net.optimizer_config = OptimizerConfig(partial(optimizer, **settings), 0.5, **recipe)
        kept = LastCheckpoint(dirpath=str(tmp_path / str(stop)), every_n_train_steps=1)
        run = trainer(used, kept, Stop(), *callbacks, epochs=epochs, accumulate_grad_batches=parts)
        file = None if start is None else tmp_path / str(start) / "last.ckpt"
        try:
            run.fit(net, *loaders(clips, of_epoch), ckpt_path=file, weights_only=True)
        except KeyError:
            assert run.global_step == stop
        return used

    return go_on


@pytest.mark.parametrize(
    ("start", "optimizer", "before", "typed", "expected"),
    [
        (5, ADAMW, {"lr": 0.01}, {"lr": 1e-5}, (1e-5, 0.01, (0.9, 0.999))),
        (7, ADAMW, {"lr": 0.01}, {"lr": 0.01, "weight_decay": 0.3}, (0.01, 0.3, (0.9, 0.999))),
        (7, ADAMW, {"lr": 0.01}, {"lr": 0.02, "betas": (0.5, 0.6)}, (0.02, 0.01, (0.5, 0.6))),
        (5, ADAMW, {"lr": 0.01}, {"lr": 0.01, "fused": True}, (0.01, 0.01, (0.9, 0.999))),
        (7, SGD, {"lr": 0.1, "momentum": 0.9}, {"lr": 0.3, "momentum": 0.5}, (0.3, 0, 0.5)),
    ],
    ids=str,
)
def test_resume_uses_configured_settings_and_saved_state(
    start: int, optimizer: Any, before: Any, typed: Any, expected: Any,
    go_on: Callable[..., Used], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Behind an epoch and within one; the schedule stands where it stood."""
    go_on(optimizer, stop=start, **before)
    used = go_on(optimizer, start=start, **typed)
    assert sorted(used.steps) == list(range(start, 3 * STEPS))
    for step, (rate, *others) in used.steps.items():
        assert rate == expected[0] * warmup_cosine(step, 2, 15)
        assert tuple(others[:2]) == expected[1:]
    assert used.steps[start][-1] > 0, "moments came along"
    changed = {key for key in typed if before.get(key) != typed[key]}
    assert all(f"optim.optimizer.{key}={typed[key]} from here on" in caplog.text for key in changed)
    assert caplog.text.count("from here on") == len(changed)


def test_resume_of_a_longer_run_has_its_rate_from_the_first_step_on(go_on: Callable[..., Used]) -> None:
    """The last step's was almost nothing."""
    go_on(stop=15, lr=0.01)
    used = go_on(start=15, lr=0.01, epochs=6)
    assert [rate for rate, *_ in used.steps.values()] == [0.01 * warmup_cosine(step, 2, 30) for step in range(15, 30)]


@pytest.mark.parametrize(
    ("optimizer", "typed"),
    [
        (SGD, {"lr": 0.1, "momentum": 0.9}),
        (torch.optim.NAdam, {"lr": 0.01}),
        (torch.optim.Adamax, {"lr": 0.01}),
        (torch.optim.Adam, {"lr": 0.01}),
        (ADAMW, {"lr": 0.01, "amsgrad": True}),
        (ADAMW, {"lr": 0.01, "groups": LayerDecay(0.5)}),
    ],
    ids=str,
)
def test_resume_with_another_optimizer_is_refused(
    optimizer: Any, typed: dict[str, Any], go_on: Callable[..., Used]
) -> None:
    go_on(stop=7, lr=0.01)
    with pytest.raises(ConfigError, match="leave optim as it was, or .*weights=video") as error:
        go_on(optimizer, start=7, **typed)
    assert (error.value.key, error.value.value) == ("optim", optimizer.__name__)


def test_resume_with_an_optimizer_of_less_state_is_refused(go_on: Callable[..., Used]) -> None:
    go_on(torch.optim.Adamax, stop=7, lr=0.01)
    with pytest.raises(ValueError, match="optim=AdamW: .* of one with Adamax"):
        go_on(start=7, lr=0.01)


@pytest.mark.parametrize("start", [5, 7])
def test_resume_with_another_step_size_is_refused(start: int, go_on: Callable[..., Used]) -> None:
    go_on(stop=start, lr=0.01)
    with pytest.raises(
        ConfigError, match=r"2 clips a step \(2 x 1 devices x 1 parts\), .*4 clips a step \(4 x 1"
    ) as error:
        go_on(start=start, lr=0.01, clips=2)
    assert (error.value.key, error.value.value) == ("data.batch_size", 2)


@pytest.mark.parametrize("start", [5, 7])
def test_resume_with_other_accumulation_has_the_steps_that_are_left(start: int, go_on: Callable[..., Used]) -> None:
    go_on(stop=start, lr=0.01)
    used = go_on(start=start, lr=0.01, clips=2, parts=2, of_epoch=STEPS * 4)
    assert sorted(used.steps) == list(range(start, 3 * STEPS))


def test_resume_keeps_the_rate_of_the_lr_finder(go_on: Callable[..., Used]) -> None:
    finder = LRFinder(min_lr=1e-5, max_lr=0.5, num_training_steps=20)
    before = go_on(ADAMW, finder, stop=7, lr=123.0)
    found = finder.optimal_lr.suggestion()
    assert before.steps[2][0] == pytest.approx(found)
    after = go_on(ADAMW, LRFinder(), start=7, lr=123.0)
    assert [after.steps[step][0] for step in (7, 14)] == [found * warmup_cosine(step, 2, 15) for step in (7, 14)]
    told = go_on(start=7, lr=0.02)
    assert told.steps[7][0] == 0.02 * warmup_cosine(7, 2, 15)


def test_resume_from_a_checkpoint_without_step_size(tmp_path: Path, go_on: Callable[..., Used]) -> None:
    """As those of earlier versions do not."""
    go_on(stop=7, lr=0.01)
    file = tmp_path / "7" / "last.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    for key in ("clips_a_step", "bad_videos"):
        del checkpoint[key]
    torch.save(checkpoint, file)
    whole, rest = go_on(lr=0.01), go_on(start=7, lr=0.01)
    assert all(torch.equal(tensor, rest.weights[name]) for name, tensor in whole.weights.items())
