"""trainer=fsdp shards block by block, and says what it needs."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch.distributed.fsdp import FullyShardedDataParallel

from vivit.jobs import explain
from vivit.training.sharding import BlockShards, ShardClipping

Compose = Callable[..., DictConfig]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_that_it_needs_one(composed: Compose) -> None:
    with pytest.raises(InstantiationException) as error:
        instantiate(composed("trainer=fsdp", "size=large").trainer)
    assert "trainer=fsdp needs GPUs" in explain(error.value)


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
def test_every_block_of_every_model_is_a_shard(
    model: str, depth: int, composed: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The factorised encoder has a temporal encoder beside the spatial one."""
    cfg = composed("trainer=fsdp", f"model={model}", "size=tiny")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    strategy = instantiate(cfg.trainer.strategy)
    monkeypatch.undo()
    assert isinstance(strategy, BlockShards)
    network = instantiate(cfg.model, classes=3, _convert_="all")
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
    ShardClipping("32-true", sharded).clip_grad_by_norm(torch.optim.SGD(sharded.parameters()), 0.5)
    total = torch.stack([part.grad.norm() for part in sharded.parameters()]).norm()
    assert float(total) == pytest.approx(0.5, rel=1e-4)
