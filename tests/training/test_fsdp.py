"""trainer=fsdp on two ranks of the CPU: weights of copies, checkpoints that any run loads, averages, frozen parts."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from lightning import Callback, Trainer
from omegaconf import DictConfig
from test_ranks import STEPS, fit, in_two_ranks, scored
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from vivit.models.blocks import Block
from vivit.tasks.build import build_network
from vivit.training import EMA, AtomicCheckpointIO, BestCheckpoint, BlockFSDPStrategy, LastCheckpoint, NaNCheck
from vivit.training.optim import warmup_cosine

pytestmark = pytest.mark.slow

Compose = Callable[..., DictConfig]
EPOCHS, MIDDLE = 2, STEPS + 3
"""A step within the second epoch."""
ADAMW = partial(torch.optim.AdamW, lr=0.002, weight_decay=0.1, eps=1e-3)
"""Its usual epsilon blows up the rounding of gradients that are zero: the bias of attention's keys has such."""


class Stop(Callback):
    """Ends a run before a step, without a word."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise KeyError


def train(
    rank: int, folder: Path, *callbacks: Callback, ranks: int = 2, sharded: bool = True, **others: Any
) -> tuple[Trainer, Any]:
    """Train in shards or copies, and save every step in a folder."""
    last = LastCheckpoint(dirpath=str(folder), every_n_train_steps=1)
    strategy = {"strategy": BlockFSDPStrategy(blocks=[Block])} if sharded else {}
    options: dict[str, Any] = {"enable_checkpointing": True, "plugins": [AtomicCheckpointIO()], "max_epochs": EPOCHS}
    return fit("factorised_encoder", rank, ranks, *callbacks, last, **options | strategy | others)


def averaged(rank: int, folder: Path, *callbacks: Callback, **others: Any) -> None:
    """Train with AdamW, whose state has two groups, and an average."""
    with suppress(KeyError):
        train(rank, folder, NaNCheck(), EMA(0.7), *callbacks, optimizer=ADAMW, **others)


def saved(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "last.ckpt", weights_only=True)


def tensors(folder: Path) -> dict[str, Tensor]:
    """Give all that a checkpoint has: average, weights, moments."""
    checkpoint = saved(folder)
    (optimizer,) = checkpoint["optimizer_states"]
    found = {f"{part}.{name}": checkpoint[part][name] for part in ("state_dict", "current_model_state")
             for name in checkpoint[part]}  # fmt: skip
    numbers = [number for group in optimizer["param_groups"] for number in group["params"]]
    for place, number in enumerate(numbers):
        found |= {f"optimizer.{place}.{name}": tensor for name, tensor in optimizer["state"][number].items()}
    return found


def assert_near(folder: Path, expected: dict[str, Tensor]) -> None:
    found = tensors(folder)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, atol=1e-5, rtol=0, msg=f"{folder.name}: {name}")


def in_shards(rank: int, folder: Path) -> None:
    """Train a run, one that stops in mid-epoch, and what goes on from a run of one rank; and a run of copies."""
    averaged(rank, folder / "shards")
    averaged(rank, folder / "copies", sharded=False)
    averaged(rank, folder / "stopped", Stop(MIDDLE))
    averaged(rank, folder / "from_one", start=folder / "one_stopped" / "last.ckpt")


def test_fsdp_trains_as_copies_do_and_goes_on_as_any_other_run(tmp_path: Path) -> None:
    """Average, weights and moments: of copies; of one rank from shards; of shards from one rank."""
    one: dict[str, Any] = {"ranks": 1, "sharded": False}
    averaged(0, tmp_path / "one", **one)
    averaged(0, tmp_path / "one_stopped", Stop(MIDDLE), **one)
    in_two_ranks(in_shards, tmp_path)
    expected = tensors(tmp_path / "shards")
    assert not any(isinstance(tensor, DTensor) for tensor in expected.values())
    assert saved(tmp_path / "stopped")["global_step"] == MIDDLE
    averaged(0, tmp_path / "from_shards", start=tmp_path / "stopped" / "last.ckpt", **one)
    for name, like in (("copies", "shards"), ("from_shards", "shards"), ("from_one", "one")):
        assert saved(tmp_path / name)["global_step"] == EPOCHS * STEPS
        assert_near(tmp_path / name, tensors(tmp_path / like))


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """A group of one process."""
    torch.distributed.init_process_group("gloo", f"file://{tmp_path}/meeting", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize(
    ("model", "depth"),
    [("spatiotemporal", 2), ("factorised_encoder", 4), ("factorised_self_attention", 2), ("factorised_dot_product", 2)],
)
def test_fsdp_shards_every_block_of_every_model(model: str, depth: int, composed: Compose) -> None:
    """The factorised encoder has a temporal encoder beside the spatial one."""
    cfg = composed("trainer=fsdp", f"model={model}", "size=tiny")
    strategy = instantiate(cfg.trainer.strategy)
    assert isinstance(strategy, BlockFSDPStrategy)
    strategy._device_mesh = init_device_mesh("cpu", (1, 1), mesh_dim_names=("data_parallel", "tensor_parallel"))
    network = build_network(cfg, 3)
    names = {name for name, _ in network.named_parameters()}
    for _ in range(2):  # the second time does nothing
        strategy.shard(network)
    groups = {name for name, part in network.named_modules() if isinstance(part, FSDPModule)}
    blocks = [
        name
        for name, part in network.named_modules()
        if isinstance(part, Block) or "SelfAttentionBlock" in str(type(part))
    ]
    assert groups == {"", *blocks}
    assert len(blocks) == depth
    assert {name for name, part in network.named_parameters() if isinstance(part, DTensor)} == names


def trained_and_tested(rank: int, folder: Path) -> list[dict[str, float]]:
    """Train in shards; give what validation says at the end, of the weights at hand, and of the best; test both."""
    best = BestCheckpoint(dirpath=str(folder / "kept"), monitor="val/acc_top1", mode="max")
    options = {"strategy": BlockFSDPStrategy(blocks=[Block]), "enable_checkpointing": True, "max_epochs": 1}
    trainer, module = fit("factorised_encoder", rank, 2, best, plugins=[AtomicCheckpointIO()], **options)
    said = [{name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}]
    for checkpoint in (None, best.best_model_path):
        trainer.test(module, scored(rank, 2), ckpt_path=checkpoint, verbose=False, weights_only=True)
        said += trainer.validate(module, scored(rank, 2), ckpt_path=checkpoint, verbose=False, weights_only=True)
    return said


def test_fsdp_tests_what_it_trained(tmp_path: Path) -> None:
    """With the parameters that are in no block: tokeniser, positions, class token, last norm, head."""
    first, second = in_two_ranks(trained_and_tested, tmp_path)
    assert first == second == [first[0]] * 3


def trained_with_a_frozen_encoder(rank: int, folder: Path) -> list[list[str]]:
    """Train the temporal encoder and the head in shards and copies; give the names of what the optimizers have."""
    trained = []
    for sharded in (True, False):
        trainer, module = train(
            rank, folder / f"sharded_{sharded}", sharded=sharded, frozen="spatial", max_epochs=1,
            accumulate_grad_batches=2,
        )  # fmt: skip
        names = {id(parameter): name for name, parameter in module.named_parameters()}
        trained.append(
            sorted(names[id(part)] for group in trainer.optimizers[0].param_groups for part in group["params"])
        )
    return trained


def test_fsdp_trains_what_is_not_frozen_and_that_alone_as_copies_do(tmp_path: Path) -> None:
    """In steps of two parts."""
    (sharded, trained), _ = in_two_ranks(trained_with_a_frozen_encoder, tmp_path)
    assert sharded == trained
    assert all(".temporal." in f".{name}" or ".head." in f".{name}" for name in trained)
    shards, copies = (saved(tmp_path / f"sharded_{sharded}")["state_dict"] for sharded in (True, False))
    assert shards.keys() == copies.keys()
    start = fit("factorised_encoder", 0, 1, frozen="spatial", max_epochs=0)[1].state_dict()
    for name, tensor in copies.items():
        if name in trained:
            assert not torch.equal(tensor, start[name]), name
            assert torch.allclose(shards[name], tensor, atol=1e-5), name
        else:
            assert torch.equal(tensor, start[name]), name
            assert torch.equal(shards[name], start[name]), name


class BadShard(Callback):
    """Makes a gradient bad in step 3, in the shard of the second rank alone."""

    def on_after_backward(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.global_step == 3 and trainer.global_rank == 1:
            shards = (part.grad.to_local() for part in pl_module.parameters() if part.grad is not None)
            next(shard for shard in shards if shard.numel()).view(-1)[0] = torch.inf


def sharded_until_damage(rank: int, folder: Path, start: Path | None) -> tuple[str, list[float]]:
    """Train in shards; give what stopped it and the rates of its steps."""
    rates: list[float] = []

    class Rates(Callback):
        def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
            rates.append(optimizer.param_groups[0]["lr"])

    watches = [NaNCheck(), Rates()] + ([BadShard()] if start is None else [])
    try:
        train(rank, folder / "kept", *watches, start=start, rate=0.002 if start is None else 0.004, max_epochs=1)
    except ValueError as error:
        return str(error), rates
    return "it went on", rates


def test_fsdp_nan_in_one_shard_stops_all_ranks_and_resumes(tmp_path: Path) -> None:
    (first, _), (second, _) = in_two_ranks(sharded_until_damage, tmp_path, None)
    assert first == second
    assert first.startswith("the loss is finite, but the norm of its gradient is inf at step 3 (epoch 1); ")
    checkpoint = saved(tmp_path / "kept")
    assert checkpoint["global_step"] == 3
    assert all(tensor.isfinite().all() for tensor in checkpoint["state_dict"].values())
    (said, rates), other = in_two_ranks(sharded_until_damage, tmp_path, tmp_path / "kept" / "last.ckpt")
    assert (said, rates) == tuple(other)
    assert said == "it went on"
    assert rates == pytest.approx([0.004 * warmup_cosine(step, 5, 10) for step in range(3, 10)])
