"""trainer=fsdp shards block by block, and says what it needs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning import Callback, Trainer
from omegaconf import DictConfig
from test_ranks import fit, in_two_ranks, scored
from torch.distributed.fsdp import FullyShardedDataParallel

from vivit.launch import format_error
from vivit.models.blocks import Block
from vivit.tasks.build import build_network
from vivit.training import AtomicCheckpointIO, BestCheckpoint, LastCheckpoint, NaNCheck
from vivit.training.fsdp import BlockFSDPStrategy, FSDPClippingPrecision
from vivit.training.optim import warmup_cosine

pytestmark = pytest.mark.slow


Compose = Callable[..., DictConfig]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_fsdp_without_a_gpu_is_refused(composed: Compose) -> None:
    with pytest.raises(InstantiationException) as error:
        instantiate(composed("trainer=fsdp", "size=large").trainer)
    assert "trainer=fsdp: needs a GPU" in format_error(error.value)


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
@pytest.mark.filterwarnings("ignore")  # torch is going to replace FSDP by a second form
def test_fsdp_shards_every_block_of_every_model(
    model: str, depth: int, composed: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The factorised encoder has a temporal encoder beside the spatial one."""
    cfg = composed("trainer=fsdp", f"model={model}", "size=tiny")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    strategy = instantiate(cfg.trainer.strategy)
    monkeypatch.undo()
    assert isinstance(strategy, BlockFSDPStrategy)
    network = build_network(cfg, 3)
    blocks = [name for name, part in network.named_modules() if type(part).__name__.endswith("Block")]
    sharded = FullyShardedDataParallel(network, device_id=torch.device("cpu"), **strategy.kwargs)
    shards = {
        name.replace("_fsdp_wrapped_module.", "")
        for name, part in sharded.named_modules()
        if isinstance(part, FullyShardedDataParallel) and name
    }
    assert shards == set(blocks)
    assert len(blocks) == depth
    for part in sharded.parameters():
        part.grad = torch.ones_like(part)
    FSDPClippingPrecision("32-true", sharded).clip_grad_by_norm(torch.optim.SGD(sharded.parameters()), 0.5)
    total = torch.stack([part.grad.norm() for part in sharded.parameters()]).norm()
    assert float(total) == pytest.approx(0.5, rel=1e-4)


def shard_on_the_cpu() -> None:
    """Let FSDP use the CPU, which has to be asked for by name, for the rest of this process."""
    start = FullyShardedDataParallel.__init__

    def on_cpu(self: Any, *args: Any, device_id: Any = None, **options: Any) -> None:
        start(self, *args, device_id=torch.device("cpu"), **options)

    FullyShardedDataParallel.__init__ = on_cpu  # type: ignore[method-assign]


def trained_and_tested(rank: int, folder: Path) -> list[dict[str, float]]:
    """Train in shards; give what validation says at the end, of the weights at hand, and of the best; test both."""
    shard_on_the_cpu()
    with patch("torch.cuda.is_available", lambda: True):
        strategy = BlockFSDPStrategy(blocks=[Block])
    best = BestCheckpoint(dirpath=str(folder / "kept"), monitor="val/acc_top1", mode="max")
    options = {"strategy": strategy, "enable_checkpointing": True, "plugins": [AtomicCheckpointIO()], "max_epochs": 1}
    trainer, module = fit("factorised_encoder", rank, 2, best, **options)
    said = [{name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}]
    for checkpoint in (None, best.best_model_path):
        trainer.test(module, scored(rank, 2), ckpt_path=checkpoint, verbose=False, weights_only=True)
        said += trainer.validate(module, scored(rank, 2), ckpt_path=checkpoint, verbose=False, weights_only=True)
    return said


def test_fsdp_tests_what_it_trained(tmp_path: Path) -> None:
    """With the parameters that are in no block: tokeniser, positions, class token, last norm, head."""
    first, second = in_two_ranks(trained_and_tested, tmp_path)
    assert first == second == [first[0]] * 3


def trained_with_a_frozen_encoder(rank: int, folder: Path, sharded: bool) -> list[str]:
    """Train the temporal encoder and the head in shards or copies; give the names of what the rank's optimizer has."""
    options: dict[str, Any] = {"enable_checkpointing": True, "plugins": [AtomicCheckpointIO()], "max_epochs": 1}
    if sharded:
        shard_on_the_cpu()
        with patch("torch.cuda.is_available", lambda: True):
            options["strategy"] = BlockFSDPStrategy(blocks=[Block])
    saved = LastCheckpoint(dirpath=str(folder / f"sharded_{sharded}"), every_n_train_steps=1)
    trainer, module = fit("factorised_encoder", rank, 2, saved, frozen="spatial", **options)
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    trained = [names[id(part)] for group in trainer.optimizers[0].param_groups for part in group["params"]]
    return sorted(name.replace("_fsdp_wrapped_module.", "") for name in trained)


@pytest.mark.filterwarnings("ignore")
def test_fsdp_trains_what_is_not_frozen_and_that_alone_as_copies_do(tmp_path: Path) -> None:
    names = [in_two_ranks(trained_with_a_frozen_encoder, tmp_path, sharded)[0] for sharded in (True, False)]
    assert names[0] == names[1]
    assert all(".temporal." in f".{name}" or ".head." in f".{name}" for name in names[0])
    shards, copies = (
        torch.load(tmp_path / f"sharded_{sharded}" / "last.ckpt", weights_only=True)["state_dict"]
        for sharded in (True, False)
    )
    assert shards.keys() == copies.keys()
    start = fit("factorised_encoder", 0, 1, frozen="spatial", max_epochs=0)[1].state_dict()
    for name, tensor in copies.items():
        if name in names[0]:
            assert not torch.equal(tensor, start[name]), name
            assert torch.allclose(shards[name], tensor, atol=1e-5), name
        else:
            assert torch.equal(tensor, start[name]), name
            assert torch.equal(shards[name], start[name]), name


class BadShard(Callback):
    """Makes a gradient bad in step 3, in the shard of the second rank alone."""

    def on_after_backward(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.global_step == 3 and trainer.global_rank == 1:
            shards = (part.grad for part in pl_module.parameters() if part.grad is not None and part.grad.numel())
            next(shards).view(-1)[0] = torch.inf


def sharded_until_damage(rank: int, folder: Path, start: Path | None) -> tuple[str, list[float]]:
    """Train in shards; give what stopped it and the rates of its steps."""
    rates: list[float] = []

    class Rates(Callback):
        def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
            rates.append(optimizer.param_groups[0]["lr"])

    shard_on_the_cpu()
    with patch("torch.cuda.is_available", lambda: True):
        strategy = BlockFSDPStrategy(blocks=[Block])
    kept = LastCheckpoint(dirpath=str(folder / "kept"), every_n_train_steps=1)
    watches = [NaNCheck(), kept, Rates()] + ([BadShard()] if start is None else [])
    options = {"strategy": strategy, "enable_checkpointing": True, "plugins": [AtomicCheckpointIO()], "max_epochs": 1}
    try:
        fit("factorised_encoder", rank, 2, *watches, start=start, rate=0.002 if start is None else 0.004, **options)
    except ValueError as error:
        return str(error), rates
    return "it went on", rates


def test_fsdp_nan_in_one_shard_stops_all_ranks_and_resumes(tmp_path: Path) -> None:
    (first, _), (second, _) = in_two_ranks(sharded_until_damage, tmp_path, None)
    assert first == second
    assert first.startswith("the loss is finite, but the norm of its gradient is inf at step 3 (epoch 1); ")
    file = tmp_path / "kept" / "last.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    assert checkpoint["global_step"] == 3
    assert all(tensor.isfinite().all() for tensor in checkpoint["state_dict"].values())
    (said, rates), other = in_two_ranks(sharded_until_damage, tmp_path, file)
    assert (said, rates) == tuple(other)
    assert said == "it went on"
    assert rates == pytest.approx([0.004 * warmup_cosine(step, 5, 10) for step in range(3, 10)])
