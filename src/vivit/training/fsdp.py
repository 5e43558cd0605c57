"""FSDP: weights, gradients and optimizer state in shards, gathered a block at a time."""

from collections.abc import Sequence
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.plugins.precision import FSDPPrecision
from lightning.pytorch.strategies import FSDPStrategy
from torch import nn
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.distributed.fsdp.wrap import ModuleWrapPolicy
from torch.optim import Optimizer

from vivit.errors import ConfigError


class BlockFSDPStrategy(FSDPStrategy):
    """FSDP (Zhao et al. 2023) with a shard for each module of the classes ``blocks``, and one for the rest.

    Checkpoints are those of any other run: unsharded, in one file.
    """

    def __init__(self, *, blocks: Sequence[type[nn.Module]]) -> None:
        if not torch.cuda.is_available():
            raise ConfigError("trainer", "fsdp", "needs a GPU, and torch finds none here", "set trainer=cpu")
        super().__init__(auto_wrap_policy=ModuleWrapPolicy(blocks), state_dict_type="full")
        self._root: nn.Module | None = None

    def setup(self, trainer: Trainer) -> None:
        """Shard, and clip gradients by the norm over all shards, which Lightning leaves to the user."""
        super().setup(trainer)
        if isinstance(self.model, FullyShardedDataParallel):
            assert isinstance(self.precision_plugin, FSDPPrecision)
            self.precision_plugin = FSDPClippingPrecision(self.precision_plugin.precision, self.model)

    def _setup_model(self, model: nn.Module) -> nn.Module:
        """Shard a module once, and test it as it was trained.

        Lightning would find the shards of the blocks and take the module for their root; the rest, which belongs to
        the real root, would stay in pieces.
        """
        if getattr(self._root, "module", None) is not model:
            self._root = super()._setup_model(model)
        assert self._root is not None
        return self._root


class FSDPClippingPrecision(FSDPPrecision):
    """FSDP's precision, with the root of the shards, which alone can compute the norm of all gradients."""

    def __init__(self, precision: Any, root: FullyShardedDataParallel) -> None:
        super().__init__(precision)
        self._root = root

    def clip_grad_by_norm(self, optimizer: Optimizer, clip_val: int | float, *_: Any, **__: Any) -> None:
        """Scale all gradients so that their norm over all devices is at most ``clip_val``."""
        self._root.clip_grad_norm_(clip_val)
