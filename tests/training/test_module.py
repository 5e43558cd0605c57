"""The Lightning module on a network of a few numbers: it learns, and its checkpoints are plain, whole and guarded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer
from torch.utils.data import DataLoader

from vivit.data.loader import ClipLoader, StatefulTrainLoader
from vivit.errors import ConfigError
from vivit.models.blocks import StochasticDepth
from vivit.structures import Batch
from vivit.training import AtomicCheckpointIO, LastCheckpoint, VideoClassifier, format_model
from vivit.training.rng import USES, draw_stochastic_depth, step_generator

Loaders = Callable[[], tuple[StatefulTrainLoader, ClipLoader]]
Module = Callable[..., VideoClassifier]
Trainers = Callable[..., Trainer]


def test_module_overfits_one_batch(module: Module, trainer: Trainers) -> None:
    torch.manual_seed(1)
    batch = Batch(
        torch.randint(0, 256, (4, 1, 4, 8, 15, 3), dtype=torch.uint8),
        torch.tensor([[0], [2], [1], [2]]),
        torch.arange(4),
    )
    net = module(mixup=0.0, strength=0.0)
    run = trainer(epochs=12)
    run.fit(net, *(DataLoader([batch] * steps, batch_size=None) for steps in (3, 1)))
    metrics = {name: float(value) for name, value in run.callback_metrics.items()}
    assert metrics["train/loss"] < 0.3 < np.log(3)
    assert metrics["train/acc_top1"] == metrics["val/acc_top1"] == 1
    assert metrics["val/loss"] < 0.3


def test_module_first_loss_is_that_of_uniform_predictions(module: Module, loaders: Loaders, trainer: Trainers) -> None:
    """All logits are zero at the start, whatever the labels are mixed with."""
    run = trainer(epochs=1, limit_train_batches=1)
    run.fit(module(), *loaders())
    assert float(run.callback_metrics["train/loss"]) == pytest.approx(np.log(3), rel=1e-6)
    assert run.progress_bar_metrics["train/loss"] == float(run.callback_metrics["train/loss"])


def test_validation_logs_every_accuracy(module: Module, loaders: Loaders, trainer: Trainers) -> None:
    run, net = trainer(), module()
    run.validate(net, loaders()[1], verbose=False)
    assert set(run.callback_metrics) == {"val/loss", "val/acc_top1", "val/acc_mean_class"}
    assert run.callback_metrics.keys() <= set(net.logged_metrics)
    assert float(run.callback_metrics["val/acc_top1"]) == pytest.approx(1 / 3), "of three classes it predicts the first"


def plain(node: Any) -> bool:
    """Whether a value holds nothing but mappings, lists and scalars."""
    if isinstance(node, dict):
        return all(isinstance(key, str) and plain(value) for key, value in node.items())
    return all(map(plain, node)) if isinstance(node, list) else isinstance(node, str | int | float | None)


def test_a_checkpoint_holds_plain_values(tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers) -> None:
    trainer(LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=2), epochs=1).fit(module(), *loaders())
    checkpoint = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert checkpoint["vivit"]["model"] == "factorised_encoder"
    assert plain(checkpoint["vivit"])
    assert {name.split(".")[0] for name in checkpoint["state_dict"]} == {"network"}
    assert checkpoint["global_step"] == 5
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_resume_from_another_network_is_refused(
    tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers
) -> None:
    trainer(LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=2), epochs=1).fit(module(), *loaders())
    message = r"holds factorised_encoder\(tubelet\(dim=12\), depth=2\), but the configuration is .*depth=3\)"
    with pytest.raises(ConfigError, match=message):
        trainer(epochs=1).fit(module(depth=3), *loaders(), ckpt_path=tmp_path / "last.ckpt", weights_only=True)


def changed(record: dict[str, Any], tokeniser: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    """Give a record of the same network but for some arguments."""
    return record | {"config": record["config"] | {"tokeniser": record["config"]["tokeniser"] | tokeniser} | model}


@pytest.mark.parametrize(
    ("tokeniser", "model"),
    [
        ({}, {"gradient_checkpointing": True}),
        ({}, {"dropout": 0.1, "attention_dropout": 0.1, "stochastic_depth": 0.1}),
    ],
    ids=str,
)
def test_resume_accepts_other_training_arguments(
    tokeniser: dict[str, Any], model: dict[str, Any], module: Module
) -> None:
    module().on_load_checkpoint({"vivit": changed(module().record, tokeniser, model)})


@pytest.mark.parametrize(
    ("tokeniser", "model"), [({}, {"num_heads": 4}), ({}, {"gelu": "erf"}), ({"dim": 13}, {})], ids=str
)
def test_resume_refuses_other_model_arguments(tokeniser: dict[str, Any], model: dict[str, Any], module: Module) -> None:
    with pytest.raises(ConfigError, match="this checkpoint holds factorised_encoder"):
        module().on_load_checkpoint({"vivit": changed(module().record, tokeniser, model)})


def test_resume_refuses_a_foreign_checkpoint(module: Module) -> None:
    with pytest.raises(ConfigError, match="holds no network of this repository, but"):
        module().on_load_checkpoint({"state_dict": {}})


def test_format_model_does_not_change_the_record(module: Module) -> None:
    record = module().record
    assert format_model(record) == format_model(record) == "factorised_encoder(tubelet(dim=12), depth=2)"


def test_checkpoint_write_that_fails_leaves_the_last_good_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(checkpoint: dict[str, Any], file: Any) -> None:
        file.write(b"half of it")
        raise OSError("no space left on device")

    writer, target = AtomicCheckpointIO(), tmp_path / "new" / "last.ckpt"
    writer.save_checkpoint({"step": 1}, target)
    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="no space left"):
        writer.save_checkpoint({"step": 2}, target)
    assert torch.load(target, weights_only=True) == {"step": 1}
    monkeypatch.undo()
    writer.save_checkpoint({"step": 3}, target)
    assert torch.load(target, weights_only=True) == {"step": 3}
    assert [file.name for file in target.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize(("every", "expected"), [(2, [2, 4, 5, 6, 8, 10]), (5, [5, 10]), (100, [5, 10])])
def test_last_checkpoint_is_written_within_and_behind_every_epoch(
    every: int, expected: list[int], tmp_path: Path, module: Module, loaders: Loaders, trainer: Trainers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    written: list[int] = []
    save = AtomicCheckpointIO.save_checkpoint

    def noted(self: AtomicCheckpointIO, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        written.append(checkpoint["global_step"])
        save(self, checkpoint, path, storage_options)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", noted)
    trainer(LastCheckpoint(dirpath=str(tmp_path), every_n_train_steps=every), epochs=2).fit(module(), *loaders())
    assert written == expected


def draws(module: VideoClassifier, clips: int, rank: int, ranks: int) -> torch.Tensor:
    draw_stochastic_depth(module.network, step_generator(7, 11, "stochastic depth"), clips, rank, ranks)
    return torch.stack([part.uniforms for part in module.network.modules() if isinstance(part, StochasticDepth)])


def test_rng_of_stochastic_depth_on_two_ranks_equals_one(module: Module) -> None:
    net = module()
    alone = draws(net, 6, 0, 1)
    together = torch.cat([draws(net, 3, rank, 2) for rank in range(2)], 1)
    assert torch.equal(alone, together)
    assert alone.shape == (8, 6), "two branches of each of four blocks"
    assert len(alone.unique()) == alone.numel()


def test_rng_uses_steps_seeds_and_ranks_never_share_numbers() -> None:
    generators = [
        step_generator(seed, step, use, rank) for seed in (0, 1) for step in (0, 1) for use in USES for rank in (0, 1)
    ]
    assert len({float(generator.random()) for generator in generators}) == len(generators)
    assert step_generator(3, 5, "mixup").random() == step_generator(3, 5, "mixup").random()


def test_rng_of_a_step_is_independent_of_history(module: Module, loaders: Loaders, trainer: Trainers) -> None:
    """What torch's own generator did before a step changes nothing in it."""

    def trained(noise: int) -> dict[str, torch.Tensor]:
        net = module()
        torch.manual_seed(noise)
        trainer(epochs=1).fit(net, *loaders())
        return net.network.state_dict()

    first, second = trained(1), trained(2)
    assert all(torch.equal(first[name], second[name]) for name in first)
