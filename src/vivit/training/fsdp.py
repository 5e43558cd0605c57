"""FSDP: weights, gradients and optimizer state in shards, gathered a block at a time, by torch's ``fully_shard``."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only


class BlockFSDPStrategy(ModelParallelStrategy):
    """FSDP (Zhao et al. 2023) with a group of shards for each module of the classes ``blocks``, and one for the rest.

    Every rank has a part of every parameter, in place of it, under the same name. What is computed is what DDP
    computes. Checkpoints are those of any other run: complete tensors, in one file, which goes on in any other way.
    """

    def __init__(self, *, blocks: Sequence[type[nn.Module]], **options: Any) -> None:
        super().__init__(save_distributed_checkpoint=False, **options)
        self.blocks = tuple(blocks)

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Whether Lightning restores the optimizer behind the callbacks, as in any other run."""
        return True

    def setup_environment(self) -> None:
        """Divide the weights among all ranks."""
        self._data_parallel_size, self._tensor_parallel_size = self.num_nodes * self.num_processes, 1
        super().setup_environment()

    def shard(self, network: nn.Module) -> None:
        """Divide the parameters of a network, and move them to this rank's device; once."""
        if isinstance(network, FSDPModule):
            return
        mesh = self.device_mesh["data_parallel"]
        for part in network.modules():
            if isinstance(part, self.blocks):
                fully_shard(part, mesh=mesh)
        fully_shard(network, mesh=mesh, reshard_after_forward=True)  # also behind a validation, before a checkpoint

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Return the complete weights on rank 0, and nothing elsewhere; all ranks must call it at once."""
        assert self.lightning_module is not None
        return gather_state(self.lightning_module.state_dict())

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """Return what a file contains, on the CPU; all ranks read it."""
        return self.checkpoint_io.load_checkpoint(checkpoint_path, weights_only=weights_only)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Load this rank's part of complete weights."""
        assert self.lightning_module is not None
        state = shard_state(checkpoint["state_dict"], self.lightning_module.state_dict())
        self.lightning_module.load_state_dict(state, strict=strict)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """Return the complete state of an optimizer on rank 0, in its own order; all ranks must call it at once."""
        return gather_state(optimizer.state_dict())

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Load this rank's part of the complete states of the optimizers."""
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            numbers = [number for group in saved["param_groups"] for number in group["params"]]
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            parts = {
                number: {name: shard_like(value, parameter) for name, value in saved["state"][number].items()}
                for number, parameter in zip(numbers, parameters, strict=True)
                if number in saved["state"]
            }
            optimizer.load_state_dict({**saved, "state": parts})


def gather_state(state: Any) -> dict[str, Any]:
    """Return a state dict with complete tensors on rank 0, on the CPU, and an empty one elsewhere.

    One tensor at a time, so that a GPU never has more than that of them; all ranks must call it at once.
    """
    first = torch.distributed.get_rank() == 0

    def gather(tensor: Tensor) -> Tensor | None:
        if isinstance(tensor, DTensor):
            tensor = tensor.full_tensor()
        return tensor.detach().cpu() if first else None

    gathered = tree_map_only(Tensor, gather, dict(state))
    return gathered if first else {}


def shard_state(state: Mapping[str, Any], like: Mapping[str, Any]) -> dict[str, Any]:
    """Return this rank's part of the complete tensors of a state dict, divided as those of the same name in another."""
    return {name: shard_like(value, like.get(name)) for name, value in state.items()}


def shard_like(value: Any, like: Any) -> Any:
    """Return this rank's part of a complete tensor where another of its shape is divided; anything else as it is."""
    if not isinstance(like, DTensor) or not isinstance(value, Tensor) or value.shape != like.shape:
        return value
    on_device = value.to(like.device_mesh.device_type)
    return distribute_tensor(on_device, like.device_mesh, like.placements, src_data_rank=None)


def local_part(tensor: Tensor) -> Tensor:
    """Return this rank's part of a divided tensor, in the same memory; another tensor as it is."""
    if not isinstance(tensor, DTensor):
        return tensor
    with torch.no_grad():
        return tensor.to_local()
